"""Spot checks: people look at samples of what a gate turned away and say whether that was right.

The answers give each gate's precision, with a Wilson interval: of few answers it is wide, and says so. A subject is
named `candidate:ID`, `passed:ID` or `row:IMPORT:PLACE`.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from generation.funnels import newest
from generation.intervals import wilson
from generation.models import Candidate, CandidateState, Gate, PassedOver, RejectedSample, Run, SpotCheck
from generation.rejections import Reason
from xinstruct_site.people.models import Language, User

SAMPLES = 8
PLACES = 6  # where a sample is taken from; neighbours are alike
ROWS_PER_PLACE = 400


@dataclass(frozen=True, slots=True)
class Precision:
    """How often one gate turned something away for one reason, and how often people found that right."""

    gate: str
    reason: str
    turned_away: int
    right: int
    wrong: int

    @property
    def share(self) -> float | None:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.right + self.wrong)


def precisions(language: Language) -> list[Precision]:
    """Every gate and reason that turned something away in the language, most frequent first within its gate."""
    turned_away: Counter[tuple[str, str]] = Counter()
    for counts in language.imports.values_list("counts", flat=True):
        for reason, number in (counts.get("rejected") or {}).items():
            turned_away[Gate.IMPORT, reason] += number
    for counts in Run.objects.filter(language=language).values_list("counts", flat=True):
        for reason, number in counts.get("reasons", []):
            turned_away[Gate.REPLY, reason] += number
    if passed := PassedOver.objects.filter(round__language=language).count():
        turned_away[Gate.NEAR_DUPLICATE, ""] = passed
    answers = {
        (row["gate"], row["reason"]): (row["right"], row["number"] - row["right"])
        for row in SpotCheck.objects.filter(language=language)
        .values("gate", "reason")
        .annotate(number=Count("pk"), right=Count("pk", filter=Q(was_right=True)))
    }
    keys = sorted(turned_away.keys() | answers.keys(), key=lambda key: (Gate.values.index(key[0]), -turned_away[key]))
    return [
        Precision(gate, reason, turned_away[gate, reason], *answers.get((gate, reason), (0, 0)))
        for gate, reason in keys
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing that was turned away: a candidate or passed-over text by its row, a row of an import by its words."""

    subject: str
    candidate: Candidate | None = None
    like: Any = None
    words: str = ""
    detail: str = ""


def samples(language: Language, gate: str, reason: str, person: User, chance: random.Random) -> list[Sample]:
    """Some things, from all over, that the gate turned away and that this person has not judged yet."""
    judged = set(
        SpotCheck.objects.filter(language=language, gate=gate, reason=reason, person=person).values_list(
            "subject", flat=True
        )
    )
    draw = {Gate.REPLY: _replies, Gate.NEAR_DUPLICATE: _passed_over, Gate.IMPORT: _import_rows}[Gate(gate)]
    fresh = {one.subject: one for one in draw(language, reason, chance) if one.subject not in judged}
    return chance.sample(sorted(fresh.values(), key=lambda one: one.subject), min(SAMPLES, len(fresh)))


def _replies(language: Language, reason: str, chance: random.Random) -> Iterator[Sample]:
    sizes = dict(Run.objects.filter(language=language, texts_done__gt=0).values_list("pk", "texts_done"))
    found: set[int] = set()
    # One run at a time, for its rows stand in the order of an index; large ones more often.
    for run in chance.choices(list(sizes), list(sizes.values()), k=PLACES) if sizes else ():
        rejected = Candidate.objects.filter(run=run, state=CandidateState.REJECTED).order_by("pk")
        first, last = (rows.values_list("pk", flat=True).first() for rows in (rejected, rejected.reverse()))
        if first is None or last is None:
            continue
        # From the first on, too: of few rows, a place by chance is often behind the last.
        start = chance.choice([first, chance.randint(first, last)])
        some = rejected.filter(pk__gte=start).values_list("pk", "reasons")[:ROWS_PER_PLACE]
        found.update([pk for pk, reasons in some if reason in reasons][:SAMPLES])
    for candidate in newest(Candidate.objects.filter(pk__in=found)):
        yield Sample(f"candidate:{candidate.pk}", candidate=candidate)


def _passed_over(language: Language, reason: str, chance: random.Random) -> Iterator[Sample]:
    passed = PassedOver.objects.filter(round__language=language)
    ids = list(passed.order_by("-pk").values_list("pk", flat=True)[: PLACES * ROWS_PER_PLACE])
    some = list(passed.filter(pk__in=chance.sample(ids, min(4 * SAMPLES, len(ids)))))
    candidates = {one.pk: one for one in newest(Candidate.objects.filter(pk__in=[one.candidate_id for one in some]))}
    likes = dict(
        Candidate.objects.filter(text__in=[one.like_id for one in some], text__known_instruction__isnull=False)
        .values_list("text", "text__known_instruction__instruction")
    )  # fmt: skip
    for one in some:
        yield Sample(f"passed:{one.pk}", candidate=candidates[one.candidate_id], like=likes.get(one.like_id, ""))


def _import_rows(language: Language, reason: str, chance: random.Random) -> Iterator[Sample]:
    """What was drawn, as imports ran, of all that they turned away."""
    for one in RejectedSample.objects.filter(language=language, reason=reason).select_related("batch"):
        yield Sample(f"row:{one.batch.public_id}:{one.place}", words=one.words, detail=one.detail)


def judge(language: Language, gate: str, reason: str, subject: str, person: User, *, was_right: bool) -> SpotCheck:
    """Keep the answer; a second one of the same person replaces the first."""
    return SpotCheck.objects.update_or_create(
        language=language, gate=gate, reason=reason, subject=subject, person=person, defaults={"was_right": was_right}
    )[0]


def reason_label(gate: str, reason: str) -> str:
    """An import's reason in words; the others have a template of their own."""
    return str(dict(Reason.choices).get(reason, reason)) if gate == Gate.IMPORT else reason
