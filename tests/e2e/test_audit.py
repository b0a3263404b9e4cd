"""Journeys of linguists in a real browser: marking in three scripts and among emoji, deciding disputes, a new rule.

One installation; each journey has a language to itself.
"""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import System
from tests.e2e.desk import PHONE, desk
from tests.e2e.seeding import seed
from tests.e2e.test_accessibility import by_day_and_night

pytestmark = pytest.mark.e2e

LINGUISTS = {"noor@example.org": ["ur", "th", "ta", "bn", "hi"]}
ANNOTATORS = {"zara@example.org": ["ur"]}
TWO = {"overlap": 2, "quorum": 2, "items": 3}
EMOJI = "পিঠা 👩🏽‍🍳 আর 🇧🇩 শীত ❄️"


@pytest.fixture(scope="module")
def sessions(system: System) -> dict[str, str]:
    languages = {code: TWO | {"held": 1} for code in ("ur", "th", "ta", "bn")}
    languages["ur"] = languages["hi"] = TWO | {"held": 1, "disputed": 1}
    return seed(
        system,
        languages,
        {email: {"languages": codes, "role": "linguist"} for email, codes in LINGUISTS.items()}
        | {email: {"languages": codes} for email, codes in ANNOTATORS.items()},
    )


# Selects a quote, or what lies between two offsets in UTF-16 units, in a text that marks may have cut in pieces.
SELECT = """([part, quote, from, to]) => {
  const whole = document.querySelector(`[data-part=${part}]`);
  const start = quote ? whole.textContent.indexOf(quote) : from;
  const point = (at) => {
    const walk = document.createTreeWalker(whole, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      if (at <= node.length) return [node, at];
      at -= node.length;
    }
  };
  getSelection().setBaseAndExtent(...point(start), ...point(quote ? start + quote.length : to));
}"""


def mark(page: Page, part: str, quote: str, tag: str, severity: str = "serious") -> None:
    expect(page.locator("[data-key=pass] kbd")).to_have_count(1)  # the script is there
    page.evaluate(SELECT, [part, quote, 0, 0])
    expect(page.locator("#marking")).to_have_text(quote.strip())
    page.get_by_role("radio", name=severity).check()
    page.locator(f"[data-tag={tag}]").click()
    expect(page.locator(f"[data-part={part}] mark").first).to_be_visible()


def marks(system: System, code: str) -> list[dict]:
    [[found]] = system.psql(
        "SELECT a.marks FROM annotation_audit a JOIN annotation_item i ON i.id = a.item_id "
        "JOIN people_language l ON l.id = i.language_id WHERE l.code = %s AND a.withdrawn_at IS NULL",
        code,
    )
    return found


def body(system: System, code: str, item: str) -> str:
    [[text]] = system.psql(
        "SELECT t.body FROM generation_text t JOIN annotation_item i ON i.text_id = t.id WHERE i.public_id = %s", item
    )
    return text


@pytest.mark.parametrize("code", ["ur", "th", "ta"])
def test_what_a_linguist_marks_is_what_is_stored(
    browser: Browser, system: System, sessions: dict[str, str], code: str
) -> None:
    with desk(browser, system, sessions["noor@example.org"]) as page:
        page.goto(f"/audit/{code}/")
        page.get_by_role("link", name="Start").click()
        item = page.url.split("?")[0].rstrip("/").rpartition("/")[2]
        text = body(system, code, item)
        quotes = [text[5:17], text[40:61], text[10:50]]
        for quote in quotes[:2]:
            mark(page, "text", quote, "register")
        # Over both, now that they are drawn: from the middle of one to the middle of the other.
        page.evaluate(SELECT, ["text", "", 10, 50])
        page.locator("[data-tag=register]").click()
        mark(page, "instruction", "what the author remembers", "anglocentric", "grave")
        expect(page.locator("#marks li")).to_have_count(4)
        page.keyboard.press("p")
        expect(page.get_by_text("Passed.")).to_be_visible()

        stored = marks(system, code)
        assert [one["quote"] for one in stored[:3]] == quotes
        assert all(text[one["start"] : one["end"]] == one["quote"] for one in stored[:3])
        assert stored[3] | {"start": 0, "end": 0} == {
            "part": "instruction", "start": 0, "end": 0, "quote": "what the author remembers",
            "tag": "anglocentric", "severity": 3, "note": "",
        }  # fmt: skip

        page.get_by_role("button", name="Take back").click()
        expect(page.get_by_text("The pair is what it was before.")).to_be_visible()


