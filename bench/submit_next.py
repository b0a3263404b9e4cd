"""What one submit-and-next costs the server, over HTTP: `python -m bench.submit_next`.

Gunicorn as `manage.py up` starts it, PostgreSQL and the load generator share two cores. Every annotator is a signed-in
session on a kept-alive connection that submits the card it got and reads the next one out of the answer, without a
pause. Server CPU is what gunicorn and PostgreSQL used meanwhile, all their processes, divided by the submits.
"""

import argparse
import asyncio
import html
import os
import re
import statistics
import subprocess
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import psutil
from rich.console import Console
from rich.table import Table

from bench.filling import empty, installation, items, people

if TYPE_CHECKING:
    from xinstruct_site.people.models import User

PORT = 8097
TOKEN = "b" * 32
INPUT = re.compile(r"<input\b([^>]*)>")
TEXTAREA = re.compile(r'<textarea[^>]*\bname="([^"]*)"[^>]*>\n?(.*?)</textarea>', re.S)
ATTRIBUTE = re.compile(r'\b(name|type|value|checked)\b(?:="([^"]*)")?')
ACTION = re.compile(r'<form id="card-form"[^>]*?\baction="([^"]*)"', re.S)


@dataclass(slots=True)
class Result:
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    took: float = 0.0
    web_cpu: float = 0.0
    database_cpu: float = 0.0
    ended: int = 0


class Annotator:
    """One person's browser, as far as the server sees it."""

    def __init__(self, session: str) -> None:
        self.cookie = f"sessionid={session}; csrftoken={TOKEN}"
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.card = ""

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, str, int]:
        for is_last in (False, True):
            try:
                return await self._request(method, path, body)
            except (ConnectionError, asyncio.IncompleteReadError):
                if is_last:
                    raise
                self.writer = None  # the server ended the connection that it kept alive until now
        raise AssertionError

    async def _request(self, method: str, path: str, body: bytes) -> tuple[int, str, int]:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)
        assert self.reader
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\nCookie: {self.cookie}\r\n"
            "Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nHX-Request: true\r\nHX-Target: card\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        answer = await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.writer.close()
            self.writer = None
        size = len(answer)
        if headers.get("content-encoding") == "gzip":
            answer = zlib.decompress(answer, 31)
        return int(lines[0].split()[1]), answer.decode(), size

    async def open(self) -> None:
        status, self.card, _ = await self.request("GET", "/review/fi/")
        assert status == 200, status

    async def submit(self) -> int:
        """Accept the card with 4 everywhere, and take the next one. Returns the bytes of the answer."""
        path, body = filled_in(self.card)
        status, self.card, size = await self.request("POST", path, body)
        assert status == 200, (status, self.card[:300])
        return size


def filled_in(card: str) -> tuple[str, bytes]:
    """Where the card's form goes, and the form with ratings and a decision."""
    found = ACTION.search(card)
    assert found, card[:1000]
    fields: list[tuple[str, str]] = []
    for tag in INPUT.finditer(card):
        attributes = dict(ATTRIBUTE.findall(tag[1]))
        if attributes.get("type", "text") in {"hidden", "text"} or "checked" in attributes:
            fields.append((attributes.get("name", ""), html.unescape(attributes.get("value", ""))))
    fields += [(name, html.unescape(text)) for name, text in TEXTAREA.findall(card)]
    fields += [(name, "4") for name in ("rating_alignment", "rating_instruction", "rating_text", "overall")]
    fields += [("decision", "accept"), ("csrfmiddlewaretoken", TOKEN)]
    return found[1], urlencode([pair for pair in fields if pair[0]]).encode()


async def load(sessions: list[str], seconds: float, result: Result) -> None:
    annotators = [Annotator(session) for session in sessions]
    await asyncio.gather(*(annotator.open() for annotator in annotators))
    for annotator in annotators:  # every worker has its templates and its connections
        for _ in range(max(3, 12 // len(annotators))):
            await annotator.submit()
    web, database = servers()
    web_before, database_before, start = cpu(web), cpu(database), time.monotonic()

    async def work(annotator: Annotator) -> None:
        while time.monotonic() - start < seconds:
            if "card-form" not in annotator.card:
                result.ended += 1
                return
            sent = time.monotonic()
            size = await annotator.submit()
            result.bytes += size
            result.seconds.append(time.monotonic() - sent)

    await asyncio.gather(*(work(annotator) for annotator in annotators))
    result.took = time.monotonic() - start
    result.web_cpu, result.database_cpu = cpu(web) - web_before, cpu(database) - database_before


def servers() -> tuple[psutil.Process, psutil.Process]:
    """Gunicorn's and PostgreSQL's first processes."""
    own = [child for child in psutil.Process().children() if "gunicorn" in " ".join(child.cmdline())]
    return own[0], postmaster()


def postmaster() -> psutil.Process:
    from xinstruct_site import embedded

    pid = (embedded.services_dir() / "postgres" / "postmaster.pid").read_text().split()[0]
    return psutil.Process(int(pid))


def cpu(first: psutil.Process) -> float:
    """Seconds used by a process, its children now and those that it has seen off."""
    total = 0.0
    for process in [first, *first.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def sessions_of(users: "list[User]") -> list[str]:
    from django.test import Client

    keys = []
    for user in users:
        client = Client()
        client.force_login(user)
        keys.append(client.cookies["sessionid"].value)
    return keys


def start_web() -> subprocess.Popen[bytes]:
    from xinstruct_site.management.commands.up import answers, children

    web = children("127.0.0.1", PORT, web_workers=2, workers=0)[0]
    process = subprocess.Popen(list(web.command), env=os.environ | web.env)
    assert answers("127.0.0.1", PORT), "the web server does not answer"
    return process


def measure(annotators: int, item_count: int, seconds: float, alone: int) -> Result:
    empty()
    users = people(16)
    from xinstruct_site.people.models import Language

    items(
        Language.objects.get(code="fi"), item_count, decided=item_count // 5, reviewers=users, one_short_by_first=alone
    )
    result = Result()
    web = start_web()
    try:
        asyncio.run(load(sessions_of(users[:annotators]), seconds, result))
    finally:
        web.terminate()
        web.wait()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--annotators", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--alone", type=int, default=0, help="items that the first annotator did and nobody else yet")
    options = parser.parse_args()
    table = Table(title="submit and next, overlap 2, a fifth of the items decided before")
    for name in ("items", "annotators", "submits", "reviews/s", "p50 ms", "p95 ms", "CPU ms", "web", "database", "kB"):
        table.add_column(name, justify="right")
    with installation():
        from django.core.management import call_command

        call_command("collectstatic", verbosity=0, interactive=False)
        for item_count in options.items:
            for annotators in options.annotators:
                result = measure(annotators, item_count, options.seconds, options.alone)
                n = len(result.seconds)
                cuts = statistics.quantiles(result.seconds, n=20)
                web, database = 1000 * result.web_cpu / n, 1000 * result.database_cpu / n
                table.add_row(
                    f"{item_count:,}", str(annotators), str(n), f"{n / result.took:.1f}", f"{1000 * cuts[9]:.0f}",
                    f"{1000 * cuts[18]:.0f}", f"{web + database:.1f}", f"{web:.1f}", f"{database:.1f}",
                    f"{result.bytes / n / 1000:.1f}",
                )  # fmt: skip
                if result.ended:
                    table.caption = "Some annotators ran out of items: more items, or fewer seconds."
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
