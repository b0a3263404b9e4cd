"""Hands out the bouts of open duels, takes votes, and takes them back.

What stands first is drawn anew for every person and bout, and stored before anything is shown. Nothing here reads a
model's name: whoever votes is handed a question and two answers.
"""

import random
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from annotation.models import Bout, Duel, DuelState, Vote, VoteChoice, VoteState
from annotation.queues import lease, one_claim_at_a_time
from xinstruct_site.people.agreements import newest_if_accepted
from xinstruct_site.people.models import Event, EventKind, Language, User


class VoteError(Exception):
    """The vote was not taken. The message is for the person who gave it."""


class NoAgreement(VoteError):
    """There is a new contributor agreement to accept first."""


# Handing out


def next_vote(user: User, language: Language) -> Vote | None:
    """The bout this person is at, or the next one that they have not seen and that asks for votes; None: no more.

    A seat is given out once, whoever asks at the same instant: the row of the bout is locked, and the schema knows
    one vote per bout and seat, and one per bout and person.
    """
    while True:
        try:
            with transaction.atomic():
                one_claim_at_a_time(user)  # two tabs of one person get the same bout
                vote = _current(user, language) or _claim(user, language)
        except IntegrityError:
            continue  # the seat went while we waited for the row
        return at(user, language, vote.public_id) if vote else None


def _current(user: User, language: Language) -> Vote | None:
    """The bout the person is at; its lease starts anew."""
    shown = Vote.objects.filter(person=user, state=VoteState.SHOWN).exclude(bout__question__instruction="")
    here = shown.filter(bout__duel__language=language, bout__duel__state=DuelState.OPEN)
    vote = here.order_by("shown_at").first()
    if vote:
        Vote.objects.filter(pk=vote.pk).update(shown_at=timezone.now())
    return vote


def _claim(user: User, language: Language) -> Vote | None:
    """A seat at the first bout there is. Rows that others hold locked are passed over first, and then waited for."""
    for skip_locked in (True, False):
        # Duel by duel, so that the index of its bouts gives them in order and the first that is free ends the search.
        for duel in Duel.objects.filter(language=language, state=DuelState.OPEN).order_by("pk"):
            bouts = open_to(user, language).filter(duel=duel).order_by("order", "pk")
            locking = bouts.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)
            while bout := locking.first():
                bout.duel = duel
                if vote := _seat(user, bout):
                    return vote
    return None


def open_to(user: User, language: Language) -> QuerySet[Bout]:
    """Bouts of open duels with a seat to be had, which this person has never been at."""
    in_use = Count("votes", filter=Q(votes__seat__isnull=False) & ~_lapsed("votes__"))
    taken = Bout.objects.filter(pk=OuterRef("pk")).annotate(n=in_use).filter(n__gte=OuterRef("duel__overlap"))
    return Bout.objects.filter(
        ~Exists(Vote.objects.filter(bout=OuterRef("pk"), person=user)),
        ~Exists(taken),
        ~Q(question__instruction=""),  # taken down
        duel__language=language,
        duel__state=DuelState.OPEN,
    )


def _lapsed(prefix: str = "") -> Q:
    """Shown and not answered for as long as a lease runs."""
    return Q(**{f"{prefix}state": VoteState.SHOWN, f"{prefix}shown_at__lt": timezone.now() - lease()})


def _seat(user: User, bout: Bout) -> Vote | None:
    """A seat at the bout, whose row is locked; None where others have them all by now."""
    bout.votes.filter(_lapsed(), seat__isnull=False).update(state=VoteState.LAPSED, seat=None)
    seat = _free_seat(bout)
    if seat is None:
        return None
    return Vote.objects.create(bout=bout, person=user, seat=seat, base_is_first=bool(random.getrandbits(1)))


def _free_seat(bout: Bout) -> int | None:
    taken = set(bout.votes.filter(seat__isnull=False).values_list("seat", flat=True))
    return next((number for number in range(1, bout.duel.overlap + 1) if number not in taken), None)


