"""What the pages of linguists and leads cost in a large language: `python -m bench.desk`.

One language of 100,000 items with three reviews of each, some rejected, disputed, flagged and held. Every page of the
desk and of the audit lane is asked for again and again through the whole of Django, on two cores; the table says how
many queries it made and how long it took, and how long it took to count the figures anew.

    python -m bench.desk --operations 10000     also as many random reviews, withdrawals, audits, adjudications and
                                                their undoing in a small language, and a recount of the counters
"""

import argparse
import contextlib
import random
import resource
import statistics
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.filling import installation, items, people

if TYPE_CHECKING:
    from django.test import Client

    from xinstruct_site.people.models import Language, User

# How often each random operation comes.
OFTEN = {"review": 8, "withdraw": 2, "audit": 3, "undo audit": 1, "decide": 3, "undo decision": 1}
# Decisions that differ by person and by item, flags, and outcomes that follow from them.
SPREAD = """
    UPDATE annotation_review SET
        decision = CASE WHEN bad THEN 'reject' ELSE 'accept' END, reason = CASE WHEN bad THEN 'no' ELSE '' END,
        overall = CASE WHEN bad THEN 1 + level ELSE 3 + level END, rating_text = 2 + level,
        rating_alignment = 2 + level, active_seconds = 20 + item_id %% 90,
        flags = CASE WHEN item_id %% 40 = 0 THEN '{"boilerplate": ""}'::jsonb ELSE '{}' END
      FROM (SELECT id AS one, random() < 0.02 + (reviewer_id %% 7) * 0.02
                                 OR item_id %% 11 = 0 AND random() < 0.7 AS bad,
                   (random() * 2)::int AS level FROM annotation_review) AS drawn
     WHERE one = id
"""
OUTCOMES = """
    WITH counts AS (SELECT item_id, count(*) FILTER (WHERE decision = 'reject') AS no FROM annotation_review GROUP BY 1)
    UPDATE annotation_item SET state = CASE no WHEN 3 THEN 'rejected' WHEN 2 THEN 'disputed' ELSE 'accepted' END
      FROM counts WHERE item_id = id AND no > 1
"""
PAIRS = """
    UPDATE annotation_pair AS pair SET
        state = CASE item.state WHEN 'accepted' THEN CASE WHEN item.id %% 50 = 0 THEN 'held' ELSE 'accepted' END
                                WHEN 'disputed' THEN 'disputed' ELSE 'withdrawn' END,
        is_current = item.state <> 'rejected',
        candidate_id = (SELECT min(c.id) FROM generation_candidate AS c WHERE c.text_id = item.text_id)
      FROM annotation_item AS item WHERE item.id = pair.item_id
"""


def spread() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        for sql in (SPREAD, OUTCOMES, PAIRS):
            cursor.execute(sql.replace("%%", "%"))
        cursor.execute("VACUUM ANALYZE")


