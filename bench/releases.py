"""What freezing and writing a release cost: `python -m bench.releases`.

Pairs in ten languages, each with the reviews that decided it, are made by SQL. The release is frozen by our code, timed
with the growth of this process's memory. Then one JSON Lines format is written with its hash, its documents and its
manifest, in turns with a bare COPY of the same columns of the same rows to a file; the table gives the share of its
speed. Last, a release that follows the first one, after some pairs were edited and some withdrawn, is timed with its
changelog. With --kills N, in place of all that, N builds and N exports are killed at random moments and gone on with.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.table import Table

from bench.filling import BODY, installation, people

if TYPE_CHECKING:
    from generation.models import Release
    from xinstruct_site.people.models import Language

EVERY_SECONDS = 0.02
MIB = 1024 * 1024
ROOT = Path(__file__).parent.parent
KILL_SECONDS = 1.0  # within which the first build is killed; the next ones within what a build takes
SHARED = 4  # passages of one page
REST = "source_doc_id, url, domain, crawl_date, lang_declared, lang_detected, script, licence_id"
TEXTS = f"""
    INSERT INTO generation_text (
        public_id, language_id, title, body, original, sha256, chars, normalisation, variety, source_dataset,
        source_release, {REST}, licence_url, robots_status, pii_spans, dedup_cluster_size, extra, imported_in_id,
        imported_at, is_practice)
    SELECT %(code)s || n, %(language)s, 'Torilla ' || n, n || '. ' || %(body)s, n || '. ' || %(body)s,
           encode(sha256((%(code)s || n)::bytea), 'hex'), length(%(body)s), '{{}}', '', 'bench', '2026',
           %(code)s || '-page-' || n / {SHARED}, 'https://' || %(code)s || '.example.org/' || n / {SHARED},
           %(code)s || '.example.org', '2026-01-01', %(code)s, %(code)s, %(script)s, 'CC-BY-4.0', '', '', '[]', 1,
           '{{}}', %(batch)s, now(), false
      FROM generate_series(1, %(count)s) AS n
"""
BANDS = """
    INSERT INTO generation_band (hash, text_id)
    SELECT hashtextextended(text.sha256 || band, 0), text.id
      FROM generation_text AS text, generate_series(1, 14) AS band WHERE text.imported_in_id = %(batch)s
"""
PAIRS = """
    WITH drafts AS (
        INSERT INTO generation_candidate (
            text_id, run_id, sample_number, style, instruction, input, raw_reply, state, reasons, repairs, tokens,
            created_at)
        SELECT id, %(run)s, 0, '', 'Describe market day number ' || id || ' in a town by the sea.', '', 'raw', 'kept',
               '{}', '{}', 20, now()
          FROM generation_text WHERE imported_in_id = %(batch)s
        RETURNING id, text_id, instruction),
    items AS (
        INSERT INTO annotation_item (
            public_id, language_id, text_id, round_id, kind, state, candidate_ids, overlap, quorum, policy_version,
            created_at, decided_at)
        SELECT 'b' || text_id, %(language)s, text_id, %(round)s, 'normal', 'accepted', ARRAY[id], 2, 2, 1, now(), now()
          FROM drafts RETURNING id, text_id),
    slots AS (
        INSERT INTO annotation_slot (
            item_id, language_id, number, state, holder_id, claimed_at, priority, "order", reviewed_by, for_linguists)
        SELECT items.id, %(language)s, n, 'done', (%(people)s::bigint[])[n], now(), 100, 0, '{}', false
          FROM items, generate_series(1, 2) AS n RETURNING id, item_id, holder_id),
    reviews AS (
        INSERT INTO annotation_review (
            id, item_id, slot_id, reviewer_id, review_pass, decision, candidate_id, instruction, input, spans,
            rating_alignment, rating_instruction, rating_text, overall, flags, reason, shown_at, submitted_at,
            active_seconds, interface_language, guidelines_version, agreement_id, scores_visible, counts_alone)
        SELECT gen_random_uuid(), slots.item_id, slots.id, holder_id, 1, 'accept', drafts.id, instruction, '', '[]',
               4, 4, 5, 4, '{}', '', now(), now(), 60, 'en', 1, (SELECT min(id) FROM people_contributoragreement),
               false, false
          FROM slots JOIN items ON items.id = slots.item_id JOIN drafts USING (text_id) RETURNING id, item_id),
    decided AS (SELECT item_id, jsonb_agg(id::text) AS reviews FROM reviews GROUP BY item_id)
    INSERT INTO annotation_pair (
        public_id, item_id, is_current, state, instruction, input, spans, origin, variety, candidate_id, policy_version,
        decided_by, created_at)
    SELECT 'b' || items.id, items.id, true, 'accepted', instruction, '', '[]', 'web', '', drafts.id, 1,
           decided.reviews, now()
      FROM items JOIN drafts USING (text_id) JOIN decided ON decided.item_id = items.id
