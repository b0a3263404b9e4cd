"""Numbers for the home and language pages: how far each language has come, in one query per stage.

Counting reads every text and draft of a language, so a large language is counted by a worker, at most once a minute.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from annotation.models import Item, ItemState, Overview, Pair
from generation import queueing
from generation.models import Candidate, Import, Release, ReleaseState, Score, Selection, Text
from xinstruct_site.people.models import Language

COUNTED_AT_ONCE = 20_000  # texts that came in; a language with more is counted by a worker
STALE = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How many of a language's texts have reached each stage."""

    language: Language
    texts: int
    drafted: int
    ready: int  # scored, and not in a round yet
    selected: int
    waiting: int
    accepted: int
    releases: int

    @property
    def stages(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "language"}


def pipelines(languages: Iterable[Language]) -> list[Pipeline]:
    """The numbers as they are, and of large languages as they were counted last."""
    from annotation import jobs

    languages = list(languages)
    large = _large(languages)
    kept = Overview.objects.in_bulk(large)
    counts = count([each for each in languages if each.pk not in kept])
    keep({key: found for key, found in counts.items() if key in large})
    for language in languages:
        if one := kept.get(language.pk):
            counts[language.pk] = one.counts
            if timezone.now() - one.counted_at > STALE and queueing.live_workers(jobs.COUNT_QUEUE):
                queueing.ring_named(jobs.count_language, language, jobs.COUNT_QUEUE, f"count-language-{language.pk}")
    return [Pipeline(language, **counts[language.pk]) for language in languages]


def _large(languages: Sequence[Language]) -> set[int]:
    stored = Sum(Cast(KT("counts__stored"), IntegerField()))
    imports = Import.objects.filter(language__in=languages).order_by().values("language").annotate(came_in=stored)
    return set(imports.filter(came_in__gt=COUNTED_AT_ONCE).values_list("language", flat=True))


def count(languages: Sequence[Language]) -> dict[int, dict[str, int]]:
    """Count now; by language, each number under its name."""
    if not languages:
        return {}
    ready = _ready(languages)
    counts = {
        "texts": _count(Text.objects.available().filter(language__in=languages), "language"),
        "drafted": _count(Candidate.objects.kept().filter(text__language__in=languages), "text__language", "text"),
        "ready": _count(ready, "candidate__text__language", "candidate__text"),
        "selected": _count(Selection.objects.filter(round__language__in=languages), "round__language", "text"),
        "waiting": _count(Item.objects.filter(language__in=languages, state=ItemState.OPEN), "language"),
        "accepted": _count(Pair.objects.releasable().filter(item__language__in=languages), "item__language"),
        "releases": _count(Release.objects.filter(state=ReleaseState.READY, languages__in=languages), "languages"),
    }
    return {each.pk: {name: found.get(each.pk, 0) for name, found in counts.items()} for each in languages}


def keep(counts: dict[int, dict[str, int]]) -> None:
    Overview.objects.bulk_create(
        [Overview(language_id=key, counts=found, counted_at=timezone.now()) for key, found in counts.items()],
        update_conflicts=True, unique_fields=["language"], update_fields=["counts", "counted_at"],
    )  # fmt: skip


def has_ready(language: Language) -> bool:
    """Whether a scored text waits that no round took."""
    return _ready([language]).exists()


def _ready(languages: Sequence[Language]) -> QuerySet[Score]:
    scored = Score.objects.scored().filter(
        candidate__in=Candidate.objects.kept(), candidate__text__language__in=languages,
        candidate__text__withdrawn_at=None,
    )  # fmt: skip
    return scored.filter(~Exists(Selection.objects.filter(text=OuterRef("candidate__text"))))


def _count(rows: QuerySet, by: str, what: str = "pk") -> dict[int, int]:
    return dict(rows.order_by().values_list(by).annotate(n=Count(what, distinct=True)))
