"""Many people over one queue at once, on real PostgreSQL: `python -m bench.races`.

Claimers run in processes and threads until no slot is left; some die with a slot in their hands. The database itself
writes down what became of every slot (a trigger that only this measurement makes), and the figures come from that log:
a claimer that was sent away is held against what was free at that moment, whatever the code believed.
"""

import argparse
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from annotation.models import Slot
    from xinstruct_site.people.models import Language, User

GRACE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Empty:
    """Somebody was sent away: when they asked and when they had the answer, by the database's clock."""

    user: int
    asked_at: Any
    answered_at: Any


@dataclass(slots=True)
class Race:
    """What a race came to. All but the first five must be 0."""

    claims: int = 0
    reviews: int = 0
    empty_answers: int = 0
    died: int = 0
    seconds: float = 0.0
    slots_left: int = 0
    double_claims: int = 0
    two_slots_of_an_item: int = 0
    above_overlap: int = 0
    surfaced_errors: int = 0
    sent_away_early: int = 0
    back_too_late: int = 0
    waits: list[float] = field(default_factory=list)  # from the lease's end to the next claim, of what the dead held
    errors: list[str] = field(default_factory=list)

    def wrongs(self) -> dict[str, int]:
        names = ("slots_left", "double_claims", "two_slots_of_an_item", "above_overlap", "surfaced_errors",
                 "sent_away_early", "back_too_late")  # fmt: skip
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def race(language: "Language", users: "list[User]", *, threads: int, dying: int = 0) -> Race:
    """Let all users claim and accept until there is nothing for them.

    Args:
        threads: claimers in one process; the number of processes follows.
        dying: so many of the users get a process of their own and are killed, each with a slot in its hands.
    """
    from django.db import connection, connections

    connections.close_all()  # sockets are not shared with the children
    mortal, others = users[:dying], users[dying:]
    groups = [[user] for user in mortal] + [others[start : start + threads] for start in range(0, len(others), threads)]
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(len(groups))
    outcome = Race(died=dying)
    with slot_log():
        connections.close_all()
        started = time.monotonic()
        children: list[tuple[Any, Any]] = []
        for group in groups:
            ours, theirs = context.Pipe(duplex=False)
            lifetime = 1 + len(children) % 4 if len(children) < dying else 0
            child = context.Process(target=_claimers, args=(language, group, gate, theirs, lifetime, bool(dying)))
            child.start()
            theirs.close()
            children.append((child, ours))
        empties: list[Empty] = []
        for child, answers in children:
            with contextlib.suppress(EOFError):  # the dead say nothing
                found, errors = answers.recv()
                empties += found
                outcome.errors += errors
            child.join(60)
            if child.exitcode not in {0, -signal.SIGKILL}:
                outcome.errors.append(f"a process ended with {child.exitcode}")
        outcome.seconds = time.monotonic() - started
        outcome.surfaced_errors = len(outcome.errors)
        outcome.empty_answers = len(empties)
        with connection.cursor() as cursor:
            _judge(cursor, outcome, language, empties, [user.pk for user in mortal])
    return outcome


def _claimers(
    language: "Language", users: "list[User]", gate: Any, answers: Any, lifetime: int, is_patient: bool
) -> None:
    """One process: a thread for each user."""
    from django.db import connections

    connections.close_all()
    gate.wait(60)
    with ThreadPoolExecutor(len(users)) as pool:
        jobs = [pool.submit(_work, language, user, lifetime, is_patient) for user in users]
        done = [job.result() for job in jobs]
    answers.send(
        ([empty for empties, _ in done for empty in empties], [error for _, errors in done for error in errors])
    )
    answers.close()


def _work(language: "Language", user: "User", lifetime: int, is_patient: bool) -> tuple[list[Empty], list[str]]:
    """Claim and accept until there is nothing. With a lifetime, be killed over the claim of that number."""
    from django.db import connections

    from annotation import queues, reviewing

    empties: list[Empty] = []
    errors: list[str] = []
    number = 0
    try:
        while True:
            asked_at = database_now()
            try:
                slot = queues.claim_next(user, language)
            except queues.QueueEmpty as empty:
                empties.append(Empty(user.pk, asked_at, database_now()))
                if is_patient and empty.frees_at and empty.reason == queues.EmptyReason.ALL_HELD:
                    time.sleep(max(0.05, min(1.0, (empty.frees_at - empties[-1].answered_at).total_seconds())))
                    continue
                return empties, errors
            number += 1
            if number == lifetime:
                _die(user, slot)
            reviewing.submit(user, slot.item, _accepting())
    except Exception as exc:  # whatever a person would have seen as a broken page
        errors.append(f"{type(exc).__name__}: {exc}")
        return empties, errors
    finally:
        connections.close_all()