"""


def fill(pairs: int) -> "list[Language]":
    """So many accepted pairs in ten languages, with all that stands behind them."""
    from django.db import connection

    from generation.models import Import, ModelVersion, Round, Run, Task
    from xinstruct_site.people.languages import FIRST_TEN, add_language

    reviewers = [user.pk for user in people(2)]
    model = ModelVersion.objects.create(
        task=Task.DRAFT, name="bench", backend="hf", location="nowhere", revision="0" * 40, licence_id="Apache-2.0"
    )
    languages = [add_language(each)[0] for each in FIRST_TEN.values()]
    for language in languages:
        run = Run.objects.create(language=language, model_version=model, key=language.code, prompt_version="base-1")
        values: dict[str, Any] = {
            "code": language.code, "script": language.script, "language": language.pk, "body": BODY * 3,
            "batch": Import.objects.create(language=language, source="bench").pk, "run": run.pk,
            "round": Round.objects.create(language=language, number=1).pk, "people": reviewers,
            "count": pairs // len(languages),
        }  # fmt: skip
        with connection.cursor() as cursor:
            for sql in (TEXTS, BANDS, PAIRS):
                cursor.execute(sql, values)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    return languages


class Measured:
    """Seconds of a block, and how far this process's memory grew above what it began with."""

    def __enter__(self) -> Self:
        import psutil

        self._process, self._ends = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._ends.set()
        self._watch.join()
        self.growth = (self._most - self._before) / MIB

    def _look(self) -> None:
        while not self._ends.wait(EVERY_SECONDS):
            self._most = max(self._most, self._process.memory_info().rss)


def bare_copy(release: "Release", file: Path) -> None:
    """The rows as PostgreSQL alone writes them, through the same connection."""
    from django.db import connection

    sql = f"""COPY (SELECT position, row, row_sha256, split FROM generation_releaserow
                     WHERE release_id = {release.pk} ORDER BY position) TO STDOUT"""
    with connection.cursor() as cursor, file.open("wb") as out, cursor.copy(sql) as copy:
        for block in copy:
            out.write(block)
        out.flush()
        os.fsync(out.fileno())


