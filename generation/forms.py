"""Forms of the maintainers' pages. They resolve what was chosen to rows, within the languages that person maintains."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from generation import prompts, recipes
from generation.layouts import COMPRESSED, SUFFIXES
from generation.models import Gate, Import, Method, ModelVersion, Release, SeedPair, SeedState, Task
from xinstruct_site.people.ids import LENGTH
from xinstruct_site.people.models import Language

MODELS_OFFERED = 100
GZIP_MAGIC = b"\x1f\x8b"
COMMON_LICENCES = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-SA-3.0", "ODC-By-1.0", "other")


class LanguageField(forms.ModelChoiceField):
    """A language by its code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Language.objects.none(), to_field_name="code", label=_("Language"), **kwargs)

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.code})"


def configured_model() -> str:
    """The model that the installation's settings name, in words."""
    name = settings.MODEL or settings.ENDPOINT
    return _("as configured: %(model)s") % {"model": f"{name} ({settings.BACKEND})" if name else _("starter model")}


class ModelField(forms.TypedChoiceField):
    """A model version by its public id, or None for the model that settings name."""

    def __init__(self, unnamed: Any = "", **kwargs: Any) -> None:
        self.unnamed = unnamed
        super().__init__(required=False, empty_value=None, **kwargs)

    def offer(self, models: Iterable[ModelVersion]) -> None:
        known = {model.public_id: model for model in models}
        self.coerce = known.__getitem__
        named = [(key, f"{model.name}, {model.prompt_version}".rstrip(", ")) for key, model in known.items()]
        self.choices = [("", self.unnamed or configured_model()), *named]


class TextFilterForm(forms.Form):
    language = LanguageField(required=False, empty_label=_("all languages"))
    source = forms.CharField(label=_("Source"), required=False, max_length=200)
    q = forms.CharField(
        label=_("Words in title or text"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "dir": "auto"}),
    )
    after = forms.CharField(required=False, max_length=LENGTH, widget=forms.HiddenInput)

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].queryset = languages  # type: ignore[attr-defined]
        sources = Import.objects.filter(language__in=languages).values_list("source", flat=True)
        names = [(name, name) for name in sources.order_by("source").distinct()[:200]]
        self.fields["source"].widget = forms.Select(choices=[("", _("all sources")), *names])


class UploadForm(forms.Form):
    language = LanguageField(empty_label=None)
    source = forms.CharField(
        label=_("Source"),
        max_length=200,
        help_text=_("Name of the data set or collection, such as “Wikipedia 2025-11”."),
    )
    licence = forms.CharField(
        label=_("Licence of the texts (SPDX)"),
        max_length=100,
        help_text=_("Such as CC-BY-SA-4.0. Rows that name their own keep it."),
        widget=forms.TextInput(attrs={"list": "licences", "autocomplete": "off"}),
    )
    file = forms.FileField(
        label=_("File"), max_length=255, widget=forms.FileInput(attrs={"accept": ",".join((*SUFFIXES, *COMPRESSED))})
    )

    licences = COMMON_LICENCES

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].queryset = languages  # type: ignore[attr-defined]
        self.fields["file"].help_text = _(
            "JSON Lines (.jsonl), .json, .parquet, .csv, .tsv or .txt, also as .gz or .zst; at most %(size)s."
        ) % {"size": filesizeformat(settings.UPLOAD_BYTES)}

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        name = (file.name or "").lower()
        if not name.removesuffix(".gz").removesuffix(".zst").endswith(tuple(SUFFIXES)):
            raise forms.ValidationError(
                _("The name must end in one of %(names)s, with .gz or .zst behind it where it is compressed.")
                % {"names": ", ".join(SUFFIXES)},
                code="name",
            )
        if (file.size or 0) > settings.UPLOAD_BYTES:
            raise forms.ValidationError(
                _("The file has %(size)s; the limit is %(limit)s. Split it, or use the command: manage.py import_texts")
                % {"size": filesizeformat(file.size or 0), "limit": filesizeformat(settings.UPLOAD_BYTES)},
                code="size",
            )
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if compressed != name.endswith(".gz"):
            raise forms.ValidationError(
                _("The name says compressed and the content does not, or the other way round."), code="compression"
            )
        return file


