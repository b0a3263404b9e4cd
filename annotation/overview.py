"""Numbers for the home and language pages: how far each language has come, in one query per stage."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotation.models import Item, ItemState, Pair
from generation.models import Candidate, Release, ReleaseState, Selection, Text
from xinstruct_site.people.models import Language


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


def pipelines(languages: Iterable[Language]) -> list[Pipeline]:
    languages = list(languages)
    texts = _count(Text.objects.available().filter(language__in=languages), "language")
    drafted = _count(Candidate.objects.kept().filter(text__language__in=languages), "text__language", "text")
    scored = Candidate.objects.kept().filter(
        text__language__in=languages, text__withdrawn_at=None, scores__isnull=False
    )
    ready = _count(scored.filter(~Exists(Selection.objects.filter(text=OuterRef("text")))), "text__language", "text")
    selected = _count(Selection.objects.filter(round__language__in=languages), "round__language", "text")
    waiting = _count(Item.objects.filter(language__in=languages, state=ItemState.OPEN), "language")
    accepted = _count(Pair.objects.releasable().filter(item__language__in=languages), "item__language")
    releases = _count(Release.objects.filter(state=ReleaseState.READY, languages__in=languages), "languages")
    return [
        Pipeline(
            language,
            *(counts.get(language.pk, 0) for counts in (texts, drafted, ready, selected, waiting, accepted, releases)),
        )
        for language in languages
    ]


def _count(rows: QuerySet, by: str, what: str = "pk") -> dict[int, int]:
    return dict(rows.order_by().values_list(by).annotate(n=Count(what, distinct=True)))
