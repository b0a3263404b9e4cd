"""Finds texts for people who look at them: by language, source and plain words, newest first.

However many texts there are, one answer reads a bounded number of rows: pages go on from the last row seen (no offset,
no count), and a search looks through one window of rows at a time and says so.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import Exists, Min, OuterRef, Q
from django.db.models.functions import Left

from generation.models import Candidate, Release, ReleaseRow, Selection, Text
from xinstruct_site.people.models import Language

TEXTS_PER_PAGE = 25
ROWS_PER_PAGE = 20
ROW_WINDOW = 5_000
BEGINNING_CHARS = 240
SEARCH_WINDOW = 20_000  # read in about 0.4 s


@dataclass(frozen=True, slots=True)
class TextPage:
    """Some texts, and where to go on: `goes_on_after` is empty at the end."""

    texts: Sequence[Text]
    goes_on_after: str
    window_exhausted: bool  # the page is short because one answer looks through so many texts only


def find_texts(languages: Collection[Language], *, source: str = "", words: str = "", after: str = "") -> TextPage:
    """One page of texts in these languages, newest first.

    Args:
        source: name that the import gave; empty is any.
        words: looked for as they stand in title and body, upper and lower case alike.
        after: public id of the last text of the page before.
    """
    texts = Text.objects.filter(language__in=languages).order_by("-pk")
    if after and (last := Text.objects.filter(public_id=after).values_list("pk", flat=True).first()):
        texts = texts.filter(pk__lt=last)
    lowest = None
    if words or source:
        # Without trigrams a search reads rows one by one: it reads so many, then offers to go on.
        window = texts.values("pk")[:SEARCH_WINDOW]
        lowest = Text.objects.filter(pk__in=window).aggregate(lowest=Min("pk"))["lowest"]
        texts = texts.filter(pk__gte=lowest or 0)
        if source:
            texts = texts.filter(imported_in__source=source)
        if words:
            texts = texts.filter(Q(title__icontains=words) | Q(body__icontains=words))
    found = list(
        texts.select_related("language")
        .defer("body", "original", "extra", "pii_spans", "normalisation")
        .annotate(
            beginning=Left("body", BEGINNING_CHARS),
            is_drafted=Exists(Candidate.objects.filter(text=OuterRef("pk"))),
            is_selected=Exists(Selection.objects.filter(text=OuterRef("pk"))),
        )[: TEXTS_PER_PAGE + 1]
    )
    if len(found) > TEXTS_PER_PAGE:
        return TextPage(found[:TEXTS_PER_PAGE], found[TEXTS_PER_PAGE - 1].public_id, window_exhausted=False)
    if lowest is not None and Text.objects.filter(language__in=languages, pk__lt=lowest).exists():
        border = Text.objects.values_list("public_id", flat=True).get(pk=lowest)
        return TextPage(found, border, window_exhausted=True)
    return TextPage(found, "", window_exhausted=False)


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a release in their order, and where to go on: `goes_on_after` is None at the end."""

    rows: Sequence[ReleaseRow]
    goes_on_after: int | None
    window_exhausted: bool


def find_rows(release: Release, *, language: str = "", words: str = "", after: int = -1) -> RowPage:
    """One page of a release's rows. `words` are looked for in instruction, input and response."""
    rows = release.rows.filter(position__gt=after).order_by("position")
    if language:
        rows = rows.filter(language_code=language)
    end = None
    if words:
        end = after + ROW_WINDOW
        named = Q(row__instruction__icontains=words) | Q(row__input__icontains=words)
        rows = rows.filter(named | Q(row__response__icontains=words), position__lte=end)
    found = list(rows[: ROWS_PER_PAGE + 1])
    if len(found) > ROWS_PER_PAGE:
        return RowPage(found[:ROWS_PER_PAGE], found[ROWS_PER_PAGE - 1].position, window_exhausted=False)
    if end is not None and release.rows.filter(position__gt=end).exists():
        return RowPage(found, end, window_exhausted=True)
    return RowPage(found, None, window_exhausted=False)
