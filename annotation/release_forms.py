"""The forms of releases: what one is asked to hold, why one is withdrawn, what is to be taken down."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation import changes
from annotation.filtering import EXCLUDE, MARK, Filters, variety
from annotation.models import Flag
from annotation.splitting import SHARES, SPLIT_FROM
from generation import blocklist, licences
from generation.models import Release, TakeDownKind
from xinstruct_site.people.models import Language, User, Variety

CONTRIBUTOR = "contributor"
TICKED = ("varieties", "without_flags")


class NameList(forms.CharField):
    """Names with commas between them."""

    def to_python(self, value: Any) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(sorted({name.strip() for name in (super().to_python(value) or "").split(",") if name.strip()}))


class ReleaseForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Letters, digits, “-”, “_” and “.”, such as fi-2026-11. It cannot be changed later."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
    )
    languages = forms.ModelMultipleChoiceField(
        Language.objects.none(), label=_("Languages"), to_field_name="code", widget=forms.CheckboxSelectMultiple
    )
    previous = forms.ModelChoiceField(
        Release.objects.none(),
        label=_("Follows"),
        required=False,
        to_field_name="public_id",
        empty_label=_("no other release"),
        help_text=_("Splits stay as they were, and the version says what changed since."),
    )
    version = forms.CharField(
        label=_("Version"),
        required=False,
        max_length=40,
        help_text=_("Such as 2.0.0. Empty: what follows from what changed."),
        widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"}),
    )
    candidate = forms.BooleanField(
        label=_("As a candidate, for audit"),
        required=False,
        help_text=_("Frozen, but neither exported nor trained on until it is published."),
    )
    preferences = forms.BooleanField(
        label=_("With the drafts that people did not want"),
        required=False,
        help_text=_("Preferences, to train the drafting model with DPO."),
    )
    # Which pairs
    licence = forms.ChoiceField(
        label=_("To be published under"),
        required=False,
        choices=[("", _("whatever its texts allow")), *((each, each) for each in licences.TARGETS)],
        help_text=_("Pairs that cannot be are left out."),
    )
    licences = NameList(label=_("Licences of texts"), required=False, help_text=_("With commas. Empty: any."))
    sources = NameList(label=_("Sources"), required=False, help_text=_("With commas. Empty: any."))
    overall_min = forms.TypedChoiceField(
        label=_("Overall, of everybody who accepted"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "≥ 3"), ("4", "≥ 4"), ("5", "5")],
    )
    agreement_min = forms.IntegerField(
        label=_("Reviews that accepted, in %"), required=False, min_value=1, max_value=100
    )
    reviews_min = forms.IntegerField(
        label=_("People who ended with these words"), required=False, min_value=1, max_value=9
    )
    policy_min = forms.IntegerField(
        label=_("Version of the review policy, at least"), required=False, min_value=1, max_value=1_000_000
    )
    rows_min = forms.IntegerField(
        label=_("Pairs of a language, at least"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text=_("Aya asks for 50."),
    )
    small_languages = forms.ChoiceField(
        label=_("Languages with fewer"),
        required=False,
        choices=[(MARK, _("are marked")), (EXCLUDE, _("are left out"))],
    )
    splits = forms.RegexField(
        r"^\s*[1-9]\d{0,5}\s*/\s*\d{1,6}\s*/\s*\d{1,6}\s*$",
        label=_("Training / validation / test"),
        required=False,
        help_text=_("Shares, such as 90/5/5, which it is from 100 pairs up where this is empty."),
        error_messages={"invalid": _("Three numbers, such as 90/5/5.")},
        widget=forms.TextInput(attrs={"dir": "ltr"}),
    )
    seed = forms.IntegerField(label=_("Seed of the splits"), required=False, min_value=0, max_value=2**31)
    varieties = forms.MultipleChoiceField(
        label=_("Only in these varieties and orthographies, of languages that have one ticked"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    without_flags = forms.MultipleChoiceField(
        label=_("Without pairs that were flagged"),
        required=False,
        choices=Flag.choices,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, languages: QuerySet[Language], previous: QuerySet[Release], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["languages"].queryset = languages  # type: ignore[attr-defined]
        self.fields["previous"].queryset = previous  # type: ignore[attr-defined]
        listed = Variety.objects.filter(language__in=languages, retired_at=None).select_related("language")
        self.fields["varieties"].choices = [  # type: ignore[attr-defined]
            (variety(each.language.code, each.kind, each.name), f"{each.name} ({each.language.local_name()})")
            for each in listed.order_by("language__name", "-kind", "name")
        ]

    def clean_version(self) -> str:
        version: str = self.cleaned_data["version"].strip()
        if version:
            try:
                changes.parsed(version)
            except changes.WrongVersion as exc:
                raise ValidationError(str(exc)) from exc
        return version

    def filters(self) -> Filters:
        asked = self.cleaned_data
        shares = tuple(map(int, asked["splits"].split("/"))) if asked["splits"] else SHARES
        return Filters(
            preferences=asked["preferences"],
            overall_min=asked["overall_min"],
            agreement_min=asked["agreement_min"],
            reviews_min=asked["reviews_min"],
            policy_min=asked["policy_min"],
            sources=asked["sources"],
            licences=asked["licences"],
            varieties=tuple(sorted(asked["varieties"])),
            without_flags=tuple(sorted(asked["without_flags"])),
            licence=asked["licence"],
            rows_min=asked["rows_min"],
            small_languages=asked["small_languages"] or MARK,
            shares=shares,
            seed=asked["seed"] or 0,
            split_from=0 if asked["splits"] else SPLIT_FROM,
        )

    @property
    def filter_fields(self) -> list[forms.BoundField]:
        """Those that say which pairs, for the page to fold away."""
        first = list(self.fields).index("licence")
        return [self[name] for name in list(self.fields)[first:] if name not in TICKED]

    @property
    def asks_for_filters(self) -> bool:
        return any(field.errors or field.data for field in [*self.filter_fields, *map(self.__getitem__, TICKED)])


class WithdrawForm(forms.Form):
    reason = forms.CharField(
        label=_("Why it is withdrawn"), max_length=1000, widget=forms.TextInput(attrs={"dir": "auto"})
    )


class TakeDownForm(forms.Form):
    """Resolves to what it names: `kind` and `given`, or the `person`."""

    kind = forms.ChoiceField(
        label=_("What"), choices=[*TakeDownKind.choices, (CONTRIBUTOR, _("what a contributor gave, by e-mail address"))]
    )
    given = forms.CharField(
        label=_("Which"), max_length=4000, widget=forms.TextInput(attrs={"dir": "ltr", "autocomplete": "off"})
    )
    reason = forms.CharField(
        label=_("Why"), required=False, max_length=1000, widget=forms.TextInput(attrs={"dir": "auto"})
    )

    def clean(self) -> dict[str, Any]:
        asked: dict[str, Any] = super().clean() or {}
        if not asked.get("kind") or not asked.get("given"):
            return asked
        if asked["kind"] == CONTRIBUTOR:
            asked["person"] = User.objects.filter(email__iexact=asked["given"]).first()
            if asked["person"] is None:
                self.add_error("given", _("There is no account of this address."))
            return asked
        try:
            blocklist.plain(TakeDownKind(asked["kind"]), asked["given"])
        except blocklist.NotOne as exc:
            self.add_error("given", str(exc))
        return asked
