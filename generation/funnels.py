"""Counts of a run from text to selected, its pace and its score histograms; and the rows behind them.

Counting reads every candidate, so a large run is counted by a worker, at most once a minute, and its page says when:
the counts are kept on the run's row. The lists go on from the last row seen and look through one window at a time.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Exists, Min, OuterRef, QuerySet
from django.db.models.functions import Left
from django.utils import timezone

from generation import queueing, sharing
from generation.finding import BEGINNING_CHARS, SEARCH_WINDOW, TEXTS_PER_PAGE
from generation.models import Candidate, CandidateState, JobState, PassedOver, Run, Score, Selection, Text

COUNTED_AT_ONCE = 20_000  # candidates; more are counted by a worker
STALE = dt.timedelta(seconds=60)
BINS = 24

COUNTS = """
    SELECT count(*) AS drafts,
           count(*) FILTER (WHERE state = 'kept') AS kept,
           count(*) FILTER (WHERE state = 'rejected') AS rejected,
           count(DISTINCT text_id) AS texts_drafted,
           count(DISTINCT text_id) FILTER (WHERE state = 'kept') AS texts_kept
      FROM generation_candidate WHERE run_id = %(run)s
"""
REASONS = """
    SELECT reason, count(*) FROM generation_candidate, unnest(reasons) AS reason
     WHERE run_id = %(run)s AND state = 'rejected' GROUP BY reason ORDER BY count(*) DESC, reason
"""
SCORED = """
    SELECT count(DISTINCT candidate.id) AS scored, count(DISTINCT candidate.text_id) AS texts_scored
      FROM generation_candidate AS candidate JOIN generation_score AS score ON score.candidate_id = candidate.id
     WHERE candidate.run_id = %(run)s AND candidate.state = 'kept' AND score.state = 'scored'
"""
CHOSEN = """
    SELECT candidate.id FROM generation_selection AS selection
      JOIN generation_round AS round ON round.id = selection.round_id AND round.language_id = %(language)s
      JOIN generation_candidate AS candidate ON candidate.id = ANY(selection.candidate_ids)
     WHERE candidate.run_id = %(run)s
"""
SELECTED = f"SELECT count(DISTINCT text_id) AS texts_selected FROM generation_candidate WHERE id IN ({CHOSEN})"  # noqa: S608
PASSED_OVER = """
    SELECT count(DISTINCT passed.text_id) AS texts_passed_over
      FROM generation_passedover AS passed JOIN generation_candidate AS candidate ON candidate.id = passed.candidate_id
     WHERE candidate.run_id = %(run)s
       AND NOT EXISTS (SELECT FROM generation_selection AS selection WHERE selection.text_id = passed.text_id)
