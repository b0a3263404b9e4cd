"""The forms of varieties: an entry of a language's list, and what a lead says one text is."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from annotation.forms import refuse_surrogates
from annotation.models import Item
from annotation.relabelling import LONGEST_VARIETY
from xinstruct_site.people import varieties
from xinstruct_site.people.forms import Suggesting
from xinstruct_site.people.models import Language, VarietyKind

TAG = re.compile(r"\A[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z")


class VarietyForm(forms.Form):
    kind = forms.TypedChoiceField(label=_("Kind"), choices=VarietyKind.choices, coerce=VarietyKind)
    name = forms.CharField(
        label=_("Name"),
        max_length=LONGEST_VARIETY,
        validators=[refuse_surrogates],
        widget=forms.TextInput(attrs={"dir": "auto", "autocomplete": "off"}),
        help_text=_("As your community calls it, such as Kenyan, or new tone placement."),
    )
    tag = forms.CharField(
        label=_("BCP 47 tag"),
        max_length=35,
        required=False,
        validators=[RegexValidator(TAG, _("Such as sw-KE or hi-Latn."))],
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
        help_text=_("Where there is one, such as sw-KE or hi-Latn. Imported texts that say it get the name."),
    )

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if varieties.COMMA.search(name):
            raise ValidationError(_("A name has no comma: people list several with commas between them."))
        return name


class RelabelForm(forms.Form):
    language = forms.ModelChoiceField(label=_("Language"), queryset=Language.objects.all(), to_field_name="code")
    variety = forms.CharField(
        label=_("Variety"), max_length=LONGEST_VARIETY, required=False, validators=[refuse_surrogates]
    )
    orthography = forms.CharField(
        label=_("Orthography"), max_length=LONGEST_VARIETY, required=False, validators=[refuse_surrogates]
    )

    def __init__(self, *args: Any, item: Item, **kwargs: Any) -> None:
        text = item.text
        super().__init__(*args, **kwargs)
        self.initial = {"language": item.language.code, "variety": text.variety, "orthography": text.orthography}
        listed = list(varieties.standing(item.language))
        for kind in VarietyKind:
            words = [each.name for each in listed if each.kind == kind]
            self.fields[kind].widget = Suggesting(words, attrs={"dir": "auto", "maxlength": LONGEST_VARIETY})