def change_some() -> None:
    """One pair in a hundred reworded, one in two hundred withdrawn."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE annotation_pair SET instruction = instruction || ' Twice.' WHERE id % 100 = 0")
        cursor.execute("UPDATE annotation_pair SET is_current = false, state = 'withdrawn' WHERE id % 200 = 1")


class Half(Exception):
    """A killed process left half of something."""


def kill_builds(languages: "list[Language]", times: int, chance: random.Random, env: Mapping[str, str]) -> int:
    """Build releases in processes that are killed at random moments, and then to the end. Returns how many were killed
    in the middle.

    Raises:
        Half: rows of a release that is not ready, or a release that came out other than the rest.
    """
    from annotation import freezing, jobs
    from generation.models import ReleaseState

    hashes, middle, seconds = set(), 0, KILL_SECONDS
    for number in range(times):
        release = freezing.open_release(f"killed-{number}", languages)
        _kill(f"from annotation import jobs; jobs.build_release({release.pk})", chance.uniform(0, seconds), env)
        release.refresh_from_db()
        if release.state != ReleaseState.READY:
            middle += 1
            if release.rows.exists() or release.state != ReleaseState.BUILDING:
                raise Half(f"{release.name} is {release.state} with {release.rows.count()} rows")
        with Measured() as whole:
            jobs.build_release(release.pk)
        seconds = max(seconds, whole.seconds)
        release.refresh_from_db()
        hashes.add((release.state, release.sha256, release.rows.count()))
    if len(hashes) != 1:
        raise Half(f"not one release: {hashes}")
    return middle


def kill_exports(
    release: "Release", format: str, times: int, chance: random.Random, env: Mapping[str, str], folder: Path
) -> int:
    """Write files in processes that are killed at random moments. Returns how many were killed in the middle.

    Raises:
        Half: a file under its own name that is not whole.
    """
    from annotation import exports

    with Measured() as measured:
        exports.export_release(release, format, folder / "whole")
    whole = {path.name: path.read_bytes() for path in (folder / "whole").iterdir()}
    middle = 0
    for number in range(times):
        out = folder / f"killed-{number}"
        _kill(
            "from django.core.management import call_command as call; "
            f"call('export_release', {release.name!r}, '--format', {format!r}, '--out', {str(out)!r})",
            chance.uniform(0, measured.seconds),
            env,
        )
        found = {path.name: path.read_bytes() for path in out.glob("[!.]*")} if out.exists() else {}
        middle += found != whole
        if wrong := [name for name, content in found.items() if whole[name] != content]:
            raise Half(f"{', '.join(wrong)} in {out}")
        exports.export_release(release, format, out)
        if {path.name: path.read_bytes() for path in out.glob("[!.]*")} != whole:
            raise Half(f"{out} is not what it would have been")
    return middle


def _kill(code: str, seconds: float, env: Mapping[str, str]) -> None:
    """Run Python code in a Django process of its own, and kill -9 it so long after it has come to the database."""
    from django.db import connection

    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=ROOT, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        while process.poll() is None and not cursor.execute(others).fetchone()[0]:
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        process.wait()
        while cursor.execute(others).fetchone()[0]:  # PostgreSQL ends the statement first
            time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=320_000, help="in ten languages together")
    parser.add_argument("--times", type=int, default=3, help="how often the format and the bare COPY are written")
    parser.add_argument("--format", default="messages")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of killing")
    parser.add_argument("--kills", type=int, default=0, help="in place of timing: kill -9 so many builds and exports")
    args = parser.parse_args()
    console = Console()
    with installation(), tempfile.TemporaryDirectory() as folder:
        from annotation import exports, freezing
        from generation.models import Release

        console.print(f"making {args.pairs:,} pairs")
        languages = fill(args.pairs)
        if args.kills:
            chance = random.Random(args.seed)
            builds = kill_builds(languages, args.kills, chance, os.environ)
            one = Release.objects.get(name="killed-0")
            files = kill_exports(one, args.format, args.kills, chance, os.environ, Path(folder))
            console.print(f"{args.kills} builds, {builds} killed in the middle: no half release, one hash")
            console.print(f"{args.kills} exports, {files} killed in the middle: no half file")
            return
        with Measured() as frozen:
            release = freezing.build_release("bench", languages)
        rows = sum(release.counts.values())
        written: list[Measured] = []
        copied: list[Measured] = []
        work: list[tuple[list[Measured], Callable[[Path], Any]]] = [
            (copied, lambda out: bare_copy(release, out)),
            (written, lambda out: exports.export_release(release, args.format, out)),
        ]
        for number in range(args.times):
            for times, write in work:
                with Measured() as measured:
                    write(Path(folder) / f"{number}-{len(times)}-{id(times)}")
                times.append(measured)
        change_some()
        with Measured() as followed:
            following = freezing.build_release("bench-2", languages, previous=release)
        table = Table("", "seconds", "rows/s", "memory growth, MB", title=f"{rows:,} pairs, {release.licence}")
        for column in table.columns[1:]:
            column.justify = "right"
        both = {name: sorted(times, key=lambda each: each.seconds)[len(times) // 2]
                for name, times in (("bare COPY", copied), (args.format, written))}  # fmt: skip
        for name, measured in {"freeze": frozen, **both, "freeze the following one": followed}.items():
            table.add_row(name, f"{measured.seconds:.2f}", f"{rows / measured.seconds:,.0f}", f"{measured.growth:.0f}")
        console.print(table)
        shares = [bare.seconds / ours.seconds for bare, ours in zip(copied, written, strict=True)]
        console.print(f"{args.format} at {statistics.median(shares):.2f} × the speed of the bare COPY", highlight=False)
        console.print(f"splits { ({name: sum(of.values()) for name, of in release.splits.items()}) }", highlight=False)
        console.print(f"version {following.version}, changes {following.changelog}", highlight=False)


if __name__ == "__main__":
    main()
