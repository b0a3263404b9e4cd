"""A duel held in a real browser by two annotators, one by keys and one by thumb, and reported with its interval."""

import json
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import System
from tests.e2e.desk import PHONE, desk
from tests.e2e.seeding import seed

pytestmark = pytest.mark.e2e

QUESTIONS = 6
MODELS = {"Zephyr-Secret-1": "Torilla myydään kalaa.", "Quokka-Secret-2": "En tiedä, mitä torilla on."}
URDU = {"Zephyr-Secret-1": "بازار میں پھل اور سبزیاں ملتی ہیں۔", "Quokka-Secret-2": "مجھے نہیں معلوم۔"}
PEOPLE = {
    "aino@example.org": {"languages": ["fi"]},
    "eino@example.org": {"languages": ["fi"]},
    "zara@example.org": {"languages": ["ur"]},
    "boss@example.org": {"role": "maintainer"},
}


@pytest.fixture(scope="module")
def sessions(system: System, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    sessions = seed(system, {"fi": {"items": 1}, "ur": {}}, PEOPLE)
    folder = tmp_path_factory.mktemp("files")
    asked = {"fi": "Mitä torilla myydään", "ur": "بازار میں کیا ملتا ہے"}
    questions = folder / "questions.jsonl"
    write(questions, [row(code, n) | {"prompt": f"{asked[code]} ({n})?"} for code in asked for n in range(QUESTIONS)])
    system.manage("evaluate", "questions", str(questions), "--set", "arena", "--license", "CC0-1.0")
    for name in MODELS:
        answers = folder / f"{name}.jsonl"
        words = {"fi": MODELS[name], "ur": URDU[name]}
        write(answers, [row(code, n) | {"answer": f"{words[code]} ({n})"} for code in words for n in range(QUESTIONS)])
        system.manage("evaluate", "answers", str(answers), "--set", "arena", "--model", name)
    base, rival = reversed(MODELS)
    system.manage("evaluate", "duel", "arena", "--base", base, "--rival", rival, "--language", "fi", "ur")
    return sessions


def row(code: str, number: int) -> dict[str, str]:
    return {"id": str(number), "lang": code}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")


def knows(page: Page) -> str:
    """Which of the two answers is the one about fish: what a native speaker would see."""
    return "a" if "kalaa" in page.locator(".answer").first.inner_text() else "b"


def question(page: Page) -> str:
    """What is asked, once the scripts are there: a key that is pressed before them is lost, as on any page."""
    expect(page.locator(".decide kbd").first).to_be_attached()
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)
    return page.locator("#duel-question").inner_text()


def expect_other(page: Page, before: str) -> None:
    expect(page.locator("#duel-question", has_text=before)).to_have_count(0)
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)


def votes(system: System) -> list[tuple]:
    return system.psql(
        "SELECT u.email, v.state, count(*) FROM annotation_vote v JOIN people_user u ON u.id = v.person_id "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )


def test_a_duel_is_held_blind_by_two_annotators_and_reported_with_its_interval(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["aino@example.org"]) as page:
        sent: list[str] = []
        page.on("response", lambda answer: sent.append(answer.url + str(answer.all_headers())))
        page.goto("/")
        page.get_by_role("link", name=re.compile("Compare answers")).click()
        for number in range(QUESTIONS):
            here = question(page)
            assert "Secret" not in page.content()
            if number == 0:
                page.keyboard.press("w")
                page.keyboard.type("Se vastaa kysymykseen.")
                page.keyboard.press("Escape")
            page.keyboard.press("1" if knows(page) == "a" else "2")
            if number < QUESTIONS - 1:
                expect_other(page, here)
        expect(page.get_by_role("heading", name="No answers to compare now")).to_be_visible()
        # Undo brings the last pair back; another word on it is taken.
        page.keyboard.press("u")
        expect(page.locator("#duel-question")).to_have_text(here)
        page.keyboard.press("3")
        expect(page.get_by_role("heading", name="No answers to compare now")).to_be_visible()
        assert not [each for each in sent if "Secret" in each]

    with desk(browser, system, sessions["eino@example.org"], color_scheme="dark", **PHONE) as page:
        page.goto("/duels/fi/")
        for number in range(QUESTIONS):
            here = question(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            if number == QUESTIONS - 1:
                page.get_by_role("button", name="Skip").tap()
            else:
                page.get_by_role("button", name="A is better" if knows(page) == "a" else "B is better").tap()
                expect_other(page, here)
        expect(page.get_by_role("heading", name="No answers to compare now")).to_be_visible()

    assert votes(system) == [
        ("aino@example.org", "given", QUESTIONS),
        ("eino@example.org", "given", QUESTIONS - 1),
        ("eino@example.org", "skipped", 1),
    ]
    both = system.psql("SELECT bout_id FROM annotation_vote WHERE state = 'given' GROUP BY 1 HAVING count(*) = 2")
    assert len(both) == QUESTIONS - 1

    with desk(browser, system, sessions["boss@example.org"]) as page:
        page.goto("/duels/")
        page.locator(".row", has_text="Finnish").get_by_role("link").click()
        # 10 wins and a tie out of 11 votes, bootstrapped over six questions.
        expect(page.locator("#win-rate")).to_contain_text(re.compile(r"0\.95\s+0\.\d\d–1\.00"))
        expect(page.get_by_text("Se vastaa kysymykseen.")).to_be_visible()
        expect(page.locator("figure.chart svg")).to_be_visible()
    assert "0.95" in system.manage("evaluate", "report")


def test_the_card_fits_a_phone_from_right_to_left_by_night_and_axe_finds_nothing(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["zara@example.org"], color_scheme="dark", **PHONE) as page:
        page.context.set_extra_http_headers({"Accept-Language": "ur"})
        page.goto("/duels/ur/")

        assert page.evaluate("getComputedStyle(document.querySelector('.answer')).direction") == "rtl"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for button in page.locator(".decide button[name=choice]").all():
            box = button.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["y"] + box["height"] <= 740
        assert not Axe().run(page).response["violations"]

        page.context.set_extra_http_headers({"Accept-Language": "en"})
        page.emulate_media(color_scheme="light")
        page.goto("/duels/ur/")
        assert not Axe().run(page).response["violations"]


def test_axe_finds_nothing_on_the_pages_of_evaluations_on_a_phone(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    [(question_set, duel, model)] = system.psql(
        "SELECT s.public_id, d.public_id, m.public_id FROM annotation_duel d "
        "JOIN generation_questionset s ON s.id = d.question_set_id JOIN generation_modelversion m ON m.id = d.base_id "
        "JOIN people_language l ON l.id = d.language_id WHERE l.code = 'fi'"
    )
    with desk(browser, system, sessions["boss@example.org"], **PHONE) as page:
        at = ("duels/", f"duels/fi/report/{duel}/", "evaluations/", f"evaluations/{question_set}/", f"models/{model}/")
        for address in (f"/{each}" for each in at):
            page.goto(address)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{address} is {wide} px too wide for a phone"
            found = Axe().run(page).response["violations"]
            assert not found, (address, [(rule["id"], rule["nodes"][0]["html"]) for rule in found])


def test_without_javascript_a_vote_is_sent_and_the_next_pair_comes(
    browser: Browser, system: System, sessions: dict[str, str]
) -> None:
    with desk(browser, system, sessions["zara@example.org"], java_script_enabled=False) as page:
        page.goto("/duels/ur/")
        here = page.locator("#duel-question").inner_text()
        page.get_by_role("button", name="Both bad").click()

        expect(page.locator("#duel-question")).not_to_have_text(here)
        expect(page.locator("#sent")).to_contain_text("Both bad")
