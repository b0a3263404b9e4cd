"""Forms of refinement: who scores, what a round selects, what evaluators are measured on.

The annotators' half shows them, too: a language's page selects, and ratings are frozen there.
"""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from generation import comparing, curation, prompts, rubric
from generation.forms import MODELS_OFFERED, FoldedForm, ModelField
from generation.models import ModelVersion, Release, Task
from generation.quotas import QuotaError, read_quotas
from generation.scoring import MOST_SAMPLES
from xinstruct_site.people.models import Language

SOURCES_NAMED = 30


class ScoreForm(forms.Form):
    """Who scores a language's candidates, and how it is asked."""

    model = ModelField(label=_("Evaluator"))
    way = forms.ChoiceField(
        label=_("How it is asked"),
        required=False,
        choices=[
            ("", _("as it was trained for")),
            (rubric.LIKELIHOOD, _("how likely the instruction is")),
            (rubric.RUBRIC, _("by the rubric, in words")),
            (rubric.LEVELS, _("for a level")),
        ],
    )
    samples = forms.IntegerField(
        label=_("Answers for each draft"),
        min_value=1,
        max_value=MOST_SAMPLES,
        required=False,
        help_text=_("Answers to the rubric, which are averaged. Empty: one."),
    )

    def __init__(self, *args: Any, models: Iterable[ModelVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["model"].offer(models)


class SelectForm(FoldedForm):
    """How many more texts of a language to put before people, and which."""

    count = forms.IntegerField(
        label=_("How many"),
        min_value=1,
        max_value=100_000,
        initial=100,
        help_text=_("Each press makes a new round, of texts that no earlier round took."),
    )
    quotas = forms.CharField(
        label=_("Quotas, one to a line"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "ltr", "spellcheck": "false"}),
    )
    evaluator = ModelField(label=_("Whose scores count"), unnamed=_("who scored most texts"))
    precision = forms.IntegerField(
        label=_("Share of pairs that people should find good, in percent"), min_value=1, max_value=99, required=False
    )
    threshold = forms.FloatField(
        label=_("Or the score from which a text is kept"),
        required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    seed = forms.IntegerField(label=_("Seed of the clustering"), min_value=0, max_value=2**31 - 1, required=False)

    usual = ("count",)

    def __init__(self, *args: Any, language: Language, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.language = language
        known = ModelVersion.objects.within(Language.objects.filter(pk=language.pk)).filter(task=Task.SCORE)
        fields: Any = self.fields
        fields["evaluator"].offer(known.exclude(prompt_version="")[:MODELS_OFFERED])
        sources = language.imports.order_by("source").values_list("source", flat=True).distinct()[:SOURCES_NAMED]
        fields["quotas"].help_text = _(
            "source:NAME=NUMBER, style:NAME=30%% or domain:*=5%%, where * is the most that any other name gets. "
            "Styles: %(styles)s. Sources: %(sources)s."
        ) % {"styles": ", ".join(prompts.STYLES), "sources": ", ".join(sources) or "–"}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "count" in cleaned and cleaned.get("quotas"):
            try:
                read_quotas(cleaned["quotas"].splitlines(), cleaned["count"])
            except QuotaError as exc:
                self.add_error("quotas", str(exc))
        if cleaned.get("precision") and cleaned.get("threshold") is not None:
            self.add_error("threshold", _("Give one of the two."))
        elif cleaned.get("precision"):
            self._demand_threshold(cleaned)
        return cleaned

    def _demand_threshold(self, cleaned: dict[str, Any]) -> None:
        evaluator = cleaned.get("evaluator") or curation.evaluator_of(self.language)
        if evaluator is None:
            return  # nothing is scored, and the page says so
        try:
            comparing.threshold_for(evaluator, self.language, cleaned["precision"] / 100)
        except comparing.ComparingError as exc:
            self.add_error("precision", str(exc))

    def asked(self) -> dict[str, Any]:
        """What a worker is told, as JSON takes it."""
        said = self.cleaned_data
        return {
            "quotas": said["quotas"].splitlines(),
            "evaluator": said["evaluator"].public_id if said["evaluator"] else None,
            "precision": said["precision"] / 100 if said["precision"] else None,
            "threshold": said["threshold"],
            "seed": said["seed"] or 0,
        }


class MeasureForm(forms.Form):
    """Which rated set an evaluator is compared with people on."""

    release = forms.ModelChoiceField(
        Release.objects.none(), label=_("Rated set"), to_field_name="public_id", empty_label=None
    )

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sets = Release.objects.ready().rated().within(languages)
        fields: Any = self.fields
        fields["release"].queryset = sets


class RatingsForm(forms.Form):
    """What people said of decided items, frozen: to train evaluators on, or drawn as gold to measure them."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Letters, digits, “-”, “_” and “.”, such as fi-gold-1. It cannot be changed later."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
    )
    languages = forms.ModelMultipleChoiceField(
        Language.objects.none(),
        label=_("Languages"),
        to_field_name="code",
        widget=forms.CheckboxSelectMultiple,
    )
    gold = forms.IntegerField(
        label=_("Gold: so many items of each language"),
        min_value=1,
        max_value=100_000,
        required=False,
        help_text=_(
            "Drawn by chance. They leave every other release and all training for good. Empty: ratings to train "
            "evaluators on, of all items that are not gold."
        ),
    )

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["languages"].queryset = languages
