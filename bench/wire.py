"""What the review card weighs on the wire, counted by Chromium itself: `python -m bench.wire ADDRESS CODE SESSION`.

Bytes are those that came over the network, headers included, with a cold cache; SESSION is the value of the cookie
`sessionid` of a person who reviews CODE there. Each run with --submits takes that many items of theirs.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from rich.table import Table

from tests.browser import chromium, system_env


@dataclass(slots=True)
class Traffic:
    """Requests and their bytes while it listens."""

    requests: dict[str, str] = field(default_factory=dict)  # id → address
    received: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.received.values())

    def lines(self) -> list[tuple[str, int]]:
        """Address and bytes of each request, largest first."""
        pairs = [(url, self.received.get(key, 0)) for key, url in self.requests.items()]
        return sorted(pairs, key=lambda pair: -pair[1])


@contextmanager
def listening(page: Page) -> Iterator[Traffic]:
    """Count what the page fetches inside the block."""
    traffic = Traffic()
    session = page.context.new_cdp_session(page)

    def sent(event: dict[str, Any]) -> None:
        traffic.requests[event["requestId"]] = event["request"]["url"]

    def finished(event: dict[str, Any]) -> None:
        traffic.received[event["requestId"]] = int(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", sent)
    session.on("Network.loadingFinished", finished)
    session.send("Network.enable")
    try:
        yield traffic
    finally:
        session.detach()


def first_load(page: Page, address: str) -> Traffic:
    """Everything that a first visit of the page fetches. The page's context must be new: its cache is then empty."""
    with listening(page) as traffic:
        page.goto(address, wait_until="networkidle")
    return traffic


def accept_and_next(page: Page, *, overall: int = 4) -> None:
    """Rate, accept with the keys, and wait for the next card or the empty queue."""
    card = page.locator("#card-form")
    before = card.get_attribute("action") or ""
    for scale in ("rating_alignment", "rating_instruction", "rating_text", "overall"):
        page.locator(f"#{scale}-{overall}").click()
    page.keyboard.press("Control+Enter")
    expect(page.locator(f'#card-form[action="{before}"]')).to_have_count(0)
    expect(page.locator("#card.htmx-settling, #card.htmx-swapping, .htmx-request")).to_have_count(0)


def growth(page: Page) -> dict[str, float]:
    """Nodes, listeners and heap of the page after the garbage is collected."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {name: metrics[name] for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize", "Documents")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("code")
    parser.add_argument("session")
    parser.add_argument("--submits", type=int, default=3)
    options = parser.parse_args()
    table = Table("what", "requests", "kB")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"], env=system_env())
        context = browser.new_context(base_url=options.address)
        context.add_cookies([{"name": "sessionid", "value": options.session, "url": options.address}])
        page = context.new_page()
        traffic = first_load(page, f"/review/{options.code}/")
        table.add_row("first load", str(len(traffic.requests)), f"{traffic.bytes / 1000:.1f}")
        for url, received in traffic.lines():
            table.add_row(f"  {url.removeprefix(options.address)[:60]}", "", f"{received / 1000:.1f}")
        for _ in range(options.submits):
            with listening(page) as traffic:
                accept_and_next(page)
            table.add_row("submit to next", str(len(traffic.requests)), f"{traffic.bytes / 1000:.1f}")
        browser.close()
    Console().print(table)


if __name__ == "__main__":
    main()