class FoldedForm(forms.Form):
    """A form that most people fill in by its `usual` fields; `generation/rarer.html` folds the others away."""

    usual: tuple[str, ...] = ()

    def rarer(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in self.usual]

    def has_rarer(self) -> bool:
        return any(field.errors or field.data for field in self.rarer())


class RunForm(FoldedForm):
    language = LanguageField(empty_label=None)
    model = ModelField(label=_("Model"))
    samples = forms.IntegerField(
        label=_("Drafts for each text"), min_value=1, max_value=16, initial=1, help_text=_("From 1 to 16.")
    )
    limit = forms.IntegerField(
        label=_("Only the first texts"),
        min_value=1,
        max_value=100_000_000,
        required=False,
        help_text=_("Empty: all texts."),
    )
    again = forms.BooleanField(
        label=_("Draft anew"), required=False, help_text=_("Otherwise the same request continues the run there is.")
    )
    prompt = forms.ChoiceField(
        label=_("Prompt"),
        required=False,
        choices=[("", _("what suits the model")), *((version, version) for version in prompts.VERSIONS)],
    )
    styles = forms.CharField(
        label=_("Mix of styles"),
        required=False,
        max_length=200,
        help_text=_("Such as “instruction=5 question=3 search=2”, in shares of any size. Empty: the language's own."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
    )
    seed = forms.IntegerField(label=_("Seed"), min_value=0, max_value=2**31 - 1, required=False)
    dead_letters = forms.BooleanField(label=_("Ask failed texts again"), required=False)
    token_budget = forms.IntegerField(label=_("Pause at so many tokens"), min_value=1, max_value=2**62, required=False)
    cost_budget = forms.FloatField(
        label=_("Pause at this cost"),
        min_value=0.000001,
        required=False,
        help_text=_("For an endpoint whose prices are set."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )

    usual = ("language", "model", "samples", "limit", "again")

    def __init__(
        self, *args: Any, languages: QuerySet[Language], models: Iterable[ModelVersion], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["language"].queryset = languages
        fields["model"].offer(models)

    def clean_styles(self) -> dict[str, float] | None:
        said: str = self.cleaned_data["styles"]
        try:
            return prompts.parse_mix(said) if said else None
        except ValueError as exc:
            raise forms.ValidationError(str(exc), code="mix") from exc

    def clean_seed(self) -> int:
        return self.cleaned_data["seed"] or 0


class TypedField(forms.CharField):
    """Words as typed; a browser's line ends become ours."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, required=False, widget=forms.Textarea(attrs={"rows": 4}), **kwargs)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class SeedForm(forms.Form):
    """One seed pair: its words, perhaps corrected, and what the person says of it."""

    instruction = TypedField(label=_("Instruction (English)"), max_length=10_000)
    response = TypedField(label=_("Response"), max_length=100_000)
    decision = forms.ChoiceField(
        choices=[(SeedState.VERIFIED.value, ""), (SeedState.REJECTED.value, "")],
        error_messages={"required": _("Accept it or reject it."), "invalid_choice": _("Accept it or reject it.")},
        widget=forms.HiddenInput,
    )
    seen = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, seed: SeedPair, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {"instruction": seed.instruction, "response": seed.response, "seen": decided_at(seed)}
        self.seed = seed
        self.fields["instruction"].widget.attrs |= {"lang": "en", "dir": "ltr"}
        self.fields["response"].widget.attrs |= {
            "lang": seed.language.code, "dir": seed.language.direction, "class": "native", "rows": 8
        }  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("instruction", "response"):
            if cleaned.get("decision") == SeedState.VERIFIED and name in cleaned and not cleaned[name].strip():
                self.add_error(name, _("This cannot be empty."))
        if cleaned.get("seen") != decided_at(self.seed):
            self.add_error(None, decided_meanwhile())
        return cleaned


def decided_meanwhile() -> forms.ValidationError:
    return forms.ValidationError(
        _("Somebody has decided on this pair since you opened it. Your words are below; nothing was saved."),
        "meanwhile",
    )


def decided_at(seed: SeedPair) -> str:
    return seed.verified_at.isoformat() if seed.verified_at else ""


class FineTuneForm(forms.Form):
    TASKS = (
        (Task.DRAFT.value, _("draft: text → instruction")),
        (Task.ANSWER.value, _("answer: instruction → response")),
        (Task.SCORE.value, _("score: pair → how good it is")),
    )

    task = forms.ChoiceField(label=_("Task"), choices=TASKS, initial=Task.DRAFT)
    releases = forms.ModelMultipleChoiceField(
        Release.objects.none(),
        label=_("Releases"),
        to_field_name="public_id",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    seeds = forms.ModelMultipleChoiceField(
        Language.objects.none(),
        label=_("Seed pairs of"),
        to_field_name="code",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    unverified = forms.BooleanField(
        label=_("Also seed pairs that nobody has verified"),
        required=False,
        help_text=_("Otherwise only those that a person of the language has accepted."),
    )
    base_model = ModelField(label=_("Base model"))
    method = forms.ChoiceField(label=_("Method"), choices=Method, initial=Method.FULL)
    epochs = forms.FloatField(
        label=_("Epochs"), min_value=0.01, max_value=100, initial=3, widget=forms.NumberInput(attrs={"step": "any"})
    )
    learning_rate = forms.FloatField(
        label=_("Learning rate"),
        min_value=1e-8,
        max_value=1,
        required=False,
        help_text=_(
            "Empty: 0.001 for all weights of a model as small as the starter, 0.00001 for those of a large one, 0.0002 "
            "for LoRA; a tenth of it for preferences."
        ),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    batch_size = forms.IntegerField(
        label=_("Batch size"), min_value=1, max_value=4096, required=False, initial=recipes.DEFAULTS["batch_size"]
    )
    max_length = forms.IntegerField(
        label=_("Max length"),
        min_value=16,
        max_value=1_000_000,
        required=False,
        help_text=_("Tokens of a pair. Empty: 1,024, or what the model reads where that is less."),
    )
    validation = forms.FloatField(
        label=_("Held out for validation"),
        min_value=0,
        max_value=0.5,
        required=False,
        initial=recipes.DEFAULTS["validation"],
        help_text=_("As a share, where a release has no validation split of its own."),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    precision = forms.TypedChoiceField(
        label=_("Precision"),
        choices=[("", _("what suits the machine")), *((each, each) for each in recipes.PRECISIONS)],
        required=False,
        empty_value=None,
    )
    packing = forms.BooleanField(
        label=_("Pack short pairs together"), required=False, help_text=_("Faster where pairs differ much in length.")
    )

    def __init__(
        self, *args: Any, languages: QuerySet[Language], models: Iterable[ModelVersion], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["releases"].queryset = Release.objects.ready().within(languages)
        fields["seeds"].queryset = languages.filter(pk__in=SeedPair.objects.values("language")).distinct()
        fields["base_model"].offer(models)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned["releases"] and not cleaned["seeds"]:
            raise forms.ValidationError(_("Choose at least one release or one language's seed pairs."), code="nothing")
        return cleaned


class SpotCheckForm(forms.Form):
    """Whether a gate was right; `was_right` comes from the button that was pressed."""

    gate = forms.ChoiceField(choices=Gate)
    reason = forms.SlugField(max_length=40, required=False)
    subject = forms.RegexField(r"^(candidate|passed|row):[\w:-]{1,80}$", max_length=100)
    was_right = forms.TypedChoiceField(choices=[("1", "right"), ("0", "wrong")], coerce=lambda value: value == "1")
