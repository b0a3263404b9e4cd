"""manage.py draft: candidates for a language's texts."""

import resource
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from generation import backends, drafting, funnels, prompts
from generation.management.reading import demand_language
from generation.models import CandidateState, Run


class Command(BaseCommand):
    help = (
        "Draft English instructions for the texts of a language. Called again it continues: the same run grows to a "
        "higher limit, more samples or texts that came since."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--language", required=True, metavar="CODE")
        parser.add_argument("--backend", choices=sorted(backends.BACKENDS), help="default: XI_BACKEND")
        parser.add_argument(
            "--model", help="folder, hub id, name at the endpoint, or id of a model version; default: XI_MODEL"
        )
        parser.add_argument("--samples", type=int, default=3, help="candidates per text (default: 3)")
        parser.add_argument("--limit", type=int, help="only the first N texts, in order of import")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--prompt", choices=prompts.VERSIONS, help="version of the prompt (default: what suits the model)"
        )
        parser.add_argument(
            "--styles",
            metavar="MIX",
            help='such as "instruction=5 question=3 search=2", for chat models (default: the language\'s own mix)',
        )
        parser.add_argument("--again", action="store_true", help="a new run, beside those that are there")
        parser.add_argument("--dead-letters", action="store_true", help="ask again what the model failed to answer")
        parser.add_argument("--token-budget", type=int, metavar="N", help="pause at N tokens, read and written")
        parser.add_argument(
            "--cost-budget", type=float, metavar="X", help="pause at this cost; needs XI_PRICE_READ, XI_PRICE_WRITTEN"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        language = demand_language(options["language"])
        try:
            run = drafting.open_run(
                language,
                backend=options["backend"],
                model=options["model"],
                samples=options["samples"],
                limit=options["limit"],
                seed=options["seed"],
                again=options["again"],
                prompt_version=options["prompt"],
                styles=read_styles(options["styles"]),
                dead_letters=options["dead_letters"],
                token_budget=options["token_budget"],
                cost_budget=options["cost_budget"],
            )
            if not run.texts_total:
                raise CommandError(f"{language.name} has no texts yet. Import some: manage.py import_texts")
            started = time.monotonic()
            parts = draft_with_bar(run)
        except drafting.DraftingError as exc:
            raise CommandError(str(exc)) from exc
        run.refresh_from_db()
        report(run, parts, time.monotonic() - started)


def read_styles(said: str | None) -> dict[str, float] | None:
    try:
        return prompts.parse_mix(said) if said else None
    except ValueError as exc:
        raise CommandError(str(exc), returncode=2) from exc


def draft_with_bar(run: Run) -> list[drafting.Progress]:
    """Draft until the run is closed: what others have in hand is waited for, and taken up if they go silent."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=300) as bar:
        task = bar.add_task(f"drafting {run.language.code}", total=run.texts_total, completed=run.texts_done, rate="")
        started, tokens = time.monotonic(), run.tokens

        def on_progress(now: drafting.Progress) -> None:
            rate = (now.tokens - tokens) / max(time.monotonic() - started, 1e-6)
            bar.update(task, completed=now.texts_done, total=now.texts_total, rate=f"{rate:,.0f} tokens/s")

        parts = [drafting.draft(run, on_progress)]
        while drafting.is_left_to_others(run):
            time.sleep(1)
            on_progress(drafting.Progress(run.texts_done, run.texts_total, 0, 0, run.tokens))
            if run.shares.abandoned().exists() or not run.shares.exists():
                parts.append(drafting.draft(run, on_progress))
        return parts


def report(run: Run, parts: list[drafting.Progress], seconds: float) -> None:
    drafted, kept_now = sum(part.drafted for part in parts), sum(part.kept for part in parts)
    table = Table("run", run.public_id, title=f"Drafts in {run.language.name}", title_justify="left")
    table.add_row("model", f"{run.model_version.name} at {run.model_version.revision[:12]}")
    table.add_row("prompt", f"{run.prompt_version} at {run.prompt_sha256[:12]}")
    if run.asking:
        shares = run.candidates.values_list("style").annotate(number=Count("pk")).order_by("style")
        table.add_row("styles", ", ".join(f"{style} {number}" for style, number in shares))
        own = sum(map(len, run.asking["examples"].values()))
        table.add_row("examples", f"{own} seed pairs of the language" if own else "those of the prompt")
    table.add_row("texts", f"{run.texts_done} of {run.texts_total}")
    table.add_row("drafted now", f"{drafted} (kept {kept_now})")
    if drafted:
        table.add_row("drafts/s", f"{drafted / max(seconds, 1e-6):.1f}")
    table.add_row("tokens of the run", f"{run.tokens:,} written, {run.prompt_tokens:,} read")
    if run.cost:
        table.add_row("cost of the run", f"{run.cost:.4f}")
    kept = run.candidates.filter(state=CandidateState.KEPT).count()
    table.add_row("candidates of the run", f"{run.candidates.count()} (kept {kept})")
    if dead := run.dead_letters.count():
        table.add_row("dead letters", f"{dead} (ask again: --dead-letters)")
    for reason, count in funnels.rejected_by_reason(run).items():
        table.add_row(f"rejected: {reason}", str(count))
    table.add_row("peak memory", f"{peak_memory_mb()} MB")
    Console().print(table)


def peak_memory_mb() -> int:
    """Of this process, so far. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
