"""The lead's desk: what a language's reviews say of themselves, counted in one pass and kept, with signals to people.

Counting 300,000 reviews takes seconds, so pages read what was counted last, and a worker counts anew. Small languages
are counted on the spot.
"""

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import asdict

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from annotation import figures, finding
from annotation.editing import kind_of_edit
from annotation.models import DeskFigures, ItemKind, Pair, Review, Signal, Tally
from annotation.overview import pipelines
from xinstruct_site.people.models import Language, User

FRESH = dt.timedelta(minutes=15)
SMALL = 2_000  # reviews that are counted while somebody waits for the page, and so more often
SMALL_FRESH = dt.timedelta(minutes=1)
DAYS = 30
HEADS_UP = dt.timedelta(days=7)  # after which a lead sees a signal that the person has not

ANSWERS = """
    SELECT review.item_id, review.reviewer_id, review.decision = 'accept',
           ARRAY[coalesce(review.rating_alignment, 0), coalesce(review.rating_instruction, 0),
                 coalesce(review.rating_text, 0), coalesce(review.overall, 0)],
           (review.submitted_at AT TIME ZONE %(zone)s)::date - date '0001-01-01' + 1,
           review.active_seconds, text.chars, hashtextextended(btrim(review.instruction), 0),
           candidate.id IS NULL OR btrim(candidate.instruction) <> btrim(review.instruction),
           CASE item.state WHEN 'accepted' THEN 2 WHEN 'rejected' THEN 1 ELSE 0 END
      FROM annotation_review AS review
      JOIN annotation_item AS item ON item.id = review.item_id
      JOIN generation_text AS text ON text.id = item.text_id
      LEFT JOIN generation_candidate AS candidate ON candidate.id = review.candidate_id
     WHERE item.language_id = %(language)s AND item.kind = 'normal' AND review.withdrawn_at IS NULL
       AND review.slot_id IS NOT NULL AND review.review_pass = 1
     ORDER BY review.submitted_at, review.id
"""
SELF_AGREEMENT = """
    SELECT second.reviewer_id, count(*), count(*) FILTER (WHERE second.decision = first.decision)
      FROM annotation_review AS second
      JOIN annotation_item AS item ON item.id = second.item_id
      JOIN annotation_review AS first ON first.item_id = second.item_id AND first.reviewer_id = second.reviewer_id
     WHERE item.language_id = %s AND item.kind = 'normal' AND second.review_pass = 2 AND first.review_pass = 1
       AND second.withdrawn_at IS NULL AND first.withdrawn_at IS NULL
     GROUP BY second.reviewer_id
"""
COLUMNS = ("item", "person", "accepts", "ratings", "day", "seconds", "chars", "wording", "edited", "outcome")


def known_figures(language: Language) -> DeskFigures | None:
    """The figures as they were counted last; None where never. Old ones of a small language are counted anew."""
    known = DeskFigures.objects.filter(language=language).defer("pairs").first()
    if is_old(known, SMALL_FRESH) and not is_large(language, known):
        return count_anew(language)
    return known


def is_large(language: Language, known: DeskFigures | None) -> bool:
    """Whether its reviews are too many to be counted while somebody waits."""
    return reviews_of(language, known) > SMALL


def is_old(known: DeskFigures | None, fresh: dt.timedelta = FRESH) -> bool:
    return known is None or known.computed_at < timezone.now() - fresh


def reviews_of(language: Language, known: DeskFigures | None) -> int:
    """How many there were when they were counted last; where they never were, how many there are."""
    if known:
        return sum(said["reviews"] for said in known.data["people"].values())
    tallies = Tally.objects.filter(language=language, person__isnull=False)
    return tallies.aggregate(n=Sum("number"))["n"] or 0


def reviews_sent(language: Language) -> dict[int, int]:
    """By person: how many standing reviews they sent, those on gold and those that came late included."""
    by_person = Tally.objects.filter(language=language, person__isnull=False).order_by().values_list("person")
    return {person: n for person, n in by_person.annotate(n=Sum("number")) if n}


