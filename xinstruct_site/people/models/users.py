"""People: their accounts, how releases credit them, and what they chose to say of themselves."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.ids import LENGTH, new_public_id
from xinstruct_site.people.models.languages import Language
from xinstruct_site.people.models.roles import Membership, Role


class Credit(models.TextChoices):
    """How the documents of releases name a contributor. Rows name nobody."""

    PSEUDONYM = "pseudonym", _("By a pseudonym")
    NAME = "name", _("By name")

    __empty__ = _("Not at all")


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email__iexact=email)


class User(AbstractUser):
    """A person. Signs in by e-mail address; others see the display name only."""

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True)
    public_id = models.CharField(max_length=LENGTH, unique=True, default=new_public_id, editable=False)
    display_name = models.CharField(_("name shown to others"), max_length=80, blank=True)
    interface_language = models.CharField(_("interface language"), max_length=10, blank=True)
    credit = models.CharField(_("How releases name you"), max_length=10, choices=Credit, blank=True)
    credited_as = models.CharField(
        _("Name or pseudonym"), max_length=80, blank=True,
        help_text=_("Printed with releases that are made from now on, in a list of contributors, and beside no row."),
    )  # fmt: skip

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta(AbstractUser.Meta):
        constraints = [models.UniqueConstraint("email", name="one_account_per_address")]

    def __str__(self) -> str:
        return self.display_name or f"person {self.public_id}"

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)

    @cached_property
    def _memberships(self) -> list["Membership"]:
        return list(self.memberships.select_related("language").order_by("language__name", "role"))

    def current_memberships(self) -> list["Membership"]:
        """This person's roles, read once per request."""
        return self._memberships

    def came_with(self, memberships: list["Membership"]) -> None:
        """These are the roles: they were read with the person."""
        self.__dict__["_memberships"] = memberships

    @property
    def is_maintainer_of_all(self) -> bool:
        return self.is_superuser or any(
            m.role == Role.MAINTAINER and m.language_id is None for m in self.current_memberships()
        )

    def has_role(self, language: Language | None, *roles: Role) -> bool:
        """Whether this person holds one of the roles in the language; a maintainer of all holds every role everywhere.

        `language=None` asks for the role anywhere.
        """
        if not self.is_active:
            return False
        if self.is_maintainer_of_all:
            return True
        return any(
            m.role in {*roles, Role.MAINTAINER} and (language is None or m.language_id == language.pk)
            for m in self.current_memberships()
        )

    def is_paused(self, language: Language) -> bool:
        return any(m.language_id == language.pk and m.paused_at for m in self.current_memberships())

    def counts_alone(self, language: Language, policy_version: int) -> bool:
        """Whether their accept makes a pair by itself, on items that were opened under that version of the policy."""
        return any(
            m.language_id == language.pk and m.counts_alone_from is not None and m.counts_alone_from <= policy_version
            for m in self.current_memberships()
        )


class AgeRange(models.TextChoices):
    """With hyphens: between other dashes the numbers change sides where pages run from right to left."""

    FROM_18 = "18-24", "18-24"
    FROM_25 = "25-34", "25-34"
    FROM_35 = "35-44", "35-44"
    FROM_45 = "45-54", "45-54"
    FROM_55 = "55-64", "55-64"
    FROM_65 = "65+", "65+"

    __empty__ = _("I would rather not say")


class Gender(models.TextChoices):
    WOMAN = "woman", _("Woman")
    MAN = "man", _("Man")
    OTHER = "other", _("Another")

    __empty__ = _("I would rather not say")


class Demographics(models.Model):
    """What a person chose to say of themselves. Nobody is shown it: it leaves as aggregates of many people only."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="demographics")
    age_range = models.CharField(_("Age"), max_length=5, choices=AgeRange, blank=True)
    gender = models.CharField(_("Gender"), max_length=5, choices=Gender, blank=True)
    # Codes where naming.py knows them, and otherwise what was typed.
    country = models.CharField(_("Country where you live"), max_length=80, blank=True)
    native_varieties = models.CharField(
        _("Languages and varieties you grew up with"), max_length=200, blank=True,
        help_text=_("Languages are in the list; a variety that is not is taken as you type it."),
    )  # fmt: skip
    languages_spoken = models.CharField(_("Other languages you speak"), max_length=200, blank=True)

    def __str__(self) -> str:
        return f"demographics of {self.user}"