def test_marks_among_emoji_count_code_points_and_are_removed_one_by_one(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    [[item]] = system.psql(
        "UPDATE generation_text t SET body = %s || t.body FROM annotation_item i JOIN annotation_pair p ON "
        "p.item_id = i.id, people_language l WHERE i.text_id = t.id AND l.id = i.language_id AND l.code = 'bn' "
        "AND p.state = 'held' RETURNING i.public_id",
        EMOJI,
    )
    with desk(browser, system, sessions["noor@example.org"], **PHONE) as page:
        page.goto(f"/audit/bn/{item}/")
        for quote in ("👩🏽‍🍳 আর", "🇧🇩", "শীত ❄️"):
            mark(page, "text", quote, "taboo")
        page.locator("#marks li").nth(1).get_by_role("button", name="Remove").click()
        page.get_by_label("Note").fill("❄️ বাদ")
        page.get_by_role("button", name="Exclude").click()
        expect(page.get_by_text("Excluded.")).to_be_visible()
        stored = marks(system, "bn")
        assert [one["quote"] for one in stored] == ["👩🏽‍🍳 আর", "শীত ❄️"]
        assert [EMOJI[one["start"] : one["end"]] for one in stored] == ["👩🏽‍🍳 আর", "শীত ❄️"]


def test_linguist_marks_and_decides_by_keys_alone_and_loses_nothing(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["noor@example.org"]) as page:
        page.goto("/audit/hi/")
        page.get_by_role("link", name="Start").click()
        expect(page.locator("[data-key=pass] kbd")).to_have_count(1)
        words = page.locator("[data-part=text]").inner_text().split()
        for key in ("t", "ArrowRight", "ArrowRight", "Control+Shift+ArrowRight", "s", "4"):
            page.keyboard.press(key)
        expect(page.locator("#marks q").first).to_have_text(" ".join(words[1:3]))
        page.keyboard.press("ArrowRight")  # on from there
        expect(page.locator("#marking")).to_have_text(words[3].strip("।,"))
        page.keyboard.press("2")
        page.get_by_label("Note").fill("र")
        page.reload()
        expect(page.locator("#marks li")).to_have_count(2)
        expect(page.get_by_label("Note")).to_have_value("र")
        page.keyboard.press("p")
        expect(page.get_by_text("Passed.")).to_be_visible()
        [first, second] = marks(system, "hi")
        assert (first["tag"], first["severity"], first["quote"]) == ("variety", 2, " ".join(words[1:3]))
        assert (second["tag"], second["start"] > first["end"]) == ("taboo", True)
        page.get_by_role("button", name="Take back").click()
        expect(page.locator("#marks li")).to_have_count(2)


def test_linguist_decides_a_dispute_and_puts_a_rule_into_the_guidelines_which_the_annotator_sees(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["noor@example.org"]) as page:
        page.goto("/audit/ur/disputed/")
        page.locator(".work-rows a").first.click()
        expect(page.get_by_text("It is another one.")).to_be_visible()
        expect(page.get_by_text("Review 1", exact=True)).to_be_visible()
        page.get_by_label("Instruction", exact=True).fill("Describe how the writer remembers it.")
        page.get_by_role("radio", name="4").check()
        page.get_by_label("Note").fill("Both read it rightly; the question was too wide.")
        page.get_by_role("button", name="Accept these words").click()
        expect(page.get_by_text("Nothing is disputed.")).to_be_visible()
        [[state]] = system.psql(
            "SELECT state FROM annotation_pair WHERE is_current AND instruction = %s",
            "Describe how the writer remembers it.",
        )
        assert state == "accepted"

        page.goto("/audit/ur/?lane=held")
        page.get_by_role("link", name="Start").click()
        mark(page, "text", page.locator("[data-part=text]").inner_text()[:9], "variety")
        page.get_by_label("Suggest a rule").fill("Keep the spelling of the writer's region.")
        page.get_by_role("button", name="Pass").click()
        page.get_by_role("link", name="Suggested rules").click()
        page.get_by_role("link", name="Put into the guidelines").click()
        expect(page.get_by_label("Guidelines")).to_have_value(re.compile("region"))
        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_text("Annotators are told")).to_be_visible()
    with desk(browser, system, sessions["zara@example.org"]) as page:
        page.goto("/")
        with page.expect_popup() as guidelines:
            page.get_by_role("link", name="Read them").click()
        expect(guidelines.value.get_by_text("Keep the spelling of the writer's region.")).to_be_visible()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_on_any_page_of_a_linguist(
    browser: Browser, system: System, sessions: dict[str, str], options: dict
) -> None:
    found: dict[str, list[str]] = {}
    pages = {
        "held": "/audit/hi/",
        "flagged": "/audit/hi/?lane=flagged",
        "sample": "/audit/hi/?lane=sample",
        "rules": "/audit/hi/rules/",
        "tags": "/audit/hi/tags/",
        "disputes": "/audit/hi/disputed/",
        "language": "/languages/hi/",
        "agreement": "/languages/hi/agreement/",
        "people": "/languages/hi/people/",
        "policy": "/languages/hi/policy/",
        "questions": "/languages/hi/questions/",
    }
    with desk(browser, system, sessions["noor@example.org"], **options) as page:
        for name, address in pages.items():
            answer = page.goto(address)
            assert answer
            assert answer.ok, f"{name}: {answer.status}"
            found[name] = by_day_and_night(page)
            width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert width <= 0, f"{name} is too wide by {width}"
        page.goto("/audit/hi/")
        page.get_by_role("link", name="Start").click()
        mark(page, "text", page.locator("[data-part=text]").inner_text()[3:9], "taboo")
        page.evaluate(SELECT, ["instruction", "", 0, 8])
        page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")
        found["audit"] = by_day_and_night(page)
        page.goto("/audit/hi/disputed/")
        page.locator(".work-rows a").first.click()
        found["dispute"] = by_day_and_night(page)
        item = page.url.rstrip("/").rpartition("/")[2]
        page.goto(f"/items/{item}/questions/")
        page.get_by_label("Your question or remark").fill("Which spelling?")
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_text("Which spelling?").first).to_be_visible()
        found["questions of an item"] = by_day_and_night(page)
    assert {name: rules for name, rules in found.items() if rules} == {}