"""
# Means of an evaluator's samples, in bins between its lowest and highest.
HISTOGRAMS = f"""
    WITH mean AS (
        SELECT score.evaluator_id, candidate.id, avg(score.raw) AS raw
          FROM generation_score AS score JOIN generation_candidate AS candidate ON candidate.id = score.candidate_id
         WHERE candidate.run_id = %(run)s AND candidate.state = 'kept' AND score.state = 'scored' GROUP BY 1, 2),
    edge AS (SELECT evaluator_id, min(raw) AS low, max(raw) AS high FROM mean GROUP BY 1),
    chosen AS ({CHOSEN})
    SELECT evaluator_id, low, high,
           CASE WHEN high > low THEN least(width_bucket(raw, low, high, %(bins)s), %(bins)s) ELSE 1 END AS bin,
           count(*), count(*) FILTER (WHERE mean.id IN (SELECT id FROM chosen))
      FROM mean JOIN edge USING (evaluator_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 4
"""  # noqa: S608 - the pieces are our own


def counts_of(run: Run) -> dict[str, Any]:
    """The counts as they are kept, taken anew where they are old: here if the run is small, else by a worker."""
    from generation import jobs

    is_small = run.texts_done * run.samples <= COUNTED_AT_ONCE
    is_old = run.counted_at is None or timezone.now() - run.counted_at > STALE
    if is_small:
        count(run)
    elif is_old and queueing.live_workers(jobs.COUNT_QUEUE):
        queueing.ring_named(jobs.count_run, run, jobs.COUNT_QUEUE, f"count-run-{run.pk}")
    return run.counts


def count(run: Run) -> None:
    """Count now and keep it."""
    values = {"run": run.pk, "language": run.language_id, "bins": BINS}
    counts: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for question in (COUNTS, SCORED, SELECTED, PASSED_OVER):
            cursor.execute(question, values)
            counts |= dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))
        cursor.execute(HISTOGRAMS, values)
        histograms: dict[int, dict[str, Any]] = {}
        for evaluator, low, high, place, number, chosen in cursor.fetchall():
            one = histograms.setdefault(
                evaluator, {"evaluator": evaluator, "low": low, "high": high, "bins": [[0, 0] for _ in range(BINS)]}
            )
            one["bins"][place - 1] = [number, chosen]
    counts["reasons"] = [list(each) for each in rejected_by_reason(run).items()]
    counts["histograms"] = list(histograms.values())
    run.counts, run.counted_at = counts, timezone.now()
    Run.objects.filter(pk=run.pk).update(counts=run.counts, counted_at=run.counted_at)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: how many texts came through, and how many were left behind there."""

    code: str
    number: int
    share: float  # of the first step
    lost: int


def steps(run: Run, counts: dict[str, Any]) -> list[Step]:
    """From the run's texts to those selected for people. The reasons at each step are in the counts."""
    numbers = {"texts": run.texts_total} | {
        code: counts.get(f"texts_{code}", 0) for code in ("drafted", "kept", "scored", "selected")
    }
    first = max(1, *numbers.values())
    found, before = [], None
    for code, number in numbers.items():
        found.append(Step(code, number, number / first, max(0, before - number) if before is not None else 0))
        before = number
    return found


# The rows behind the numbers

SHOWN = ("drafted", "kept", "rejected", "scored", "unscored", "selected", "passed_over", "waiting")


@dataclass(frozen=True, slots=True)
class Rows:
    """Some candidates (or texts that have none), and the key to go on after; None at the end."""

    rows: Sequence[Any]
    goes_on_after: int | None
    window_exhausted: bool = False


def rows_of(run: Run, at: str, *, reason: str = "", after: int | None = None) -> Rows:
    """One page of what stands behind a number of the funnel, newest first."""
    if at == "waiting":
        texts = sharing.texts_of(run)
        within = _window(texts, after)
        missing = within.missing_in(run).select_related("language").defer("body", "original")
        return _sifted(_page(missing.annotate(beginning=Left("body", BEGINNING_CHARS)), after), texts, within)
    candidates = Candidate.objects.filter(run=run)
    if at == "rejected":
        candidates = candidates.filter(state=CandidateState.REJECTED)
    elif at != "drafted":
        candidates = candidates.kept()
    within = _window(candidates, after)
    page = _page(newest(_found(within, at, reason)), after)
    return page if at in {"drafted", "kept"} or (at == "rejected" and not reason) else _sifted(page, candidates, within)


def _found(within: QuerySet[Candidate], at: str, reason: str) -> QuerySet[Candidate]:
    if at == "rejected" and reason:
        return within.filter(reasons__contains=[reason])
    if at in {"scored", "unscored"}:
        is_scored = Exists(Score.objects.scored().filter(candidate=OuterRef("pk")))
        return within.filter(is_scored if at == "scored" else ~is_scored)
    if at == "selected":
        of_text = Selection.objects.filter(text=OuterRef("text"))
        return within.filter(Exists(of_text.filter(candidate_ids__contains=[OuterRef("pk")])))
    if at == "passed_over":
        return within.filter(Exists(PassedOver.objects.filter(candidate=OuterRef("pk"))))
    return within


def _sifted(page: Rows, rows: QuerySet[Any], within: QuerySet[Any]) -> Rows:
    """The page, and where it is short because the window ended, where the next one begins."""
    if page.goes_on_after is not None:
        return page
    lowest = within.aggregate(lowest=Min("pk"))["lowest"]
    if lowest is not None and rows.filter(pk__lt=lowest).exists():
        return Rows(page.rows, lowest, window_exhausted=True)
    return page


def _window(all_rows: Any, after: int | None) -> Any:
    rows = all_rows.filter(pk__lt=after) if after else all_rows
    lowest = rows.order_by("-pk").values_list("pk", flat=True)[SEARCH_WINDOW : SEARCH_WINDOW + 1]
    border = next(iter(lowest), None)
    return all_rows.filter(pk__gt=border) if border is not None else all_rows


def _page(rows: QuerySet[Any], after: int | None) -> Rows:
    if after:
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: TEXTS_PER_PAGE + 1])
    more = len(found) > TEXTS_PER_PAGE
    return Rows(found[:TEXTS_PER_PAGE], found[TEXTS_PER_PAGE - 1].pk if more else None)


