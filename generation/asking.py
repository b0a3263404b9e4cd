"""How a model is asked: a run in which prompt version and styles, with which seed pairs as examples (drafting.py sends
it); from which seed anybody draws, and how a reply is kept.

What was decided when the run was opened stands on its row, so that the run asks the same to its end, whatever happens
to the language's style mix and seed pairs meanwhile.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Length

from generation import prompts
from generation.backends.base import Identity
from generation.models import FineTuneRun, ModelVersion, Run, SeedPair, Text
from xinstruct_site.people.models import Language

SEEDS_LOOKED_AT = 300
EXAMPLE_MIN, EXAMPLE_MAX = 40, 2000  # code points of a seed's response; long ones are shown to EXAMPLE_CHARS


def version_for(version: ModelVersion, identity: Identity) -> str:
    """How this model is to be asked: as it was trained, or by its chat template, or with the paper's prompt."""
    learnt = FineTuneRun.objects.filter(
        model_version__location=version.location, model_version__revision=version.revision
    ).first()  # perhaps under another task's row
    if learnt is not None:
        return str(learnt.config.get("prompt_version", prompts.PAPER))
    return prompts.CHAT if identity.uses_chat_template and not version.is_starter else prompts.PAPER


def plan(language: Language, prompt_version: str, styles: Mapping[str, float] | None = None) -> dict[str, Any]:
    """What the run's row says of its questions: nothing where the version knows no styles.

    Raises:
        ValueError: no such version, or a style mix that cannot be read.
    """
    if not prompts.has_styles(prompt_version):
        return {}
    mix = styles or (prompts.parse_mix(language.style_mix) if language.style_mix else prompts.STYLE_MIX)
    return {"styles": dict(mix), "length_hints": prompts.LENGTH_HINTS, "examples": _examples(language)}


def question(run: Run, text: Text, number: int) -> tuple[prompts.Prompt, str]:
    """The prompt of one sample of a text, and the style it asks for (empty: the version knows none)."""
    if not run.asking:
        return prompts.draft(text.body, run.prompt_version), ""
    # A draw of its own: that of the words is the backend's.
    digest = hashlib.sha256(f"style:{run.seed}:{text.sha256}:{number}".encode()).digest()
    style, names_length = prompts.draw(run.asking["styles"], run.asking["length_hints"], int.from_bytes(digest[:8]))
    examples = [prompts.Example(text=shown, reply=reply) for shown, reply in run.asking["examples"].get(style, [])]
    return (
        prompts.draft(text.body, run.prompt_version, style=style, names_length=names_length, examples=examples),
        style,
    )


def has_changed(run: Run) -> bool:
    """Whether the words of the run's prompt version are no longer those it began with."""
    if not run.prompt_sha256:  # from before hashes were kept
        return False
    try:
        return prompts.wording_sha256(run.prompt_version) != run.prompt_sha256
    except OSError:
        return True


def _examples(language: Language) -> dict[str, list[list[str]]]:
    """Verified seed pairs of the language by the style of their instruction, in an order that is chance's and fixed."""
    found: dict[str, list[list[str]]] = {}
    seeds = SeedPair.objects.verified().filter(language=language).annotate(chars=Length("response"))
    for seed in seeds.filter(chars__gte=EXAMPLE_MIN, chars__lte=EXAMPLE_MAX).order_by("sha256")[:SEEDS_LOOKED_AT]:
        of_style = found.setdefault(prompts.style_of(seed.instruction), [])
        if len(of_style) < prompts.EXAMPLES:
            of_style.append([prompts.beginning(seed.response, prompts.EXAMPLE_CHARS), seed.instruction])
    return found


def sampling_seed(run_seed: int, text_sha256: str, sample_number: int) -> int:
    """The seed of one draw: the same inputs give the same candidate, in whatever batch and order."""
    digest = hashlib.sha256(f"{run_seed}:{text_sha256}:{sample_number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def storable(reply: str) -> str:
    """PostgreSQL holds neither NUL nor half a surrogate pair, which a server may well send."""
    return reply.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
