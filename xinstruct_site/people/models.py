"""Users, languages, roles, invitations, agreements and events. All else points at these; these point at nothing."""

import datetime as dt
import hashlib
import json
import secrets
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from xinstruct_site.people.ids import LENGTH, new_public_id


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


class PolicyVersion(models.Model):
    """A language's review policy from one change to the next. The newest is on the language, too."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="policy_versions")
    version = models.PositiveIntegerField(_("version"))
    overlap = models.PositiveSmallIntegerField(_("overlap"))
    quorum = models.PositiveSmallIntegerField(_("quorum"))
    recheck_days = models.PositiveSmallIntegerField(_("days until a self-recheck"), default=0)
    linguists_only = models.BooleanField(_("linguists only"), default=False)
    alone: models.ManyToManyField = models.ManyToManyField(
        "User", related_name="+", help_text="Whose accept made a pair by itself."
    )
    note = models.CharField(_("why"), max_length=300, blank=True)
    author = models.ForeignKey("User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(null=True, blank=True, help_text="Empty: from before versions were kept.")

    class Meta:
        ordering = ["language", "-version"]
        verbose_name = _("version of a policy")
        verbose_name_plural = _("versions of policies")
        constraints = [models.UniqueConstraint(fields=["language", "version"], name="one_policy_per_version")]

    def __str__(self) -> str:
        return f"review policy of {self.language}, version {self.version}"


class Role(models.TextChoices):
    ANNOTATOR = "annotator", _("annotator")  # reviews
    LINGUIST = "linguist", _("linguist")  # audits, adjudicates, leads a language
    MAINTAINER = "maintainer", _("maintainer")  # everything; publishes and trains


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
    country = models.CharField(_("Country where you live"), max_length=80, blank=True)
    native_varieties = models.CharField(
        _("Languages and varieties you grew up with"), max_length=200, blank=True,
        help_text=_("Commas between them. English names are counted together best."),
    )  # fmt: skip
    languages_spoken = models.CharField(_("Other languages you speak"), max_length=200, blank=True)

    def __str__(self) -> str:
        return f"demographics of {self.user}"


class Membership(models.Model):
    """One role of one person in one language; a maintainer's language may be empty, which means all."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    language = models.ForeignKey(Language, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships")
    role = models.CharField(_("role"), max_length=12, choices=Role)
    variety = models.CharField(_("variety"), max_length=80, blank=True, help_text=_("Dialect or orthography."))
    granted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    granted_at = models.DateTimeField(auto_now_add=True)
    counts_alone_from = models.PositiveIntegerField(
        null=True, blank=True, help_text="Since which policy version this person's accept makes a pair by itself."
    )
    paused_at = models.DateTimeField(null=True, blank=True, help_text="Served nothing until a linguist lifts it.")

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "language", "role"], name="one_membership_per_role", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(language__isnull=False) | Q(role=Role.MAINTAINER), name="only_maintainers_span_languages"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} of {self.language or 'all languages'}"


class GuidelinesVersion(models.Model):
    """What a language's guidelines said from one change to the next. The newest is on the language, too."""

    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="guidelines_versions")
    version = models.PositiveIntegerField(_("version"))
    body = models.TextField(_("guidelines"), blank=True)
    written_in = models.CharField(max_length=35, blank=True, help_text=_("BCP 47; empty: the language itself."))
    note = models.CharField(_("what changed"), max_length=300, blank=True)
    author = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(null=True, blank=True, help_text="Empty: from before versions were kept.")

    class Meta:
        ordering = ["language", "-version"]
        verbose_name = _("version of guidelines")
        verbose_name_plural = _("versions of guidelines")
        constraints = [models.UniqueConstraint(fields=["language", "version"], name="one_body_per_guidelines_version")]

    def __str__(self) -> str:
        return f"guidelines of {self.language}, version {self.version}"


class GuidelinesSeen(models.Model):
    """The newest version of a language's guidelines that a person has opened."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    language = models.ForeignKey(Language, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "language"], name="one_newest_guidelines_seen_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.user} saw version {self.version} of the guidelines of {self.language}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        return self.filter(used_at=None, withdrawn_at=None, expires_at__gt=timezone.now())

    def for_token(self, token: str) -> Self:
        return self.open().filter(token_sha256=token_digest(token))


def token_digest(token: str) -> str:
    """What is stored of a one-use token: a leaked table opens no account."""
    return hashlib.sha256(token.encode()).hexdigest()


def invitation_expiry() -> dt.datetime:
    return timezone.now() + dt.timedelta(days=settings.INVITATION_DAYS)


class Invitation(models.Model):
    """A one-use, expiring offer of one role in one language to one e-mail address."""

    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=12, choices=Role)
    language = models.ForeignKey(Language, on_delete=models.CASCADE, null=True, blank=True, related_name="invitations")
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(default=invitation_expiry)
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(language__isnull=False) | Q(role=Role.MAINTAINER), name="invitation_names_a_language"
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk} as {self.role} of {self.language or 'all languages'}"

    @classmethod
    def issue(
        cls, *, email: str, role: str, language: Language | None, invited_by: User | None = None
    ) -> tuple["Invitation", str]:
        """A new invitation and its token, which is shown once and stored only as a digest."""
        token = secrets.token_urlsafe(24)
        invitation = cls.objects.create(
            email=email.strip().lower(),
            role=role,
            language=language,
            invited_by=invited_by,
            token_sha256=token_digest(token),
        )
        return invitation, token


class ContributorAgreement(models.Model):
    """What contributors agree to, in versions; the newest counts. Contributions record the version they fall under."""

    version = models.PositiveIntegerField(_("version"), unique=True)
    body = models.TextField(_("text"), help_text=_("Markdown."))
    licence_id = models.CharField(_("licence of contributions (SPDX)"), max_length=60, default="CC0-1.0")
    published_at = models.DateTimeField(auto_now_add=True)
    accepted_by: models.ManyToManyField = models.ManyToManyField(User, through="Acceptance", related_name="agreements")

    class Meta:
        ordering = ["-version"]
        get_latest_by = "version"

    def __str__(self) -> str:
        return f"contributor agreement {self.version}"

    @classmethod
    def current(cls) -> "ContributorAgreement | None":
        return cls.objects.order_by("-version").first()


class Acceptance(models.Model):
    """That one person accepted one version of the agreement, once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="acceptances")
    agreement = models.ForeignKey(ContributorAgreement, on_delete=models.PROTECT, related_name="acceptances")
    accepted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "agreement"], name="one_acceptance_per_version")]

    def __str__(self) -> str:
        return f"{self.user} accepted {self.agreement}"