def count_anew(language: Language) -> DeskFigures:
    """Count everything, keep it, and bring the signals in line."""
    answers = read(language)
    data, pairs = figures.all_figures(answers), figures.pairs(answers)
    for person, twice, alike in self_agreement(language):
        data["people"].get(str(person), {}).update(twice=twice, alike=alike)
    pipeline = asdict(pipelines([language])[0])
    del pipeline["language"]
    data |= {
        "pipeline": pipeline,
        "stages": finding.stages(language),
        "waiting": {kind: finding.waiting_items(language, kind).count() for kind in finding.WAITING},
        "edits": edits(language),
        "lately": figures.lately(answers, (timezone.localdate() - dt.timedelta(days=DAYS)).toordinal()),
    }
    with transaction.atomic():
        _set_signals(language, {int(person): said["signals"] for person, said in data["people"].items()})
        return DeskFigures.objects.update_or_create(
            language=language, defaults={"data": data, "pairs": pairs, "computed_at": timezone.now()}
        )[0]


def read(language: Language) -> figures.Answers:
    with connection.cursor() as cursor:
        cursor.execute(ANSWERS, {"language": language.pk, "zone": settings.TIME_ZONE})
        rows = cursor.fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    return figures.of_columns(dict(zip(COLUMNS, columns, strict=True)))


def self_agreement(language: Language) -> list[tuple[int, int, int]]:
    """(person, items they looked at again later, those of them on which they decided as before)."""
    with connection.cursor() as cursor:
        cursor.execute(SELF_AGREEMENT, [language.pk])
        return cursor.fetchall()


def edits(language: Language) -> dict[str, dict[str, int]]:
    """By model version: how many accepted pairs needed which kind of edit to their draft."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    accepted = Pair.objects.releasable().filter(item__language=language, candidate__isnull=False)
    shown = accepted.values_list("candidate__run__model_version__name", "candidate__instruction", "instruction")
    for model, draft, final in shown.iterator():
        counts[model][str(kind_of_edit(draft, final))] += 1
    return {model: dict(kinds) for model, kinds in sorted(counts.items())}


def pace(language: Language) -> tuple[list[tuple[dt.date, int]], list[tuple[dt.date, int]]]:
    """Reviews and accepted pairs on each of the last days, today last."""
    today = timezone.localdate()
    days = [today - dt.timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    since = Tally.objects.filter(language=language, day__gte=days[0]).order_by()
    counted: list[dict[dt.date, int]] = []
    for rows in (since.filter(person__isnull=False), since.filter(person=None)):
        counted.append(dict(rows.values_list("day").annotate(n=Sum("number"))))
    reviews, accepted = counted
    return [(day, reviews.get(day, 0)) for day in days], [(day, accepted.get(day, 0)) for day in days]


# Where two people differ


def differing(language: Language, one: User, other: User) -> QuerySet[Review]:
    """The first person's reviews of items on which the second decided otherwise, newest first."""
    counted = Review.objects.standing().filter(slot__isnull=False, review_pass=1)
    otherwise = counted.filter(item=OuterRef("item"), reviewer=other).exclude(decision=OuterRef("decision"))
    mine = counted.filter(reviewer=one, item__language=language, item__kind=ItemKind.NORMAL)
    return mine.filter(Exists(otherwise)).select_related("item__text").order_by("-submitted_at")


# Signals


def _set_signals(language: Language, found: dict[int, dict[str, int]]) -> None:
    """New ones begin, those that last keep their dates, and what has passed is forgotten."""
    for signal in Signal.objects.filter(language=language):
        if signal.kind not in found.get(signal.person_id, {}):
            signal.delete()
    for person, kinds in found.items():
        for kind, number in kinds.items():
            Signal.objects.update_or_create(language=language, person_id=person, kind=kind, defaults={"number": number})


def for_person(user: User, language: Language) -> list[Signal]:
    """A person's own signals; from now on they have seen them."""
    own = list(Signal.objects.filter(person=user, language=language).order_by("kind"))
    if any(signal.shown_at is None for signal in own):
        Signal.objects.filter(pk__in=[signal.pk for signal in own], shown_at=None).update(shown_at=timezone.now())
    return own


def for_lead(language: Language) -> QuerySet[Signal]:
    """What who leads a language may see: what the person has seen, or has had a week to."""
    seen = Q(shown_at__isnull=False) | Q(noticed_at__lt=timezone.now() - HEADS_UP)
    return Signal.objects.filter(seen, language=language).select_related("person").order_by("person", "kind")
