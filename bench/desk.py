"""What the pages of linguists and leads cost in a large language: `python -m bench.desk`.

One language of 100,000 items with three reviews of each, some rejected, disputed, flagged and held. Every page of the
desk and of the audit lane is asked for again and again through the whole of Django, on two cores; the table says how
many queries it made and how long it took, and how long it took to count the figures anew.

CPU is what this process and PostgreSQL used for one look: on a machine with other work it says more than the clock.
Whether the counters are right is another measurement: `python -m bench.operations`.
"""

import argparse
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.filling import installation, items, people
from bench.submit_next import cpu, postmaster
from bench.years import years_of_work

if TYPE_CHECKING:
    from django.test import Client

    from xinstruct_site.people.models import Language, User


def ask(client: "Client", address: str, times: int) -> tuple[int, list[float], float]:
    """How many queries one look makes, the seconds of each, in order, and the mean seconds of CPU."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    made = len(queries)  # now: the next request forgets them
    assert answer.status_code == 200, (address, answer.status_code)
    seconds = []
    postgres = postmaster()
    before = time.process_time() + cpu(postgres)
    for _ in range(times):
        start = time.perf_counter()
        client.get(address).content  # noqa: B018 - drawn
        seconds.append(time.perf_counter() - start)
    return made, sorted(seconds), (time.process_time() + cpu(postgres) - before) / times


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the filled database there for the next time")
    args = parser.parse_args()
    with installation(keep=args.keep):
        from django.core.management import call_command
        from django.test import Client

        from annotation import desk
        from annotation.models import Review
        from xinstruct_site.people.models import Language, User

        call_command("collectstatic", verbosity=0, interactive=False)
        if not Review.objects.exists():
            everybody = people(args.people)
            Language.objects.update(overlap=3, quorum=2)
            language = Language.objects.get()
            items(language, args.items + 5000, decided=args.items, reviewers=everybody, one_short_by_first=2000)
            years_of_work(language, everybody)
        everybody = list(User.objects.order_by("pk"))
        language = Language.objects.get()
        start = time.perf_counter()
        desk.count_anew(language)
        counted = time.perf_counter() - start
        client = Client(HTTP_HOST="localhost")
        client.force_login(everybody[0])
        table = Table(title=f"{args.items:,} items, {Review.objects.count():,} reviews in one language")
        for heading in ("page", "queries", "CPU ms", "median ms", "p95 ms"):
            table.add_column(heading, justify="left" if heading == "page" else "right")
        for name, address in track(pages(language, everybody), description="asking"):
            queries, seconds, used = ask(client, address, args.times)
            p95 = seconds[max(0, round(0.95 * len(seconds)) - 1)]
            shown = (used, statistics.median(seconds), p95)
            table.add_row(name, str(queries), *(f"{1000 * each:.0f}" for each in shown))
        Console().print(table)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Console().print(f"Counting the figures anew took {counted:.1f} s; {memory:.0f} MiB at most.")


if __name__ == "__main__":
    main()
