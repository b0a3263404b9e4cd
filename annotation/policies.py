"""The review policy of a language: what it asks for, in versions, and what a choice would mean in its own numbers.

A change moves no goalposts: an item keeps the overlap, quorum and version that it was opened under, and who counts
alone does so on items of that version on. Taking a voice away holds at once. No claim and no submit asks here.
"""

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import desk, tallies
from annotation.agreement import Ballot, Result, Wording, verdict
from annotation.models import Decision, Item, ItemKind, ItemState, Review
from xinstruct_site.people.models import Event, EventKind, Language, Membership, PolicyVersion, User

DAYS = desk.DAYS  # what people did lately
ENOUGH = 20  # reviews, under which a share of accepts says nothing
MOST_OVERLAP, MOST_DAYS = 9, 365
MEMORY = 0.7  # how often a self-recheck repeats the first answer, as bench/policies.py takes it


class PolicyError(Exception):
    """The policy cannot be set like this. The message is for the person who asked."""


class Outdated(PolicyError):
    """Somebody changed it meanwhile."""

    def __init__(self) -> None:
        super().__init__(_("Somebody changed the policy meanwhile. Look at it as it is now, and decide anew."))


class NothingChanged(PolicyError):
    """It is the one that stands."""

    def __init__(self) -> None:
        super().__init__(_("This is the policy already. Nothing was changed."))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a language asks of its reviews, but for the people who count alone."""

    overlap: int
    quorum: int
    recheck_days: int = 0
    linguists_only: bool = False

    def problem(self) -> str:
        if not 1 <= self.overlap <= MOST_OVERLAP:
            return _("An item asks for 1 to 9 reviews.")
        if not 1 <= self.quorum <= self.overlap:
            return _("No more accepting reviews can be needed than an item asks for.")
        if not 0 <= self.recheck_days <= MOST_DAYS:
            return _("A self-recheck comes after 1 to 365 days, or never (0).")
        if self.recheck_days and self.overlap < 2:
            return _("A self-recheck is a second review, so the policy must ask for two at least.")
        return ""


def of(row: Language | PolicyVersion) -> Policy:
    return Policy(row.overlap, row.quorum, row.recheck_days, row.linguists_only)


# Changing it


def people_of(language: Language) -> QuerySet[User]:
    """Who may be given a voice that counts alone: everybody with a role in the language."""
    people = User.objects.filter(is_active=True, memberships__language=language)
    return people.distinct().order_by("display_name", "pk")


def alone_in(language: Language) -> QuerySet[User]:
    return people_of(language).filter(
        memberships__in=Membership.objects.filter(language=language, counts_alone_from__isnull=False)
    )


def change(
    language: Language, policy: Policy, alone: Iterable[User], *, note: str = "", author: User, based_on: int
) -> PolicyVersion:
    """The next version, for items opened from now on. `based_on` is the version that the author had before them.

    Raises:
        PolicyError: it breaks a rule, another version came meanwhile, or it is the one that stands.
    """
    if problem := policy.problem():
        raise PolicyError(problem)
    alone = sorted(set(alone), key=lambda user: user.pk)
    with transaction.atomic():
        current = Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        if current.policy_version != based_on:
            raise Outdated
        before = list(alone_in(current).order_by("pk"))
        if of(current) == policy and before == alone:
            raise NothingChanged
        _keep(current, of(current), before, version=based_on)
        made = _keep(current, policy, alone, version=based_on + 1, note=note, author=author, at=timezone.now())
        Language.objects.filter(pk=current.pk).update(
            overlap=policy.overlap, quorum=policy.quorum, recheck_days=policy.recheck_days,
            linguists_only=policy.linguists_only, policy_version=made.version,
        )  # fmt: skip
        roles = Membership.objects.filter(language=current)
        roles.exclude(user__in=alone).update(counts_alone_from=None)
        roles.filter(user__in=alone, counts_alone_from=None).update(counts_alone_from=made.version)
        Event.record(EventKind.POLICY_CHANGED, current, actor=author, language=current, version=made.version)
    return made


def _keep(
    language: Language,
    policy: Policy,
    alone: Iterable[User],
    *,
    version: int,
    note: str = "",
    author: User | None = None,
    at: dt.datetime | None = None,
) -> PolicyVersion:
    """What the policy is under this version. The one that stood before versions were kept is kept with the first."""
    kept, is_new = PolicyVersion.objects.get_or_create(
        language=language,
        version=version,
        defaults={
            "overlap": policy.overlap, "quorum": policy.quorum, "recheck_days": policy.recheck_days,
            "linguists_only": policy.linguists_only, "note": note, "author": author, "at": at,
        },
    )  # fmt: skip
    if is_new:
        kept.alone.set(alone)
    return kept


def open_by_version(language: Language) -> list[tuple[int, int, int, int]]:
    """(version, overlap, quorum, items) of items that wait for reviews, newest version first."""
    waiting = Item.objects.filter(language=language, state=ItemState.OPEN, kind=ItemKind.NORMAL)
    rows = waiting.values_list("policy_version", "overlap", "quorum").annotate(n=Count("pk"))
    return sorted(rows, reverse=True)


# What it would mean


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the language's people did lately, and how much is left."""

    people: int
    per_day: float
    reviews: int
    accepting: float  # share of the counted reviews
    left: int  # pairs to the goal


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a policy comes to. Everything is empty where too little was reviewed to say it."""

    policy: Policy
    accepted_of_100: int | None = None
    reviews_per_pair: float | None = None
    days: int | None = None
    too_few_people: bool = False


def numbers(language: Language) -> Numbers:
    """Of a language with many reviews, as they were when its desk was counted last."""
    known = desk.known_figures(language)
    kept = known.data.get("lately") if known and desk.is_large(language, known) else None
    lately = kept or _lately(language)
    n = lately["reviews"]
    return Numbers(
        people=lately["people"],
        per_day=n / DAYS,
        reviews=n,
        accepting=lately["accepts"] / n if n else 0.0,
        left=max(language.goal - tallies.accepted_in(language), 0),
    )


def _lately(language: Language) -> dict[str, int]:
    since = timezone.now() - dt.timedelta(days=DAYS)
    reviews = Review.objects.standing().filter(item__language=language, item__kind=ItemKind.NORMAL, slot__isnull=False)
    return reviews.filter(submitted_at__gte=since).aggregate(
        reviews=Count("pk"),
        people=Count("reviewer", distinct=True),
        accepts=Count("pk", filter=Q(decision=Decision.ACCEPT)),
    )


def forecast(policy: Policy, found: Numbers) -> Forecast:
    """What this policy would make of the reviews that the language gets, if each accepts by chance as often as they do.

    Reviewers do not answer by chance, so more of them agree than this says: it compares policies and promises nothing.
    Self-rechecks are counted on where people are too few without them.
    """
    rechecks = policy.overlap // 2 if policy.recheck_days and found.people < policy.overlap else 0
    too_few = 0 < found.people < policy.overlap - rechecks
    if found.reviews < ENOUGH or not found.accepting:
        return Forecast(policy, too_few_people=too_few)
    accepted, reviews = chances(policy.overlap, policy.quorum, found.accepting, rechecks)
    per_pair = reviews / accepted
    days = math.ceil(found.left * per_pair / found.per_day) + (policy.recheck_days if rechecks and found.left else 0)
    return Forecast(policy, round(100 * accepted), per_pair, days, too_few)


def chances(overlap: int, quorum: int, accepting: float, rechecks: int = 0) -> tuple[float, float]:
    """How likely an item is accepted, and how many reviews it takes, by the rule itself.

    The last `rechecks` answers are those of the first people once more.
    """
    accepted = reviews = 0.0
    for answers in product([True, False], repeat=overlap):
        by_chance = [accepting if yes else 1 - accepting for yes in answers]
        pairs = zip(answers, answers[overlap - rechecks :], by_chance[overlap - rechecks :], strict=False)
        again = [MEMORY * (first == second) + (1 - MEMORY) * chance for first, second, chance in pairs]
        likely = math.prod(by_chance[: overlap - rechecks] + again)
        said = [Ballot(str(n), yes, Wording("same"), 4 if yes else None) for n, yes in enumerate(answers)]
        results = [verdict(said[:n], overlap, quorum).result for n in range(1, overlap + 1)]
        first = next((n for n, result in enumerate(results, 1) if result == Result.ACCEPTED), overlap)
        accepted += likely * (Result.ACCEPTED in results)
        reviews += likely * first
    return accepted, reviews