class EventKind(models.TextChoices):
    """What the log can say. Past tense: each is a fact."""

    INVITED = "invited"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    JOINED = "joined"
    AGREED = "agreed"
    GUIDELINES_CHANGED = "guidelines_changed"
    POLICY_CHANGED = "policy_changed"
    GOLD_MADE = "gold_made"
    GOLD_RETIRED = "gold_retired"
    PAUSED = "paused"
    PAUSE_LIFTED = "pause_lifted"
    PRACTICE_MADE = "practice_made"
    PRACTICE_RETIRED = "practice_retired"
    TEXTS_IMPORTED = "texts_imported"
    SEEDS_IMPORTED = "seeds_imported"
    SEED_VERIFIED = "seed_verified"
    SEED_REJECTED = "seed_rejected"
    RUN_QUEUED = "run_queued"
    RUN_FINISHED = "run_finished"
    RUN_FAILED = "run_failed"
    RUN_STOPPED = "run_stopped"
    RUN_PAUSED = "run_paused"
    RUN_RESUMED = "run_resumed"
    ROUND_CLOSED = "round_closed"
    ITEM_CLAIMED = "item_claimed"
    ITEM_SKIPPED = "item_skipped"
    SKIP_TAKEN_BACK = "skip_taken_back"
    REVIEW_SUBMITTED = "review_submitted"
    REVIEW_WITHDRAWN = "review_withdrawn"
    PAIR_DECIDED = "pair_decided"
    ITEM_RELABELLED = "item_relabelled"
    RELABEL_TAKEN_BACK = "relabel_taken_back"
    AUDITED = "audited"
    AUDIT_TAKEN_BACK = "audit_taken_back"
    ADJUDICATED = "adjudicated"
    ADJUDICATION_TAKEN_BACK = "adjudication_taken_back"
    RELEASE_PROPOSED = "release_proposed"
    RELEASE_BUILT = "release_built"
    RELEASE_FAILED = "release_failed"
    RELEASE_EXPORTED = "release_exported"
    RELEASE_WITHDRAWN = "release_withdrawn"
    TAKEN_DOWN = "taken_down"
    FINETUNE_QUEUED = "finetune_queued"
    FINETUNE_FINISHED = "finetune_finished"
    FINETUNE_FAILED = "finetune_failed"
    FINETUNE_CANCELLED = "finetune_cancelled"
    DUEL_OPENED = "duel_opened"
    DUEL_CLOSED = "duel_closed"
    VOTE_GIVEN = "vote_given"
    VOTE_TAKEN_BACK = "vote_taken_back"


class Event(models.Model):
    """The append-only log of who did what when; `subject` is the model's name and key, so rows of every app fit."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    kind = models.CharField(max_length=30, choices=EventKind)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="events")
    language = models.ForeignKey(Language, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    subject_type = models.CharField(max_length=40)
    subject_id = models.BigIntegerField()
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["subject_type", "subject_id", "at"], name="event_by_subject")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_type} {self.subject_id}"

    @classmethod
    def record(
        cls,
        kind: EventKind,
        subject: models.Model,
        *,
        actor: User | None = None,
        language: Language | None = None,
        **data: Any,
    ) -> None:
        """Append one fact. `data` holds ids and counts, never review text."""
        about = {
            "at": timezone.now(),
            "kind": kind.value,
            "actor": actor.pk if actor else None,
            "language": language.pk if language else None,
            "subject_type": subject._meta.model_name,
            "subject": subject.pk,
            "data": json.dumps(data),
        }
        with connection.cursor() as cursor:  # plain SQL: a review is three facts
            cursor.execute(RECORD, about)


RECORD = """
    INSERT INTO people_event (at, kind, actor_id, language_id, subject_type, subject_id, data)
    VALUES (%(at)s, %(kind)s, %(actor)s, %(language)s, %(subject_type)s, %(subject)s, %(data)s)
"""
