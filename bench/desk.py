"""What the pages of linguists and leads cost in a large language: `python -m bench.desk`.

One language of 100,000 items with three reviews of each, some rejected, disputed, flagged and held. Every page of the
desk and of the audit lane is asked for again and again through the whole of Django, on two cores; the table says how
many queries it made and how long it took, and how long it took to count the figures anew.

CPU is what this process and PostgreSQL used for one look: on a machine with other work it says more than the clock.
Whether the counters are right is another measurement: `python -m bench.operations`.
"""

import argparse
import datetime as dt
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
    """Every desk and list page of a language that who leads it sees."""
    from django.utils import timezone

    from annotation.models import Gold, Item, Pair, Pause, Review

    code = language.code
    at, audits = f"/languages/{code}", f"/audit/{code}"
    first, second = everybody[2].public_id, everybody[3].public_id
    held = Pair.objects.filter(state="held").select_related("item").first()
    disputed = Item.objects.filter(state="disputed").first()
    old = Item.objects.filter(language=language, gold=None).order_by("pk")[1000]
    review = Review.objects.filter(reviewer=everybody[0]).order_by("submitted_at")[100]
    paused = Pause.objects.first()
    gold = Gold.objects.select_related("item").first()
    assert held
    assert disputed
    assert paused
    assert gold
    found = f"/items/?language={code}"
    return [
        ("home", "/"),
        ("the desk", f"{at}/"),
        ("agreement", f"{at}/agreement/"),
        ("agreement of one", f"{at}/agreement/?person={first}"),
        ("where two differ", f"{at}/agreement/{first}/{second}/"),
        ("people", f"{at}/people/"),
        ("people worth a talk", f"{at}/people/?talk=1"),
        ("policy", f"{at}/policy/"),
        ("gold", f"{at}/gold/"),
        ("a talk", f"{at}/gold/talk/{paused.pk}/"),
        ("practice items", f"{at}/practice/"),
        ("guidelines", f"{at}/guidelines/"),
        ("their history", f"{at}/guidelines/history/"),
        ("one version", f"{at}/guidelines/150/"),
        ("questions", f"{at}/questions/"),
        ("all questions", f"{at}/questions/?all=1"),
        ("held pairs", f"{audits}/?lane=held"),
        ("flagged pairs", f"{audits}/?lane=flagged"),
        ("sampled pairs", f"{audits}/?lane=sample"),
        ("sample of a release", f"{audits}/?lane=sample&release=benchrelease"),
        ("one audit", f"{audits}/{held.item.public_id}/"),
        ("disputed items", f"{audits}/disputed/"),
        ("one dispute", f"{audits}/disputed/{disputed.public_id}/"),
        ("suggested rules", f"{audits}/rules/"),
        ("tags", f"{audits}/tags/"),
        ("items", found),
        ("items, far back", f"{found}&after={old.public_id}"),
        ("items, one short", f"{found}&waiting=one_short"),
        ("items, stuck", f"{found}&waiting=stuck"),
        ("items, disputed", f"{found}&state=disputed"),
        ("items, accepted", f"{found}&state=accepted"),
        ("items, held", f"{found}&state=held"),
        ("items, reviewed lately", f"{found}&reviewed_since={timezone.localdate() - dt.timedelta(days=6)}"),
        ("items, accepted lately", f"{found}&accepted_since={timezone.localdate() - dt.timedelta(days=6)}"),
        ("items, of a person", f"{found}&person={first}"),
        ("items, flagged", f"{found}&flag=boilerplate"),
        ("items, flag of a person", f"{found}&flag=boilerplate&person={first}"),
        ("items, flag that is not", f"{found}&flag=harmful"),
        ("items, common word", f"{found}&q=market"),
        ("items, word that is not", f"{found}&q=xylophone"),
        ("one item", f"/items/{held.item.public_id}/"),
        ("one gold item", f"/items/{gold.item.public_id}/"),
        ("questions on an item", f"/items/{held.item.public_id}/questions/"),
        ("my work", f"/mine/{code}/"),
        ("my work, far back", f"/mine/{code}/?after={review.pk}"),
        ("my work, a word", f"/mine/{code}/?q=xylophone"),
        ("my unsent", f"/mine/{code}/unsent/"),
        ("my skipped", f"/mine/{code}/skipped/"),
    ]


def pages_of_annotators(language: "Language", everybody: "list[User]") -> list[tuple[str, str]]:
    """Those that are another page, or another query, for who does not lead."""
    from annotation.models import Review

    code = language.code
    own = Review.objects.filter(reviewer=everybody[2], item__gold=None).select_related("item").first()
    assert own
    return [
        ("annotator: home", "/"),
        ("annotator: the language", f"/languages/{code}/"),
        ("annotator: questions", f"/languages/{code}/questions/"),
        ("annotator: items", f"/items/?language={code}"),
        ("annotator: items, a word", f"/items/?language={code}&q=xylophone"),
        ("annotator: one item", f"/items/{own.item.public_id}/"),
        ("annotator: review", f"/review/{code}/"),
        ("annotator: fast pass", f"/review/{code}/fast/"),
        ("annotator: my work", f"/mine/{code}/"),
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
        asked = [(client, page) for page in pages(language, everybody)]
        annotator = Client(HTTP_HOST="localhost")
        annotator.force_login(everybody[2])
        asked += [(annotator, page) for page in pages_of_annotators(language, everybody)]
        for client, (name, address) in track(asked, description="asking"):
            queries, seconds, used = ask(client, address, args.times)
            p95 = seconds[max(0, round(0.95 * len(seconds)) - 1)]
            shown = (used, statistics.median(seconds), p95)
            table.add_row(name, str(queries), *(f"{1000 * each:.0f}" for each in shown))
        Console().print(table)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Console().print(f"Counting the figures anew took {counted:.1f} s; {memory:.0f} MiB at most.")


if __name__ == "__main__":
    main()