def _die(user: "User", slot: "Slot") -> None:
    """Be killed in the middle of a submit: nothing of it is committed, and the slot stays held."""
    from django.db import transaction

    from annotation.models import Item

    with transaction.atomic():
        Item.objects.select_for_update(no_key=True).get(pk=slot.item_id)
        os.kill(os.getpid(), signal.SIGKILL)


def _accepting() -> Any:
    import uuid

    from annotation.models import Decision
    from annotation.submissions import Submission

    return Submission(
        id=uuid.uuid4(), decision=Decision.ACCEPT, candidate=None, instruction="Describe a market day.",
        rating_alignment=4, rating_instruction=4, rating_text=4, overall=4,
    )  # fmt: skip


def database_now() -> Any:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


# The log and what is read out of it


@contextlib.contextmanager
def slot_log() -> Iterator[None]:
    """While it is open, the database writes down every state of every slot, from the one it starts in."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(START_LOG)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(END_LOG)


def _judge(cursor: Any, outcome: Race, language: "Language", empties: list[Empty], mortal: list[int]) -> None:
    def count(sql: str, *values: Any) -> int:
        cursor.execute(sql, values)
        return int(cursor.fetchone()[0])

    outcome.claims = count("SELECT count(*) FROM race_log WHERE is_claim")
    outcome.reviews = count("SELECT count(*) FROM annotation_review")
    outcome.slots_left = count("SELECT count(*) FROM annotation_slot WHERE state IN ('free', 'held')")
    outcome.double_claims = count(DOUBLE_CLAIMS)
    outcome.two_slots_of_an_item = count(TWO_SLOTS)
    outcome.above_overlap = count(ABOVE_OVERLAP)
    cursor.execute(EMPTY_TABLE)
    cursor.executemany(
        "INSERT INTO race_empty VALUES (%s, %s, %s)", [(e.user, e.asked_at, e.answered_at) for e in empties]
    )
    outcome.sent_away_early = count(SENT_AWAY_EARLY)
    cursor.execute(WAITS, [mortal])
    outcome.waits = [float("inf") if row[0] is None else float(row[0]) for row in cursor.fetchall()]
    outcome.back_too_late = sum(wait > GRACE_SECONDS for wait in outcome.waits)


START_LOG = """
    CREATE TABLE race_log (
        number bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, slot bigint, item bigint, state text, holder bigint,
        lease timestamptz, is_claim boolean);
    INSERT INTO race_log (at, slot, item, state, holder, lease, is_claim)
        SELECT '-infinity', id, item_id, state, holder_id, lease_expires_at, false FROM annotation_slot;
    CREATE FUNCTION race_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO race_log (at, slot, item, state, holder, lease, is_claim)
        VALUES (clock_timestamp(), NEW.id, NEW.item_id, NEW.state, NEW.holder_id, NEW.lease_expires_at,
                NEW.state = 'held' AND (TG_OP = 'INSERT' OR OLD.holder_id IS DISTINCT FROM NEW.holder_id));
        RETURN NULL;
    END $$;
    CREATE TRIGGER race_note AFTER INSERT OR UPDATE ON annotation_slot FOR EACH ROW EXECUTE FUNCTION race_note();
"""
END_LOG = """
    DROP TRIGGER IF EXISTS race_note ON annotation_slot;
    DROP FUNCTION IF EXISTS race_note;
    DROP TABLE IF EXISTS race_log;
    DROP TABLE IF EXISTS race_empty;
