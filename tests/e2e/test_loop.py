"""The whole loop in a browser, on real parts: texts in, drafts, people, a release, a fine-tuned model, its drafts."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import System

pytestmark = pytest.mark.e2e

CORPUS = Path(__file__).resolve().parent.parent.parent / "generation" / "demo" / "texts"
PASSWORD = "seven green kites over the river"
MODEL_SECONDS = 240_000  # milliseconds; two busy cores load torch slowly


def join(page: Page, link: str, name: str) -> None:
    page.goto(link)
    page.get_by_label("Your name, as others see it").fill(name)
    page.get_by_label("A password").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", name="You are invited")).to_have_count(0)


def import_corpus(page: Page, code: str) -> None:
    page.goto("/texts/import/")
    page.get_by_label("Language", exact=True).select_option(code)
    page.get_by_label("Source").fill("written for the project")
    page.get_by_label("Licence of the texts").fill("CC0-1.0")
    page.get_by_label("File").set_input_files(CORPUS / f"{code}.jsonl")
    page.get_by_role("button", name="Import").click()
    newest = page.locator("article.import").first
    expect(newest.locator("dl div", has_text="stored").locator("dd")).to_have_text("12", timeout=MODEL_SECONDS)


def draft_and_score(page: Page, code: str, model: str | None = None) -> None:
    page.goto("/runs/")
    page.get_by_label("Language", exact=True).select_option(code)
    if model:
        page.get_by_label("Model").select_option(label=model)
    page.get_by_label("Drafts for each text").fill("2")
    page.get_by_role("button", name="Start drafting").click()
    expect(page.locator("#progress .state")).to_have_text("done", timeout=MODEL_SECONDS)
    expect(page.locator("#progress")).to_contain_text("12 of 12 texts")
    page.get_by_role("button", name="Score now").click()
    expect(page.get_by_role("link", name="Select items for people")).to_be_visible(timeout=MODEL_SECONDS)


def select(page: Page, code: str, count: int, system: System) -> None:
    page.goto(f"/languages/{code}/")
    page.get_by_label("How many").fill(str(count))
    page.get_by_role("button", name="Select").click()
    query = "SELECT count(*) FROM annotation_item i JOIN people_language l ON l.id = i.language_id WHERE l.code = %s"
    for _ in range(240):
        if system.psql(query, code) == [(count,)]:
            return
        page.wait_for_timeout(500)
    pytest.fail(f"no {count} items of {code}:\n{system.log.read_text()[-3000:]}")


def rate(page: Page, *, overall: int) -> None:
    for scale in ("rating_alignment", "rating_instruction", "rating_text"):
        page.locator(f"#{scale}-4").check()
    page.locator(f"#overall-{overall}").check()


def current_item(page: Page) -> str:
    return str(page.locator("#card-form").get_attribute("action"))


def wait_for_next(page: Page, previous: str) -> None:
    expect(page.locator("#card-form")).not_to_have_attribute("action", previous)


def test_the_loop_closes(system: System, page: Page, browser: Browser) -> None:
    system.manage("add_language", "ur", "--overlap", "1", "--quorum", "1")
    system.manage("add_language", "sw", "--overlap", "1", "--quorum", "1")

    # A maintainer imports, drafts, scores and selects.
    join(page, system.invite("maintainer@example.org", "maintainer"), "Maintainer")
    for code in ("ur", "sw"):
        import_corpus(page, code)
        draft_and_score(page, code)
        select(page, code, 4, system)

    # An annotator reviews Urdu, then Swahili: edits, rejects, skips.
    desk = browser.new_context(base_url=system.address, viewport={"width": 1280, "height": 800})
    desk.set_default_timeout(20_000)
    annotator = desk.new_page()
    join(annotator, system.invite("zara@example.org", "annotator", "ur"), "Zara")
    annotator.goto("/review/ur/")
    annotator.get_by_role("button", name=re.compile("accept|agree", re.IGNORECASE)).click()  # the agreement, once
    body = annotator.locator("#card .body")
    expect(body).to_have_attribute("lang", "ur")
    expect(body).to_have_attribute("dir", "rtl")

    edited = "Describe what the text says about life in the town, with its \u201cown\u201d words."
    first = current_item(annotator)
    annotator.get_by_label("English instruction").fill(edited)
    expect(annotator.locator("#instruction-diff ins").first).to_be_visible()
    rate(annotator, overall=4)
    annotator.get_by_role("button", name="Accept and next").click()
    wait_for_next(annotator, first)

    second = current_item(annotator)
    annotator.get_by_role("button", name="Reject").click()
    expect(annotator.get_by_label("Reason")).to_be_focused()  # a rejection needs one, and nothing was sent
    annotator.get_by_label("Reason").fill("This is an advertisement.")
    annotator.get_by_role("button", name="Reject").click()
    wait_for_next(annotator, second)

    third = current_item(annotator)
    annotator.get_by_role("button", name="Skip").click()
    wait_for_next(annotator, third)

    rate(annotator, overall=5)
    annotator.locator("body").press("Control+Enter")
    expect(annotator.get_by_role("heading", name="You have seen all that is left")).to_be_visible()

    annotator.goto(system.invite("zara@example.org", "annotator", "sw"))
    annotator.get_by_role("button", name="Accept the invitation").click()
    annotator.goto("/review/sw/")
    for number in range(4):
        item = current_item(annotator)
        rate(annotator, overall=4)
        annotator.get_by_role("button", name="Accept and next").click()
        if number < 3:
            wait_for_next(annotator, item)
    expect(annotator.get_by_role("heading", name="Everything is reviewed")).to_be_visible()
    desk.close()

    decisions = dict(system.psql("SELECT decision, count(*) FROM annotation_review GROUP BY decision"))
    assert decisions == {"accept": 6, "reject": 1}
    assert (edited,) in system.psql("SELECT instruction FROM annotation_pair WHERE is_current AND state = 'accepted'")

    # The maintainer releases and trains; the model drafts again.
    page.goto("/releases/")
    page.get_by_label("Name").fill("first")
    for name in ("Urdu", "Swahili"):
        page.get_by_label(name).check()
    page.get_by_role("button", name="Build the release").click()
    expect(page.locator("#live")).to_contain_text("6 pairs", timeout=MODEL_SECONDS)
    expect(page.locator("#live")).to_contain_text(edited)

    page.get_by_role("link", name="Fine-tune on this").click()
    page.get_by_label("Epochs").fill("2")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#progress .state")).to_have_text("done", timeout=MODEL_SECONDS)
    expect(page.locator("#progress svg")).to_be_visible()

    page.get_by_role("link", name=re.compile("draft with this model", re.IGNORECASE)).click()
    page.get_by_label("Language", exact=True).select_option("sw")
    page.get_by_role("button", name="Start drafting").click()
    expect(page.locator("#progress .state")).to_have_text("done", timeout=MODEL_SECONDS)
    drafted_by = system.psql(
        "SELECT m.fine_tune_run_id IS NOT NULL, count(*) FROM generation_candidate c "
        "JOIN generation_run r ON r.id = c.run_id JOIN generation_modelversion m ON m.id = r.model_version_id "
        "GROUP BY 1 ORDER BY 1"
    )
    assert drafted_by == [(False, 48), (True, 12)]
