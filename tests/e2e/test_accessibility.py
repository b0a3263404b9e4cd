"""axe-core finds nothing on any page of an annotator, in three interface languages, by day and by night."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import System
from tests.e2e.desk import PHONE, SCALES, desk, expect_next, item_id, rate
from tests.e2e.seeding import seed

pytestmark = pytest.mark.e2e

INTERFACES = ["en", "ur", "th"]
# What an annotator meets, and who goes there.
PAGES = {
    "home": "/",
    "card": "/review/ur/",
    "card in Thai": "/review/th/",
    "fast pass": "/review/ur/fast/",
    "empty queue": "/review/fi/",
    "language": "/languages/ur/",
    "guidelines": "/languages/ur/guidelines/",
    "my work": "/mine/ur/",
    "my unsent": "/mine/ur/unsent/",
    "my skipped": "/mine/ur/skipped/",
    "items": "/items/?language=ur",
    "practice": "/practice/bn/",
    "profile": "/account/",
    "agreement": "/account/agreement/",
}


@pytest.fixture(scope="module")
def sessions(system: System) -> dict[str, str]:
    languages = {"ur": {"items": 6, "drafted": 24}, "th": {"items": 6}, "fi": {"items": 0}, "bn": {"practice": 2}}
    people = {
        "zara@example.org": {"languages": ["ur", "th", "fi", "bn"]},
        "lead@example.org": {"languages": ["ur", "th"], "role": "linguist"},
        "maintainer@example.org": {"role": "maintainer"},
    }
    return seed(system, languages, people)


def violations(page: Page, **options: object) -> list[str]:
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def by_day_and_night(page: Page) -> list[str]:
    """All rules by day; by night those of colour, since nothing else changes."""
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    found += violations(page, runOnly=["color-contrast", "link-in-text-block"])
    page.emulate_media(color_scheme="light")
    return found


def test_axe_finds_nothing_on_work_done_put_off_and_practised(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    found: dict[str, list[str]] = {}
    with desk(browser, system, sessions["zara@example.org"]) as page:
        page.goto("/review/th/")
        for decide in ("skip", "accept"):
            item = item_id(page)
            rate(page)
            page.get_by_text("Cultural concern").click()
            page.locator(f"[data-key={decide}]").click()
            expect_next(page, item)
        page.get_by_label("English instruction").fill("Half a thought.")
        expect(page.locator("#saved")).to_contain_text("Saved")
        for name in ("", "unsent/", "skipped/"):
            page.goto(f"/mine/th/{name}")
            found[f"mine {name}"] = by_day_and_night(page)
        page.goto(f"/items/{item}/")
        found["own item"] = by_day_and_night(page)
        for turn in range(2):
            page.goto("/practice/bn/")
            page.get_by_role("radio", name=re.compile("^4")).click()
            page.get_by_role("button", name="Accept").click()
            expect(page.locator("main")).to_contain_text("It names the dish")
            found[f"practised {turn}"] = by_day_and_night(page)
        page.goto("/practice/bn/")
        found["practice done"] = by_day_and_night(page)
    with desk(browser, system, sessions["lead@example.org"]) as page:
        for address in (f"/items/{item}/", "/items/?language=th", "/items/?language=ur&state=open", "/languages/th/"):
            page.goto(address)
            found[f"lead {address}"] = by_day_and_night(page)
    assert {name: rules for name, rules in found.items() if rules} == {}


@pytest.mark.parametrize("interface", INTERFACES)
def test_axe_finds_nothing_on_any_page_of_an_annotator(
    browser: Browser, system: System, sessions: dict[str, str], interface: str
) -> None:
    found: dict[str, list[str]] = {}
    cookie = {"name": "django_language", "value": interface, "url": system.address}
    with desk(browser, system) as page:
        page.context.add_cookies([cookie])
        page.goto("/account/login/")
        found["login"] = by_day_and_night(page)
    with desk(browser, system, sessions["zara@example.org"]) as page:
        page.context.add_cookies([cookie])
        for name, address in PAGES.items():
            answer = page.goto(address)
            assert answer
            assert answer.ok, f"{name}: {answer.status}"
            expect(page.locator("html")).to_have_attribute("lang", interface)
            expect(page.locator("html")).to_have_attribute("dir", "rtl" if interface == "ur" else "ltr")
            found[name] = by_day_and_night(page)
    assert {name: rules for name, rules in found.items() if rules} == {}


def refused(page: Page) -> None:
    page.locator("[data-key=accept]").click()
    expect(page.get_by_role("alert").locator(".notice")).to_be_visible()


def all_open(page: Page) -> None:
    page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")


def keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def offline(page: Page) -> None:
    for scale in (*SCALES, "overall"):
        page.locator(f"#{scale}-4").click()
    page.context.set_offline(True)
    page.locator("[data-key=accept]").click()
    expect(page.locator("#held")).to_be_visible()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("bring_about", [refused, all_open, keys, offline])
def test_axe_finds_nothing_on_the_card_in_its_other_states(
    browser: Browser, system: System, sessions: dict[str, str], bring_about: Callable[[Page], None], options: dict
) -> None:
    with desk(browser, system, sessions["zara@example.org"], **options) as page:
        page.goto("/review/ur/")
        expect(page.locator("[data-key=accept] kbd")).to_be_attached()
        bring_about(page)
        assert by_day_and_night(page) == []


MAINTAINERS_PAGES = {
    "runs": "/runs/",
    "run": "/runs/drafted-ur/",
    "rows of a run": "/runs/drafted-ur/rows/rejected/",
    "texts not drafted": "/runs/drafted-ur/rows/waiting/",
    "two runs": "/runs/drafted-ur/compare/?with=again-ur",
    "gates": "/gates/ur/",
    "samples of a gate": "/gates/ur/reply/too_short/",
    "samples of near-duplicates": "/gates/ur/near_duplicate/",
    "round": "/rounds/ur/ROUND/",
    "passed over": "/rounds/ur/ROUND/passed-over/",
    "evaluators": "/evaluators/",
    "selection": "/languages/ur/",
}


def test_axe_finds_nothing_on_the_pages_of_runs_gates_and_rounds(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    found: dict[str, list[str]] = {}
    [(number,)] = system.psql("SELECT max(number) FROM generation_round WHERE metrics ? 'entropy'")
    with desk(browser, system, sessions["maintainer@example.org"], viewport={"width": 360, "height": 740}) as page:
        for name, address in MAINTAINERS_PAGES.items():
            answer = page.goto(address.replace("ROUND", str(number)))
            assert answer
            assert answer.ok, f"{name}: {answer.status}"
            page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")
            found[name] = by_day_and_night(page)
            page.emulate_media(color_scheme="light")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} is {wide} px too wide for a phone"
    assert {name: rules for name, rules in found.items() if rules} == {}


def test_an_answer_on_a_gate_is_noted_without_leaving_the_page(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["maintainer@example.org"]) as page:
        page.goto("/gates/ur/reply/too_short/")
        page.get_by_role("button", name="Right to turn it away").first.click()
        expect(page.get_by_role("status").filter(has_text="Noted")).to_be_visible()
        page.goto("/gates/ur/")
        expect(page.get_by_text("right 1, wrong 0: 100 % (21–100 %)")).to_be_visible()