def waiting(user: User, languages: list[Language]) -> dict[int, int]:
    """How many bouts wait for this person, by language."""
    counts = {language.pk: open_to(user, language).count() for language in _with_open_duels(languages)}
    mine = Vote.objects.filter(person=user, state=VoteState.SHOWN, bout__duel__state=DuelState.OPEN)
    shown = mine.filter(bout__duel__language__in=languages).values_list("bout__duel__language")
    for language_id, number in shown.annotate(n=Count("pk")):
        counts[language_id] = counts.get(language_id, 0) + number
    return counts


def _with_open_duels(languages: list[Language]) -> list[Language]:
    wanted = set(Duel.objects.filter(state=DuelState.OPEN, language__in=languages).values_list("language", flat=True))
    return [language for language in languages if language.pk in wanted]


def at(user: User, language: Language, public_id: str) -> Vote | None:
    """One's own vote with what its card shows, and nothing that says which model answered."""
    mine = Vote.objects.filter(person=user, bout__duel__language=language, public_id=public_id)
    return mine.select_related("bout__question", "bout__base_answer", "bout__rival_answer").first()


# Voting


def give(user: User, vote: Vote, choice: VoteChoice, rationale: str = "") -> None:
    """Record what the person says. The same sent again is taken once; another choice asks for undo first.

    Raises:
        NoAgreement: there is a contributor agreement to accept first.
        VoteError: it was given already, in other words.
    """
    agreement = newest_if_accepted(user)
    if agreement is None:
        raise NoAgreement(_("There is a new version of the contributor agreement to accept first."))
    with transaction.atomic():
        bout = Bout.objects.select_for_update(no_key=True, of=("self",)).select_related("duel").get(pk=vote.bout_id)
        current = Vote.objects.get(pk=vote.pk)
        if current.state == VoteState.GIVEN:
            if current.choice == choice:
                return
            raise VoteError(_("You have voted on this pair already. Undo the vote to change it."))
        Vote.objects.filter(pk=vote.pk).update(
            state=VoteState.GIVEN,
            choice=choice,
            rationale=rationale,
            seat=current.seat or _free_seat(bout),  # one that lapsed counts all the same
            decided_at=timezone.now(),
            interface_language=get_language() or "en",
            agreement=agreement,
        )
        Event.record(EventKind.VOTE_GIVEN, vote, actor=user, language=bout.duel.language)


def skip(user: User, vote: Vote) -> None:
    """Leave the bout to others. It does not come back to this person, unless they undo it."""
    open_states = [VoteState.SHOWN, VoteState.LAPSED]
    Vote.objects.filter(pk=vote.pk, person=user, state__in=open_states).update(
        state=VoteState.SKIPPED, seat=None, decided_at=timezone.now()
    )


def last_decided(user: User, language: Language) -> Vote | None:
    """What undo would take back."""
    decided = Vote.objects.filter(
        person=user, bout__duel__language=language, state__in=[VoteState.GIVEN, VoteState.SKIPPED]
    )
    return decided.order_by("-decided_at", "-pk").first()


def take_back(user: User, vote: Vote) -> bool:
    """Undo one's own vote or skip: the card comes again as it was. False where there is nothing to undo."""
    with transaction.atomic():
        bout = Bout.objects.select_for_update(no_key=True, of=("self",)).select_related("duel").get(pk=vote.bout_id)
        current = Vote.objects.get(pk=vote.pk)
        if current.person_id != user.pk or current.state not in {VoteState.GIVEN, VoteState.SKIPPED}:
            return False
        fields: dict[str, Any] = {"state": VoteState.SHOWN, "choice": "", "agreement": None, "decided_at": None}
        fields |= {"seat": current.seat or _free_seat(bout), "shown_at": timezone.now()}
        Vote.objects.filter(pk=vote.pk).update(**fields)
        if current.state == VoteState.GIVEN:
            Event.record(EventKind.VOTE_TAKEN_BACK, vote, actor=user, language=bout.duel.language)
    return True


def withdraw_all(user: User) -> int:
    """Take back all that a person said of any duel, with their words; they get none of these pairs again."""
    return Vote.objects.filter(person=user).update(
        state=VoteState.SKIPPED, seat=None, choice="", rationale="", agreement=None
    )
