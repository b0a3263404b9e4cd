"""Languages, and which of them a person works in."""

from typing import TYPE_CHECKING, Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.models.roles import Role

if TYPE_CHECKING:
    from xinstruct_site.people.models.users import User


class Direction(models.TextChoices):
    LTR = "ltr", _("left to right")
    RTL = "rtl", _("right to left")


class LanguageQuerySet(models.QuerySet["Language"]):
    def reviewed_by(self, user: "User") -> Self:
        """Languages in which this person may review."""
        return self.for_roles(user, {Role.ANNOTATOR, Role.LINGUIST, Role.MAINTAINER})

    def for_roles(self, user: "User", roles: set["Role"]) -> Self:
        if user.is_maintainer_of_all:
            return self
        codes = {m.language_id for m in user.current_memberships() if m.role in roles}
        return self.filter(pk__in=codes)


class Language(models.Model):
    """A language that we collect texts in, with its community's rules."""

    code = models.CharField(_("BCP 47 code"), max_length=35, unique=True)
    name = models.CharField(_("English name"), max_length=80)
    own_name = models.CharField(_("own name"), max_length=80)
    script = models.CharField(_("ISO 15924 script"), max_length=4)
    direction = models.CharField(_("direction"), max_length=3, choices=Direction, default=Direction.LTR)
    guidelines = models.TextField(_("guidelines"), blank=True, help_text=_("Markdown, shown to annotators."))
    guidelines_version = models.PositiveIntegerField(default=1)
    guidelines_language = models.CharField(
        _("guidelines are written in"), max_length=35, blank=True, help_text=_("BCP 47; empty: the language itself.")
    )
    goal = models.PositiveIntegerField(_("goal"), default=1000, help_text=_("Accepted pairs wanted."))
    style_mix = models.CharField(
        _("styles of drafts"),
        max_length=100,
        blank=True,
        validators=[RegexValidator(r"^\w+=\d+(\.\d+)?( \w+=\d+(\.\d+)?)*$")],
        help_text=_("Shares, such as instruction=5 question=3 search=2, which is what it is where this is empty."),
    )
    # The review policy; a pair records the version it was decided under.
    overlap = models.PositiveSmallIntegerField(_("overlap"), default=2, help_text=_("Reviews that an item asks for."))
    quorum = models.PositiveSmallIntegerField(
        _("quorum"), default=2, help_text=_("Accepting reviews that make a pair.")
    )
    recheck_days = models.PositiveSmallIntegerField(
        _("days until a self-recheck"), default=0,
        help_text=_("After so many days the same person may give the second review. 0: never."),
    )  # fmt: skip
    linguists_only = models.BooleanField(_("linguists only"), default=False)
    policy_version = models.PositiveIntegerField(default=1)
    # Screening: how people are let in and looked after.
    gold_share = models.PositiveSmallIntegerField(
        _("hidden gold, in %"), default=5, help_text=_("Of the items that people are served.")
    )
    entry_mark = models.PositiveSmallIntegerField(
        _("entry mark, in %"), default=85, help_text=_("Of ten practice items or more, to be exceeded.")
    )

    objects = LanguageQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("language")
        verbose_name_plural = _("languages")
        constraints = [
            models.CheckConstraint(condition=Q(quorum__gte=1, quorum__lte=F("overlap")), name="quorum_within_overlap"),
            models.CheckConstraint(condition=Q(overlap__lte=9), name="overlap_at_most_9"),
            models.CheckConstraint(condition=Q(gold_share__lte=50), name="gold_is_half_at_most"),
            models.CheckConstraint(condition=Q(entry_mark__lt=100), name="entry_mark_can_be_exceeded"),
        ]

    def __str__(self) -> str:
        return self.name

    def local_name(self) -> str:
        """Its name in the language of the interface, where Django's own catalogues know it."""
        try:
            return str(get_language_info(self.code)["name_translated"])
        except KeyError:
            return self.name

    def gloss(self) -> str:
        """The local name to stand beside the own one, where it says something else."""
        local = self.local_name()
        return "" if local.casefold() == self.own_name.casefold() else local