def ask(client: "Client", address: str, times: int) -> tuple[int, list[float]]:
    """How many queries one look makes, and the seconds of each."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    made = len(queries)  # now: the next request forgets them
    assert answer.status_code == 200, (address, answer.status_code)
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        client.get(address).content  # noqa: B018 - drawn
        seconds.append(time.perf_counter() - start)
    return made, sorted(seconds)


def pages(language: "Language", everybody: "list[User]") -> list[tuple[str, str]]:
    from annotation.models import Item, Pair

    code = language.code
    first, second = everybody[1].public_id, everybody[2].public_id
    held = Pair.objects.filter(state="held").select_related("item").first()
    disputed = Item.objects.filter(state="disputed").first()
    assert held
    assert disputed
    return [
        ("home", "/"),
        ("the desk", f"/languages/{code}/"),
        ("agreement", f"/languages/{code}/agreement/"),
        ("where two differ", f"/languages/{code}/agreement/{first}/{second}/"),
        ("people", f"/languages/{code}/people/"),
        ("held pairs", f"/audit/{code}/?lane=held"),
        ("flagged pairs", f"/audit/{code}/?lane=flagged"),
        ("sampled pairs", f"/audit/{code}/?lane=sample"),
        ("one audit", f"/audit/{code}/{held.item.public_id}/"),
        ("disputed items", f"/audit/{code}/disputed/"),
        ("one dispute", f"/audit/{code}/disputed/{disputed.public_id}/"),
        ("suggested rules", f"/audit/{code}/rules/"),
        ("items", f"/items/?language={code}"),
        ("items, one short", f"/items/?language={code}&waiting=one_short"),
        ("items, stuck", f"/items/?language={code}&waiting=stuck"),
        ("one item", f"/items/{held.item.public_id}/"),
        ("my work", f"/mine/{code}/"),
    ]


def operate(count: int) -> tuple[Counter[str], int]:
    """Random decisions and second thoughts. Gives how many of each went through, and what a recount had to mend."""
    from annotation import adjudicating, auditing, deciding, queues, reviewing, tallies
    from annotation.agreement import Wording
    from annotation.models import Adjudication, Audit, Item, Pair, Review
    from tests.factories import accepting, make_items, make_language, make_user, rejecting
    from xinstruct_site.people.models import Role

    language = make_language("sw", overlap=2, quorum=2)
    make_items(language, max(20, count // 20))
    annotators = [make_user(f"swahili{n}@bench.invalid", language) for n in range(6)]
    linguist = make_user("linguist@bench.invalid", language, role=Role.LINGUIST)
    chance = random.Random(1)
    went: Counter[str] = Counter()
    for _ in track(range(count), description="operating"):
        what = chance.choices(
            ["review", "withdraw", "audit", "undo audit", "decide", "undo decision"], [8, 2, 3, 1, 3, 1]
        )[0]
        with contextlib.suppress(queues.QueueEmpty, reviewing.ReviewError, deciding.DecisionError, IndexError):
            if what == "review":
                who = chance.choice(annotators)
                item = queues.claim_next(who, language).item
                flags = {"cultural": ""} if chance.random() < 0.2 else {}
                sent = (
                    accepting(chance.choice(["One.", "One.", "Two."]), flags=flags)
                    if chance.random() < 0.7
                    else rejecting()
                )
                reviewing.submit(who, item, sent)
            elif what == "withdraw":
                one = chance.choice(
                    Review.objects.standing().filter(item__language=language).order_by("-submitted_at")[:50]
                )
                reviewing.withdraw(one.reviewer, one)
            elif what == "audit":
                pair = chance.choice(auditing.auditable(language)[:50])
                verdict = chance.choice(["pass", "fix", "exclude", "send_back"])
                wording = Wording(f"Fixed {uuid.uuid4()}.") if verdict == "fix" else None
                auditing.audit(linguist, pair, auditing.Submission(uuid.uuid4(), verdict, note="x", wording=wording))
            elif what == "undo audit":
                auditing.withdraw(linguist, chance.choice(Audit.objects.standing().order_by("-at")[:20]))
            elif what == "decide":
                item = chance.choice(adjudicating.disputed(language)[:50])
                accepts = chance.random() < 0.6
                said = adjudicating.Submission(
                    uuid.uuid4(), "accept" if accepts else "reject", 4 if accepts else 1, "x", Wording("Decided.")
                )
                adjudicating.adjudicate(linguist, item, said)
            else:
                decisions = Adjudication.objects.filter(withdrawn_at=None).order_by("-at")[:20]
                adjudicating.withdraw(linguist, chance.choice(decisions))
            went[what] += 1
    assert Item.objects.filter(language=language).exclude(state="open").exists()
    assert Pair.objects.filter(item__language=language, is_current=True).exists()
    return went, len([drift for drift in tallies.recount() if drift.language_id == language.pk])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--operations", type=int, default=0)
    args = parser.parse_args()
    with installation():
        from django.core.management import call_command
        from django.test import Client

        from annotation import desk, tallies
        from annotation.models import Review
        from xinstruct_site.people.models import Language, Membership, Role

        call_command("collectstatic", verbosity=0, interactive=False)
        everybody = people(30)
        Language.objects.update(overlap=3, quorum=2)
        language = Language.objects.get()
        items(language, args.items + 500, decided=args.items, reviewers=everybody, one_short_by_first=200)
        spread()
        tallies.recount()
        Membership.objects.filter(user=everybody[0]).update(role=Role.LINGUIST)
        start = time.perf_counter()
        desk.count_anew(language)
        counted = time.perf_counter() - start
        client = Client(HTTP_HOST="localhost")
        client.force_login(everybody[0])
        table = Table(title=f"{args.items:,} items, {Review.objects.count():,} reviews in one language")
        for heading in ("page", "queries", "median ms", "p95 ms"):
            table.add_column(heading, justify="left" if heading == "page" else "right")
        for name, address in track(pages(language, everybody), description="asking"):
            queries, seconds = ask(client, address, args.times)
            p95 = seconds[max(0, round(0.95 * len(seconds)) - 1)]
            table.add_row(name, str(queries), f"{1000 * statistics.median(seconds):.0f}", f"{1000 * p95:.0f}")
        Console().print(table)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Console().print(f"Counting the figures anew took {counted:.1f} s; {memory:.0f} MiB at most.")
        if args.operations:
            went, drifted = operate(args.operations)
            Console().print(f"Of {args.operations:,} random operations these went through: {dict(went)}.")
            Console().print(f"Counters that a recount had to mend: {drifted}.")


if __name__ == "__main__":
    main()
