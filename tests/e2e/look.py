"""Pictures of the annotator's pages for eyes: `python -m tests.e2e.look FOLDER [page ...]` fills FOLDER with PNGs.

Four widths and three scripts, by day; the card also by night, unfolded, and in an Urdu interface.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import chromium, system_env
from tests.e2e.conftest import CHROMIUM_ARGS, System, free_port
from tests.e2e.desk import desk, rate
from tests.e2e.seeding import seed

WIDTHS = {360: 740, 768: 1024, 1280: 800, 1600: 900}
SCRIPTS = ("ur", "th", "fi")
PERSON = "zara@example.org"


def phone(width: int) -> dict[str, Any]:
    return {"is_mobile": width == 360, "has_touch": width <= 768}


def at(browser: Browser, system: System, session: str, width: int, **options: Any) -> Any:
    viewport = {"width": width, "height": WIDTHS[width]}
    return desk(browser, system, session, viewport=viewport, device_scale_factor=1, **phone(width), **options)


def shoot(page: Page, folder: Path, name: str, *, whole: bool = False) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / f"{name}.png", full_page=whole)
    print(name, flush=True)


def work_a_little(page: Page) -> None:
    page.get_by_label("English instruction").fill("Describe what the author remembers of the market, and its smells.")
    rate(page)
    page.locator("#instruction-diff ins").first.wait_for()


def take(browser: Browser, system: System, folder: Path, session: str) -> None:
    for width in WIDTHS:
        for code in SCRIPTS:
            with at(browser, system, session, width) as page:
                page.goto(f"/review/{code}/")
                shoot(page, folder, f"card-{code}-{width}")
                if width in {360, 1280}:
                    shoot(page, folder, f"card-{code}-{width}-whole", whole=True)
    for width in (360, 1280):
        with at(browser, system, session, width, color_scheme="dark") as page:
            page.goto("/review/ur/")
            work_a_little(page)
            shoot(page, folder, f"card-ur-{width}-dark")
        with at(browser, system, session, width) as page:
            page.goto("/review/th/")
            work_a_little(page)
            page.locator("details").evaluate_all("(all) => all.forEach((one) => one.open = true)")
            shoot(page, folder, f"card-th-{width}-unfolded", whole=True)
            page.locator("#reason").fill("")
            page.context.set_offline(True)
            page.locator("[data-key=accept]").click()
            page.locator("#held").wait_for()
            shoot(page, folder, f"card-th-{width}-offline")
        with at(browser, system, session, width) as page:
            page.context.add_cookies([{"name": "django_language", "value": "ur", "url": system.address}])
            page.goto("/review/ur/")
            shoot(page, folder, f"card-ur-{width}-in-urdu")
            page.goto("/")
            shoot(page, folder, f"home-{width}-in-urdu", whole=True)
        with at(browser, system, session, width) as page:
            pages = {"home": "/", "empty": "/review/vi/", "fast": "/review/ur/fast/", "language": "/languages/ur/",
                     "profile": "/account/", "mine": "/mine/"}  # fmt: skip
            for name, address in pages.items():
                page.goto(address)
                shoot(page, folder, f"{name}-{width}", whole=True)
        with at(browser, system, "", width) as page:
            page.goto("/account/login/")
            shoot(page, folder, f"login-{width}")


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data_dir, sync_playwright() as playwright:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("XI_", "DJANGO_"))}
        env |= {"XI_SECRET_KEY": "for-pictures-only-" + "j" * 40, "XI_DATA_DIR": data_dir}
        system = System(Path(data_dir), free_port(), env)
        system.start()
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS, env=system_env())
        try:
            languages = {code: {"items": 12} for code in SCRIPTS} | {"vi": {"items": 0}}
            session = seed(system, languages, {PERSON: {"languages": list(languages)}})[PERSON]
            take(browser, system, folder, session)
        finally:
            browser.close()
            system.stop()
            system.clear()


if __name__ == "__main__":
    main()
