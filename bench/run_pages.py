"""Times the maintainers' pages over very many texts, drafts and scores.

    python -m bench.run_pages [--texts N] [--times N]

One run drafted two candidates for each text, nine in ten of them kept and scored; a tenth of the texts stand in a round
(100,000 at most), a twentieth was passed over. A second run drafted every tenth text. Asks each page in process, as a
maintainer, and prints milliseconds and database queries; at 1,000,000 texts the rows take some minutes and 4 GB.
"""

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench.filling import BODY, TEXTS, empty, installation, people

if TYPE_CHECKING:
    from django.test import Client

    from generation.models import Run

ROUND_MOST = 100_000
RARE = 1000  # one rejected draft in so many says a reason that few others say
CANDIDATES = """
    INSERT INTO generation_candidate (
        text_id, run_id, sample_number, style, instruction, input, raw_reply, state, reasons, repairs, tokens,
        created_at, embedding)
    SELECT id, %(run)s, sample, '', 'Describe market day number ' || id || ' in a town.', '', 'raw',
           CASE WHEN (id + sample) %% 10 = 0 THEN 'rejected' ELSE 'kept' END,
           CASE WHEN (id + sample) %% (10 * %(rare)s) = 0 THEN '{refused}'::text[]
                WHEN (id + sample) %% 10 = 0 THEN '{too_short}'::text[] ELSE '{}' END, '{}', 20, now(), NULL
      FROM generation_text, generate_series(0, %(samples)s - 1) AS sample WHERE id %% %(every)s = 0
"""
SCORES = """
    INSERT INTO generation_score (candidate_id, evaluator_id, sample_number, state, raw, level, reasoning, created_at)
    SELECT id, %(evaluator)s, 0, 'scored', random(), NULL, '', now()
      FROM generation_candidate WHERE run_id = %(run)s AND state = 'kept'
"""
SELECTED = """
    INSERT INTO generation_selection (round_id, text_id, rank, cluster, candidate_ids)
    SELECT %(round)s, text_id, row_number() OVER (), text_id %% 500, array_agg(id)
      FROM generation_candidate WHERE run_id = %(run)s AND state = 'kept' AND text_id %% 10 = 1
     GROUP BY text_id LIMIT %(most)s
"""
PASSED_OVER = """
    INSERT INTO generation_passedover (round_id, text_id, candidate_id, like_id)
    SELECT %(round)s, text_id, min(id), (SELECT min(text_id) FROM generation_selection)
      FROM generation_candidate WHERE run_id = %(run)s AND state = 'kept' AND text_id %% 20 = 2 GROUP BY text_id
"""


def fill(texts: int) -> "tuple[Run, Run]":
    """The rows of two runs and a round, as importing, drafting, scoring and selecting leave them."""
    from django.db import connection

    from annotation import queues
    from generation.models import Import, JobState, ModelVersion, Round, Run, Task
    from xinstruct_site.people.models import Language

    language = Language.objects.get()
    batch = Import.objects.create(
        language=language, source="bench", counts={"stored": texts, "rejected": {"too_short": texts // 9}}
    )
    drafting, scoring = (
        ModelVersion.objects.create(
            task=task, name="bench", backend="hf", location="x", revision="0", prompt_version=way
        )
        for task, way in ((Task.DRAFT, ""), (Task.SCORE, "levels-1"))
    )
    runs = [
        Run.objects.create(
            language=language, model_version=drafting, key=f"{number}" * 64, prompt_version="base-1", samples=samples,
            state=JobState.DONE, texts_total=texts // every, texts_done=texts // every, tokens=20 * texts, seconds=900,
        )
        for number, every, samples in ((0, 1, 2), (1, 10, 1))
    ]  # fmt: skip
    round_ = Round.objects.create(language=language, number=1, evaluator=scoring, metrics={"selected": texts // 10})
    values: dict[str, Any] = {
        "language": language.pk, "batch": batch.pk, "count": texts, "body": BODY, "run": runs[0].pk, "rare": RARE,
        "round": round_.pk, "evaluator": scoring.pk, "most": ROUND_MOST, "samples": 2, "every": 1,
    }  # fmt: skip
    with connection.cursor() as cursor:
        for rows in (TEXTS, CANDIDATES, SCORES, SELECTED, PASSED_OVER):
            cursor.execute(rows, values)
        cursor.execute(CANDIDATES, values | {"run": runs[1].pk, "samples": 1, "every": 10})
        cursor.execute("VACUUM ANALYZE")
    queues.open_items(round_)
    return runs[0], runs[1]


def pages(one: "Run", other: "Run") -> dict[str, str]:
    from generation.models import Text

    middle = Text.objects.order_by("pk")[Text.objects.count() // 2].public_id
    rows = {
        f"run, rows {at}": f"/runs/{one.public_id}/rows/{at}/"
        for at in ("kept", "rejected", "scored", "unscored", "selected", "passed_over", "waiting")
    }
    return {
        "texts": "/texts/",
        "texts, from the middle": f"/texts/?after={middle}",
        "texts, of a source": "/texts/?source=bench",
        "texts, words in none": "/texts/?q=zzzz",
        "one text": f"/texts/{middle}/",
        "runs": "/runs/",
        "run": f"/runs/{one.public_id}/",
        **rows,
        "run, a rare reason": f"/runs/{one.public_id}/rows/rejected/?reason=refused",
        "two runs": f"/runs/{one.public_id}/compare/?with={other.public_id}",
        "round": "/rounds/fi/1/",
        "round, passed over": "/rounds/fi/1/passed-over/",
        "gates": "/gates/fi/",
        "gate, a common reason": "/gates/fi/reply/too_short/",
        "gate, a rare reason": "/gates/fi/reply/refused/",
        "gate, near-duplicates": "/gates/fi/near_duplicate/",
        "evaluators": "/evaluators/",
        "language": "/languages/fi/",
        "home": "/",
    }


def ask(client: "Client", address: str, times: int) -> tuple[list[float], int]:
    """Seconds of each answer, and the queries of one more."""
    from django.db import connection

    queries: list[str] = []

    def note(execute: Any, query: str, *rest: Any) -> Any:
        queries.append(query)
        return execute(query, *rest)

    with connection.execute_wrapper(note):
        answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        client.get(address).content  # noqa: B018 - drawn
        seconds.append(time.perf_counter() - started)
    return sorted(seconds), len(queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked")
    options = parser.parse_args()
    with installation():
        from django.core.management import call_command
        from django.test import Client

        from annotation import jobs
        from generation import funnels
        from xinstruct_site.people.models import Membership, Role

        call_command("collectstatic", verbosity=0, interactive=False)
        empty()
        [maintainer] = people(1)
        Membership.objects.update(role=Role.MAINTAINER)
        started = time.perf_counter()
        one, other = fill(options.texts)
        filled = time.perf_counter() - started
        started = time.perf_counter()
        for run in (one, other):
            funnels.count(run)
        jobs.count_language(one.language_id)
        counted = time.perf_counter() - started
        client = Client(HTTP_HOST="localhost")
        client.force_login(maintainer)
        table = Table(
            "page", "queries", "median ms", "p95 ms",
            title=f"{options.texts:,} texts, filled in {filled:.0f} s; a worker counts for {counted:.1f} s",
        )  # fmt: skip
        for name, address in pages(one, other).items():
            seconds, queries = ask(client, address, options.times)
            p95 = seconds[max(0, round(0.95 * len(seconds)) - 1)]
            table.add_row(name, str(queries), f"{1000 * statistics.median(seconds):.0f}", f"{1000 * p95:.0f}")
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
