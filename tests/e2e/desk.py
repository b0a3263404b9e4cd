"""What journeys do again and again at an annotator's desk: sit down, rate, decide, look what came of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import System

SCALES = ("rating_alignment", "rating_instruction", "rating_text")
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@contextmanager
def desk(browser: Browser, system: System, session: str = "", **options: Any) -> Iterator[Page]:
    """A browser of its own, signed in by the session key where one is given; a script error fails the test."""
    context = browser.new_context(**{"base_url": system.address, "viewport": {"width": 1280, "height": 800}} | options)
    context.set_default_timeout(20_000)
    if session:
        context.add_cookies([{"name": "sessionid", "value": session, "url": system.address}])
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert not errors, errors


def rate(page: Page, level: int = 4, *, overall: int = 4, press: Callable[[Locator], None] | None = None) -> None:
    press = press or (lambda radio: radio.click())
    for name in SCALES:
        press(page.locator(f"#{name}-{level}"))
    press(page.locator(f"#overall-{overall}"))


def item_id(page: Page) -> str:
    """The public id of the item on the card."""
    return str(page.locator("#card-form").get_attribute("action")).rstrip("/").rpartition("/")[2]


def expect_next(page: Page, previous: str, timeout: float = 10_000) -> None:
    """The card went on, and is ready to be worked on."""
    expect(page.locator(f'#card-form[action*="{previous}"]')).to_have_count(0, timeout=timeout)
    expect(page.locator("#card")).to_be_visible()
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)


def until(page: Page, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Look until it holds; for what the database says, which no page shows."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        page.wait_for_timeout(100)


def reviews(system: System, item: str) -> list[tuple]:
    """Decision, instruction and reason of the standing reviews of an item."""
    return system.psql(
        "SELECT r.decision, r.instruction, r.reason FROM annotation_review r "
        "JOIN annotation_item i ON i.id = r.item_id WHERE i.public_id = %s AND r.withdrawn_at IS NULL",
        item,
    )
