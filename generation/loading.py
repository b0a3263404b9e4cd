"""Models by their rows: the row of a model that somebody names, and the model of a row, ready to answer."""

from pathlib import Path

from django.conf import settings

from generation import backends
from generation.backends.base import Backend, BackendError, Identity, Source
from generation.models import ModelVersion, Task


def source_of(backend: str, model: str, revision: str = "") -> Source:
    """Where to ask for the model. Address and key are the installation's own."""
    if backend == backends.STARTER:
        return Source(model=backends.STARTER)
    return Source(
        model=model,
        revision=revision,
        endpoint=settings.ENDPOINT,
        key=settings.ENDPOINT_KEY,
        concurrency=settings.ENDPOINT_CONCURRENCY,
        patience=settings.ENDPOINT_PATIENCE,
        options=settings.VLLM_OPTIONS,
    )


def model_version(
    backend: str, model: str = "", *, task: str = Task.DRAFT, prompt_version: str = ""
) -> tuple[ModelVersion, Identity]:
    """The row of the model as it stands now, made if this revision is new.

    `model` may also be the public id of a model version, such as one that a fine-tune run made. `prompt_version` says
    how an evaluator is asked.

    Raises:
        BackendError: there is no such backend or model.
    """
    known = ModelVersion.objects.filter(public_id=model).first() if model else None
    if known is not None:
        backend = known.backend
        # An endpoint's location is its address and the name there; the address is the installation's own.
        model = known.location.partition(" ")[2] if backend == "openai" else known.location
    identity = backends.identify(backend, source_of(backend, model))
    version, _ = ModelVersion.objects.get_or_create(
        task=task,
        backend=backend,
        location=identity.location,
        revision=identity.revision,
        prompt_version=prompt_version,
        defaults={
            "name": known.name if known else identity.name,
            "licence_id": identity.licence_id or (known.licence_id if known else ""),
            "is_starter": backend == backends.STARTER,
        },
    )
    return version, identity


def load(version: ModelVersion) -> Backend:
    """The model of that row, ready to answer.

    Raises:
        BackendError: it is gone, or its weights are no longer those of the row.
    """
    if version.backend == "openai":
        source = source_of(version.backend, version.location.partition(" ")[2])
    else:
        # Only a hub model has a revision to ask for; a folder has one state.
        is_folder = Path(version.location).is_dir() or version.backend == backends.STARTER
        source = source_of(version.backend, version.location, "" if is_folder else version.revision)
    backend = backends.load(version.backend, source)
    now = backend.identity
    if (now.location, now.revision) != (version.location, version.revision):
        raise BackendError(
            f"'{version.name}' is not the model it was: it is now {now.location} at {now.revision[:12]}, and the "
            f"run was opened with {version.location} at {version.revision[:12]}. Drafting anew opens another run."
        )
    return backend
