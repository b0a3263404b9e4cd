"""Forms about people: accepting an invitation or the agreement, one's name and interface language."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import password_validation
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people import naming, varieties
from xinstruct_site.people.models import ApiToken, Demographics, Language, Role, User, Variety, VarietyKind

SAID_OF_ONESELF = {
    VarietyKind.VARIETY: _("Your variety of %(language)s"),
    VarietyKind.ORTHOGRAPHY: _("How you write %(language)s: script or way of spelling"),
}


class JoinForm(forms.Form):
    """Name and password of a new account, whose address the invitation gives."""

    display_name = forms.CharField(
        label=_("Your name, as others see it"),
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "nickname", "dir": "auto"}),
        help_text=_("Any name you like. It is never part of a release."),
    )
    password = forms.CharField(
        label=_("A password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least ten characters. A few words in a row are easy to remember and hard to guess."),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if password := cleaned.get("password"):
            user = User(email=self.email, display_name=cleaned.get("display_name", ""))
            try:
                password_validation.validate_password(password, user)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned


class Suggesting(forms.TextInput):
    """A text field that offers words to choose from and takes any other."""

    def __init__(self, words: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = list(words)

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        if not self.words:
            return super().render(name, value, attrs, renderer)
        offered = f"{name}-words"
        field = super().render(name, value, {**(attrs or {}), "list": offered}, renderer)
        options = format_html_join("", '<option value="{}"></option>', ((word,) for word in self.words))
        return format_html('{}<datalist id="{}">{}</datalist>', field, offered, options)


class SuggestingSeveral(Suggesting):
    """Such fields one below the other, a few of them empty; what they hold is one line with commas between."""

    def __init__(self, words: Iterable[str] = (), *, label: Any, offered: str, **kwargs: Any) -> None:
        super().__init__(words, **kwargs)
        self.label, self.offered = label, offered  # the id of the words, which another field may have brought

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str | None:
        given = data.getlist(name) if hasattr(data, "getlist") else [data[name]] if name in data else []
        return ", ".join(each for each in given if each.strip()) if given else None

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        said = varieties.several(value or "")
        fields = []
        for place, word in enumerate([*said, *[""] * max(1, 3 - len(said))]):
            of_its_own = {"id": f"id_{name}_{place}", "aria-label": self.label} if place else {}
            attrs_here = {**(attrs or {}), **of_its_own, "list": self.offered}
            fields.append((forms.TextInput.render(self, name, word, attrs_here, renderer),))
        options = format_html_join("", '<option value="{}"></option>', ((word,) for word in self.words))
        datalist = format_html('<datalist id="{}">{}</datalist>', self.offered, options) if self.words else ""
        return format_html('<div class="several">{}{}</div>', format_html_join("", "{}", fields), datalist)


class ProfileForm(forms.ModelForm):
    """Names, the language of the pages, and what a person speaks and writes of each language they work in."""

    interface_language = forms.ChoiceField(label=_("Language of the pages"), choices=settings.LANGUAGES)

    class Meta:
        model = User
        fields = ["display_name", "interface_language", "credit", "credited_as"]
        widgets = {
            "display_name": forms.TextInput(attrs={"autocomplete": "nickname", "dir": "auto"}),
            "credited_as": forms.TextInput(attrs={"dir": "auto"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.said_of: dict[str, tuple[Language, VarietyKind]] = {}  # by field
        memberships = self.instance.current_memberships()
        listed = Variety.objects.filter(language__in=[m.language_id for m in memberships], retired_at=None)
        offered: dict[tuple[int, str], list[str]] = {}
        for entry in listed:
            offered.setdefault((entry.language_id, entry.kind), []).append(entry.name)
        for membership in memberships:
            if membership.language is None:
                continue
            for kind, label in SAID_OF_ONESELF.items():
                name = f"{kind}_{membership.language.code}"
                known = self.fields.get(name)
                if known and known.initial:  # in another role
                    continue
                self.said_of[name] = (membership.language, kind)
                self.fields[name] = forms.CharField(
                    label=label % {"language": membership.language.local_name()},
                    help_text=_("Commas between several. Those who lead the language see it; releases only count it."),
                    initial=getattr(membership, kind),
                    max_length=80,
                    required=False,
                    widget=Suggesting(offered.get((membership.language.pk, kind), []), attrs={"dir": "auto"}),
                )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("credit") and not cleaned.get("credited_as") and "credited_as" not in self.errors:
            self.add_error("credited_as", _("Say the name or pseudonym that releases are to print."))
        return cleaned

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        for name, (language, kind) in self.said_of.items():
            if name in self.changed_data:
                known = varieties.spellings(language)
                names = [varieties.spelled(known, kind, each) for each in varieties.several(self.cleaned_data[name])]
                said = ", ".join(dict.fromkeys(names))[:80]
                user.memberships.filter(language=language).update(**{kind: said})
        return user


class DemographicsForm(forms.ModelForm):
    class Meta:
        model = Demographics
        fields = ["age_range", "gender", "country", "native_varieties", "languages_spoken"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].widget = Suggesting(
            naming.offered(naming.TERRITORIES), attrs={"dir": "auto", "maxlength": 80, "autocomplete": "off"}
        )
        for name in ("native_varieties", "languages_spoken"):
            words = naming.offered(naming.LANGUAGES) if name == "native_varieties" else ()
            self.fields[name].widget = SuggestingSeveral(
                words,
                label=self.fields[name].label,
                offered="names-of-languages",
                attrs={"dir": "auto", "autocomplete": "off"},
            )
            self.initial[name] = naming.language_names(self.initial.get(name) or "")
        self.initial["country"] = naming.country_name(self.initial.get("country") or "")

    def clean_country(self) -> str:
        return naming.country_code(self.cleaned_data["country"])

    def clean_native_varieties(self) -> str:
        return naming.language_codes(self.cleaned_data["native_varieties"])

    def clean_languages_spoken(self) -> str:
        return naming.language_codes(self.cleaned_data["languages_spoken"])


class InterfaceLanguageForm(forms.Form):
    code = forms.ChoiceField(choices=settings.LANGUAGES)


class InviteForm(forms.Form):
    """Whom to offer which role of a language."""

    email = forms.EmailField(label=_("E-mail address"), widget=forms.EmailInput(attrs={"dir": "ltr"}))
    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, *args: Any, roles: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(role, Role(role).label) for role in roles]  # type: ignore[attr-defined]


class ApiTokenForm(forms.ModelForm):
    """What a new token is for."""

    class Meta:
        model = ApiToken
        fields = ["name", "may_write"]
        widgets = {"name": forms.TextInput(attrs={"dir": "auto", "autocomplete": "off"})}
