"""What maintainers fill in to compare models: questions and answers in, models asked, duels opened and judged."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from generation import licences
from generation.forms import LanguageField, ModelField
from generation.jsonl import GZIP_MAGIC, ZSTD_MAGIC
from generation.models import ModelVersion, Release, Split
from generation.questions import NAME
from xinstruct_site.people.models import Language

FILE_BYTES = 20 * 1024 * 1024


def jsonl_field() -> forms.FileField:
    return forms.FileField(label=_("File (JSON Lines)"), widget=forms.FileInput(attrs={"accept": ".jsonl,.json"}))


class SmallFile(forms.Form):
    """A form with a file that is read within the request."""

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > min(FILE_BYTES, settings.UPLOAD_BYTES):
            raise forms.ValidationError(_("This file is too large for the page: manage.py evaluate takes any size."))
        head = file.read(4)
        file.seek(0)
        if head.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
            raise forms.ValidationError(_("Unpack the file first, or use manage.py evaluate."))
        return file


def name_field() -> forms.RegexField:
    return forms.RegexField(
        NAME,
        label=_("Name of the set"),
        max_length=100,
        help_text=_("Letters, digits, “-” and “_”. A set that is there already gets what is new."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
    )


class SplitForm(forms.Form):
    """A release whose test split is to be asked."""

    name = name_field()
    release = forms.ModelChoiceField(
        Release.objects.none(), label=_("Release"), to_field_name="public_id", empty_label=None
    )

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ready = Release.objects.ready().within(languages)
        self.fields["release"].queryset = ready.filter(rows__split=Split.TEST).distinct()  # type: ignore[attr-defined]


class QuestionsForm(SmallFile):
    name = name_field()
    language = LanguageField(empty_label=None)
    written_in = forms.ChoiceField(
        label=_("The questions are in"), choices=[("", _("the language of the answers")), ("en", _("English"))],
        required=False,
    )  # fmt: skip
    licence = forms.CharField(label=_("Licence of the questions (SPDX)"), max_length=100)
    source = forms.CharField(label=_("Source"), max_length=300, required=False)
    file = jsonl_field()

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].queryset = languages  # type: ignore[attr-defined]
        self.fields["file"].help_text = _(
            "Rows with id and prompt; lang, source and license where they have their own."
        )


class AnswersForm(SmallFile):
    model = forms.CharField(label=_("Name of the model"), max_length=200)
    licence = forms.CharField(label=_("Its licence"), max_length=100, required=False)
    language = LanguageField(empty_label=None)
    file = jsonl_field()

    def __init__(self, *args: Any, languages: QuerySet[Language], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].queryset = languages  # type: ignore[attr-defined]
        self.fields["file"].help_text = _("Rows with id and answer.")


class ModelForm(forms.Form):
    """Which model is to answer, or to judge."""

    model = ModelField(label=_("Model"))

    def __init__(self, *args: Any, models: Iterable[ModelVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].offer(models)  # type: ignore[attr-defined]


class LicenceForm(forms.Form):
    """What a model's terms ask, as the person read them who answers for it."""

    licence = forms.ChoiceField(
        label=_("Publishing what it wrote asks as much as"),
        choices=[(id, id) for id in licences.TABLE],
        help_text=_("The licence that comes closest to the model's terms; CC0-1.0 where they ask nothing."),
    )
    terms = forms.URLField(label=_("Address of its terms"), max_length=500, assume_scheme="https")


class DuelForm(forms.Form):
    language = LanguageField(empty_label=None)
    base = forms.ModelChoiceField(
        ModelVersion.objects.none(), label=_("Model"), to_field_name="public_id", empty_label=None
    )
    rival = forms.ModelChoiceField(
        ModelVersion.objects.none(), label=_("Rival, whose wins count"), to_field_name="public_id", empty_label=None
    )
    overlap = forms.IntegerField(label=_("Votes for each pair"), min_value=1, max_value=99, initial=2)

    def __init__(
        self, *args: Any, languages: QuerySet[Language], answering: QuerySet[ModelVersion], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        fields: Any = self.fields
        fields["language"].queryset = languages
        fields["base"].queryset = fields["rival"].queryset = answering
