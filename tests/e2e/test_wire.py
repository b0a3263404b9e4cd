"""What the card costs the network and the browser. Sizes, not timings: they are the same on every machine."""

import pytest
from playwright.sync_api import Browser, Page

from bench import wire
from tests.e2e.conftest import System
from tests.e2e.desk import desk, until
from tests.e2e.seeding import seed

pytestmark = pytest.mark.e2e

SWAPS = 500
# Goes through cards as fast as the server gives them: every second one accepted, the others skipped.
WORK = """async (count) => {
  for (let done = 0; done < count; done++) {
    const form = document.querySelector("#card-form");
    const settled = new Promise((resolve) => document.addEventListener("htmx:afterSettle", function look(event) {
      if (document.querySelector("#card-form") === form) return;
      document.removeEventListener("htmx:afterSettle", look);
      resolve();
    }));
    if (done % 2) {
      form.querySelector("[data-key=skip]").click();
    } else {
      form.elements.namedItem("instruction").value += " Name the place.";
      form.elements.namedItem("instruction").dispatchEvent(new Event("input", { bubbles: true }));
      for (const name of ["rating_alignment", "rating_instruction", "rating_text", "overall"]) {
        form.querySelector(`#${name}-4`).click();
      }
      form.querySelector("[data-key=accept]").click();
    }
    await settled;
  }
}"""


@pytest.fixture(scope="module")
def sessions(system: System) -> dict[str, str]:
    languages = {"ta": {"items": 12}, "ur": {"items": 12}, "fi": {"items": SWAPS + 60, "drafts": 2}}
    return seed(
        system, languages, {"nila@example.org": {"languages": ["ta", "ur"]}, "aino@example.org": {"languages": ["fi"]}}
    )


@pytest.mark.parametrize("code", ["ta", "ur"])
def test_the_first_card_is_small_and_the_next_one_smaller(
    browser: Browser, system: System, sessions: dict[str, str], code: str
) -> None:
    with desk(browser, system, sessions["nila@example.org"]) as page:
        first = wire.first_load(page, f"/review/{code}/")
        assert first.bytes <= 60_000, first.lines()
        assert len(first.requests) <= 12, first.lines()
        assert not [url for url, _ in first.lines() if "font" in url or url.endswith((".woff2", ".woff", ".ttf"))]
        assert not [url for url, _ in first.lines() if not url.startswith((system.address, "data:"))]
        for _ in range(2):
            with wire.listening(page) as traffic:
                wire.accept_and_next(page)
            assert len(traffic.requests) == 1, traffic.lines()
            assert traffic.bytes <= 30_000, traffic.lines()


def work(page: Page, count: int) -> None:
    for _ in range(count // 50):
        page.evaluate(WORK, 50)


def nodes_in_page(page: Page) -> int:
    """Elements and pieces of text between the cards, of the page around them and of the card now shown."""
    return int(
        page.evaluate("document.evaluate('count(//node())', document, null, XPathResult.NUMBER_TYPE).numberValue")
    )


def test_the_page_does_not_grow_over_hundreds_of_cards(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["aino@example.org"]) as page:
        page.goto("/review/fi/")
        nodes, fresh = nodes_in_page(page), wire.growth(page)
        work(page, 50)
        warm = wire.growth(page)
        work(page, SWAPS)
        assert nodes_in_page(page) <= nodes + 50  # cards differ a little

        # Autosave's delay holds the cards of the last seconds; after that all of them are let go.
        def has_let_go() -> bool:
            now = wire.growth(page)
            return now["Nodes"] <= fresh["Nodes"] + 150 and now["JSEventListeners"] <= fresh["JSEventListeners"] + 3

        until(page, has_let_go, f"no more nodes and listeners than {fresh}")
        # Chromium itself remembers the timings of 250 requests.
        assert wire.growth(page)["JSHeapUsedSize"] <= warm["JSHeapUsedSize"] + 500_000