def newest(candidates: QuerySet[Candidate]) -> QuerySet[Candidate]:
    """Candidates as lists show them, each with the beginning of its text."""
    return (
        candidates.select_related("text__language")
        .defer("embedding", "text__body", "text__original")
        .annotate(beginning=Left("text__body", BEGINNING_CHARS))
        .order_by("-pk")
    )


# Two runs side by side

TEXTS_SIDE_BY_SIDE = 10


@dataclass(frozen=True, slots=True)
class Beside:
    """One text with the candidates of two runs."""

    text: Text
    left: list[Candidate]
    right: list[Candidate]


def side_by_side(left: Run, right: Run, after: int | None = None) -> Rows:
    """Texts that both runs drafted for, in order of import, with what each made of them."""
    texts = sharing.texts_of(left).order_by("pk").filter(pk__gt=after or 0)
    window = texts.values_list("pk", flat=True)[SEARCH_WINDOW : SEARCH_WINDOW + 1]
    border = next(iter(window), None)
    drafted = Candidate.objects.filter(text=OuterRef("pk"))
    both = texts.filter(Exists(drafted.filter(run=left)), Exists(drafted.filter(run=right)))
    if border is not None:
        both = both.filter(pk__lte=border)
    shown = both.select_related("language").defer("body", "original")
    found = list(shown.annotate(beginning=Left("body", BEGINNING_CHARS))[: TEXTS_SIDE_BY_SIDE + 1])
    more, found = len(found) > TEXTS_SIDE_BY_SIDE, found[:TEXTS_SIDE_BY_SIDE]
    candidates = Candidate.objects.filter(text__in=found, run__in=[left, right]).defer("embedding", "raw_reply")
    made: dict[tuple[int, int], list[Candidate]] = {}
    for candidate in candidates.order_by("sample_number"):
        made.setdefault((candidate.text_id, candidate.run_id), []).append(candidate)
    pairs = [Beside(text, made.get((text.pk, left.pk), []), made.get((text.pk, right.pk), [])) for text in found]
    if more:
        return Rows(pairs, found[-1].pk)
    return Rows(pairs, border, window_exhausted=border is not None)


def is_moving(run: Run) -> bool:
    return run.state in {JobState.QUEUED, JobState.RUNNING}


# Of its work


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes, all its workers together."""

    workers: int
    drafts_per_second: float
    tokens_per_second: float
    seconds_left: float


def pace(run: Run) -> Pace | None:
    """From what was drafted so far; None where that is nothing."""
    if not (run.seconds and run.texts_done):
        return None
    workers = run.shares.alive().values("holder").distinct().count() if run.state == JobState.RUNNING else 0
    texts_per_second = run.texts_done / run.seconds * max(workers, 1)
    return Pace(
        workers,
        texts_per_second * run.samples,
        run.tokens / run.seconds * max(workers, 1),
        max(run.texts_total - run.texts_done, 0) / texts_per_second,
    )


def rejected_by_reason(run: Run) -> dict[str, int]:
    """How many candidates of the run each check turned away, most first; one candidate may fail several."""
    with connection.cursor() as cursor:
        cursor.execute(REASONS, {"run": run.pk})
        return dict(cursor.fetchall())
