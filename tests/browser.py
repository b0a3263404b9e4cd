"""Finds Chromium and fonts for the ten scripts, or fetches them: `python -m tests.browser`, part of `make test`.

In this order: what is on the machine; the system's packages, where we are root and it has apt; Playwright's own
download. Where all three fail, one line says what to install.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SYSTEM_BROWSERS = (
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/snap/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
PACKAGES = ("chromium", "fontconfig", "fonts-noto-core")
SCRIPTS = {"th": "Thai", "bn": "Bengali", "hi": "Devanagari", "ta": "Tamil", "ur": "Arabic (Nastaliq)", "vi": "Latin"}
ADVICE = (
    "Browser tests need Chromium and Noto fonts, and neither could be fetched. Install them (Debian, Ubuntu: "
    "apt-get install chromium fonts-noto-core; elsewhere any Chromium, and XI_CHROMIUM=/path/to/it)."
)


def chromium() -> str | None:
    """The path of a Chromium on this machine, XI_CHROMIUM first, Playwright's own last."""
    if named := os.environ.get("XI_CHROMIUM"):
        return named if Path(named).exists() else None
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    for path in SYSTEM_BROWSERS:
        if Path(path).exists():
            return path
    return playwrights_own()


def system_env() -> dict[str, Any]:
    """Our environment with the system's own folders on the path: apt and Debian's Chromium call helpers by name."""
    folders = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return os.environ | {"PATH": f"{os.environ.get('PATH', '')}:{folders}"}


def playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def missing_scripts() -> list[str]:
    """Scripts that no installed font covers; empty where fontconfig is not how this system finds fonts."""
    lister = shutil.which("fc-list") or ("/usr/bin/fc-list" if Path("/usr/bin/fc-list").exists() else None)
    if lister is None:
        return [] if sys.platform == "darwin" else list(SCRIPTS.values())
    return [
        script
        for code, script in SCRIPTS.items()
        if not subprocess.run([lister, f":lang={code}"], capture_output=True, text=True, check=False).stdout.strip()
    ]


def complete() -> bool:
    return chromium() is not None and not missing_scripts()


def install_packages() -> None:
    apt = shutil.which("apt-get") or "/usr/bin/apt-get"
    if os.geteuid() != 0 or not Path(apt).exists():
        return
    env = system_env() | {"DEBIAN_FRONTEND": "noninteractive"}
    print(f"Installing {', '.join(PACKAGES)} ...", flush=True)
    subprocess.run([apt, "update", "-qq"], env=env, check=False)
    subprocess.run([apt, "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], env=env, check=False,
                   stdout=subprocess.DEVNULL)  # fmt: skip


def download_browser() -> None:
    print("Downloading Chromium through Playwright ...", flush=True)
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> int:
    for fetch in (None, install_packages, download_browser):
        if fetch:
            fetch()
        if complete():
            print(f"Browser tests use {chromium()}.")
            return 0
    without_fonts = missing_scripts()
    print(ADVICE + (f" No font for: {', '.join(without_fonts)}." if without_fonts else ""), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
