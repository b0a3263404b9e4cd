"""Opens and closes duels, blind comparisons of two models' answers, and reads their votes for the figures.

Who gets which bout, and what they say of it, is in voting.py; what it amounts to, in duel_figures.py.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from annotation.duel_figures import BASE, RIVAL, TIE, Ballot, win_rate
from annotation.models import Bout, Duel, DuelState, Vote, VoteChoice, VoteState
from generation.intervals import Rate
from generation.models import Answer, ModelVersion, QuestionSet
from xinstruct_site.people.models import Event, EventKind, Language, User

ORDERS = 2**31


class DuelError(Exception):
    """The duel cannot be held. The message is for the person who asked."""


def open_duel(
    question_set: QuestionSet,
    language: Language,
    base: ModelVersion,
    rival: ModelVersion,
    *,
    overlap: int = 2,
    created_by: User | None = None,
) -> Duel:
    """The duel of two models on the questions of a language that both have answered.

    Called again, whichever of the two comes first, it is the same duel, opened again where it was closed, with the
    bouts that have become possible since. Where both answers are the same there is nothing to compare.

    Raises:
        DuelError: the two are one, or there is nothing to compare.
    """
    if base == rival:
        raise DuelError(_("A model cannot duel with itself."))
    answered = _answered_by_both(question_set, language, base, rival)
    if not answered:
        raise DuelError(
            _("There is no question of “%(set)s” in %(language)s that both models have answered.")
            % {"set": question_set.name, "language": language.local_name()}
        )
    pairs = [(ours, theirs) for ours, theirs in answered if ours.body.strip() != theirs.body.strip()]
    if not pairs:
        raise DuelError(_("Both models answered every question in the same words: there is nothing to compare."))
    with transaction.atomic():
        # One at a time, so that asking twice at once makes one duel.
        QuestionSet.objects.select_for_update(no_key=True).get(pk=question_set.pk)
        same = Q(base=base, rival=rival) | Q(base=rival, rival=base)
        duel = Duel.objects.filter(same, question_set=question_set, language=language).first()
        is_new = duel is None
        duel = duel or Duel(question_set=question_set, language=language, base=base, rival=rival, created_by=created_by)
        was_open = not is_new and duel.state == DuelState.OPEN
        duel.overlap, duel.state, duel.left_out = overlap, DuelState.OPEN, len(answered) - len(pairs)
        duel.save()
        is_turned = duel.base_id != base.pk
        Bout.objects.bulk_create(
            (
                Bout(
                    duel=duel, question_id=ours.question_id, order=_order(duel, ours.question_id),
                    base_answer=theirs if is_turned else ours, rival_answer=ours if is_turned else theirs,
                )
                for ours, theirs in pairs
            ),
            ignore_conflicts=True,
        )  # fmt: skip
        if not was_open:
            Event.record(EventKind.DUEL_OPENED, duel, actor=created_by, language=language, bouts=len(pairs))
    return duel


def _answered_by_both(
    question_set: QuestionSet, language: Language, base: ModelVersion, rival: ModelVersion
) -> list[tuple[Answer, Answer]]:
    asked = question_set.questions.standing().filter(language=language)
    answers = Answer.objects.filter(question__in=asked)
    theirs = {answer.question_id: answer for answer in answers.filter(model_version=rival)}
    ours = answers.filter(model_version=base).order_by("question")
    return [(answer, theirs[answer.question_id]) for answer in ours if answer.question_id in theirs]


def _order(duel: Duel, question_id: int) -> int:
    digest = hashlib.sha256(f"{duel.public_id}:{question_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % ORDERS


def close_duel(duel: Duel, by: User | None = None) -> bool:
    """Hand out no more of it. Votes that are on the way are still taken. False where it was closed."""
    won = Duel.objects.filter(pk=duel.pk, state=DuelState.OPEN).update(state=DuelState.CLOSED)
    if won:
        duel.state = DuelState.CLOSED
        Event.record(EventKind.DUEL_CLOSED, duel, actor=by, language=duel.language)
    return bool(won)


def ballots(duel: Duel) -> list[Ballot]:
    """The votes of a duel as its figures are made from."""
    given = Vote.objects.filter(bout__duel=duel, state=VoteState.GIVEN)
    return [
        ballot(question, person, base_is_first=base_is_first, choice=choice)
        for question, person, base_is_first, choice in given.order_by("pk").values_list(
            "bout__question", "person", "base_is_first", "choice"
        )
    ]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a list says of a duel."""

    duel: Duel
    votes: int
    win_rate: Rate | None


def standings(found: Iterable[Duel]) -> list[Standing]:
    said = [(duel, ballots(duel)) for duel in found]
    return [Standing(duel, len(of_duel), win_rate(of_duel)) for duel, of_duel in said]


def ballot(question: int, person: int, *, base_is_first: bool, choice: str) -> Ballot:
    if choice not in {VoteChoice.A, VoteChoice.B}:
        return Ballot(question, person, TIE)
    first_won = choice == VoteChoice.A
    return Ballot(question, person, BASE if first_won == base_is_first else RIVAL, first_won)


def reasons(duel: Duel) -> QuerySet[Vote]:
    """Votes for which people said why, the newest first; who said it is not for a report."""
    given = Vote.objects.filter(bout__duel=duel, state=VoteState.GIVEN).exclude(rationale="")
    return given.select_related("bout__question").order_by("-decided_at")