"""
# Somebody got a slot that another held under a lease that still ran.
DOUBLE_CLAIMS = """
    SELECT count(*) FROM (
        SELECT is_claim, at, holder, lag(state) OVER slots AS state_before, lag(holder) OVER slots AS holder_before,
               lag(lease) OVER slots AS lease_before
          FROM race_log WINDOW slots AS (PARTITION BY slot ORDER BY number)) AS step
     WHERE is_claim AND state_before IN ('held', 'done') AND holder_before <> holder
       AND (state_before = 'done' OR lease_before >= at)
"""
TWO_SLOTS = """
    SELECT count(*) FROM (
        SELECT FROM race_log WHERE is_claim GROUP BY item, holder HAVING count(DISTINCT slot) > 1) AS twice
"""
ABOVE_OVERLAP = """
    SELECT count(*) FROM (
        SELECT FROM annotation_review AS review JOIN annotation_item AS item ON item.id = review.item_id
         WHERE review.withdrawn_at IS NULL AND review.slot_id IS NOT NULL
         GROUP BY item.id HAVING count(*) > item.overlap) AS above
"""
EMPTY_TABLE = "CREATE TABLE race_empty (person bigint, asked_at timestamptz, answered_at timestamptz)"
# A slot was there to be taken from before the person asked until after they had the answer, and they had never held
# one of its item. (Here nobody skips, and nobody reviews what they do not hold.)
SENT_AWAY_EARLY = """
    WITH takeable AS (
        SELECT slot, item,
               CASE state WHEN 'free' THEN at ELSE greatest(at, lease) END AS since,
               coalesce(lead(at) OVER (PARTITION BY slot ORDER BY number), 'infinity') AS until, state
          FROM race_log)
    SELECT count(*) FROM race_empty
     WHERE EXISTS (
        SELECT FROM takeable
         WHERE state IN ('free', 'held') AND since < asked_at AND until > answered_at
           AND NOT EXISTS (SELECT FROM race_log AS own
                            WHERE own.item = takeable.item AND own.holder = person AND own.at <= answered_at))
"""
# How long what the dead held waited for the next person after its lease had ended; null: until today.
WAITS = """
    SELECT extract(epoch FROM next_at - lease)
      FROM (SELECT holder, state, lease, lead(at) OVER (PARTITION BY slot ORDER BY number) AS next_at
              FROM race_log) AS step
     WHERE holder = ANY(%s) AND state = 'held' AND (next_at IS NULL OR next_at > lease)
"""


# The command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--claimers", type=int, default=50)
    parser.add_argument("--threads", type=int, default=5, help="claimers in one process")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--lease-seconds", type=float, default=20)
    options = parser.parse_args()

    from bench.filling import empty, installation, items, people

    table = Table(title=f"{options.claimers} claimers over {options.items:,} items until no slot is left")
    for name in ("overlap", "die", "claims", "claims/s", "empty answers", "double", "two of an item", "above overlap",
                 "errors", "deadlocks", "sent away early", "slots left", "longest wait s"):  # fmt: skip
        table.add_column(name, justify="right")
    wrong = False
    with installation():
        from django.conf import settings
        from django.db import connection

        from xinstruct_site.people.models import Language

        def deadlocks() -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
                return int(cursor.fetchone()[0])

        for dying in (0, max(1, options.claimers // 20)):
            settings.LEASE_MINUTES = options.lease_seconds / 60 if dying else 30
            for overlap in options.overlaps:
                empty()
                users = people(options.claimers)
                language = Language.objects.get(code="fi")
                language.overlap = language.quorum = overlap
                language.save()
                items(language, options.items)
                before = deadlocks()
                result = race(language, users, threads=options.threads, dying=dying)
                time.sleep(1)  # the server's statistics come a little later
                table.add_row(
                    str(overlap), str(result.died), f"{result.claims:,}", f"{result.claims / result.seconds:.0f}",
                    str(result.empty_answers), str(result.double_claims), str(result.two_slots_of_an_item),
                    str(result.above_overlap), str(result.surfaced_errors), str(deadlocks() - before),
                    str(result.sent_away_early), str(result.slots_left),
                    f"{max(result.waits):.1f}" if result.waits else "",
                )  # fmt: skip
                wrong = wrong or bool(result.wrongs())
                for error in sorted(set(result.errors))[:5]:
                    Console(stderr=True).print(error)
    Console(width=130).print(table)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
