"""What a claim costs where one person has reviewed nearly all that waits: `python -m bench.rechecks`.

Of so many open items nine in ten wait for their second review, all by the same person. Each row is what that person
asks for, beside a claim where fresh items wait and no policy knows self-rechecks.
"""

import argparse
import contextlib
import statistics
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench.filling import installation, items, people

if TYPE_CHECKING:
    from xinstruct_site.people.models import Language, User

DAYS = 7
NO_FRESH = "UPDATE annotation_slot SET state = 'closed' WHERE state = 'free' AND reviewed_by = '{}'"
RESTING = """
    UPDATE annotation_slot AS slot SET recheck_from = review.submitted_at + interval '7 days'
      FROM annotation_review AS review WHERE review.item_id = slot.item_id AND slot.state = 'free'
"""
JUST_REVIEWED = "UPDATE annotation_review SET submitted_at = now() - interval '1 day'"
LONG_AGO = "UPDATE annotation_review SET submitted_at = now() - interval '8 days'"


def claim(user: "User", language: "Language", times: int) -> float:
    """Median milliseconds of a claim; each is taken back."""
    from django.db import transaction

    from annotation import queues

    took = []
    for _ in range(times):
        with transaction.atomic():
            begun = time.perf_counter()
            with contextlib.suppress(queues.QueueEmpty):
                queues.claim_next(user, language)
            took.append(1000 * (time.perf_counter() - begun))
            transaction.set_rollback(True)
    return statistics.median(took)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.rechecks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=20, help="claims for each row")
    options = parser.parse_args()
    with installation():
        from django.db import connection

        from annotation import queues
        from xinstruct_site.people.models import Language

        users = people(2)
        Language.objects.update(recheck_days=DAYS)
        language = Language.objects.get(code="fi")
        short = options.items * 9 // 10
        items(language, options.items, decided=10, reviewers=users, one_short_by_first=short)
        table = Table("the person asks, and", "ms", "ratio", "items that wait for them")
        first = 0.0
        for name, statements in (
            ("fresh items wait, no rechecks", []),
            ("only what others must review is left", [NO_FRESH]),
            ("all that is left rests for a recheck", [JUST_REVIEWED, RESTING]),
            ("all that is left is due for a recheck", [LONG_AGO, RESTING]),
        ):
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                cursor.execute("VACUUM ANALYZE")
            median = claim(users[0], language, options.times)
            first = first or median
            waiting = queues.waiting(users[0], language)
            table.add_row(name, f"{median:.1f}", f"{median / first:.1f}", f"{waiting:,}")
        Console().print(table)


if __name__ == "__main__":
    main()
