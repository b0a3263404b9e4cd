"""A whole system for browser journeys: gunicorn, worker, PostgreSQL, Redis, started by `manage.py up` as users do."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.browser import ADVICE, chromium, system_env

ROOT = Path(__file__).resolve().parent.parent.parent
# Quiet and offline: on closed networks a browser that phones home slows every page down.
CHROMIUM_ARGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
UP_SECONDS = 120


@dataclass(slots=True)
class System:
    """A running installation of its own, and how to give it commands and signals."""

    data_dir: Path
    port: int
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    url: str = ""

    def __post_init__(self) -> None:
        self.log = self.data_dir / "up.log"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *args: str) -> str:
        """Run one management command and return what it printed; its failure fails the test with its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *args], cwd=ROOT, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"manage.py {' '.join(args)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port)],
                cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + UP_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"`up` ended:\n{self.log.read_text()}"
            try:
                urllib.request.urlopen(f"{self.address}/readyz", timeout=2)
            except OSError:
                time.sleep(0.3)
            else:
                return
        pytest.fail(f"`up` did not answer in {UP_SECONDS} s:\n{self.log.read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)

    def clear(self) -> None:
        """Take away what lies outside the data folder: root's PostgreSQL lives elsewhere under a private folder."""
        if not (services := self.services_dir()).is_relative_to(self.data_dir):
            shutil.rmtree(services, ignore_errors=True)

    def psql(self, query: str, *values: object) -> list[tuple]:
        """What the database says; for looking, not for changing."""
        with psycopg.connect(self.database_url()) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[arg-type]

    def database_url(self) -> str:
        self.url = self.url or self.env.get("DATABASE_URL") or self._embedded("database_url()")
        return self.url

    def services_dir(self) -> Path:
        return Path(self._embedded("services_dir()"))

    def _embedded(self, call: str) -> str:
        code = f"from xinstruct_site import embedded; print(embedded.{call})"
        return subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=self.env, text=True).strip()

    def invite(self, email: str, role: str, language: str | None = None) -> str:
        """An invitation link for this installation."""
        args = ["invite", email, "--role", role, *(["--language", language] if language else [])]
        output = self.manage(*args, "--base-url", self.address)
        link = re.search(r"http\S+", output)
        assert link, output
        return link.group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def own_services() -> Iterator[dict[str, str]]:
    """Environment of the system under test: embedded services, or a database of its own on the servers given."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XI_", "DJANGO_"))}
    env |= {"XI_SECRET_KEY": "for-journeys-only-" + "j" * 40, "HF_HUB_OFFLINE": "1"}
    url = os.environ.get("DATABASE_URL")
    if not url:
        yield env
        return
    name = f"xinstruct_journeys_{os.getpid()}"
    admin = psycopg.connect(url, autocommit=True)
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    given = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    yield env | {"DATABASE_URL": make_conninfo(**(given | {"dbname": name}))}
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    admin.close()


@pytest.fixture(scope="module")
def chosen_settings() -> dict[str, str]:
    """What a module's system has in its environment beside the defaults; modules put their own in its place."""
    return {}


@pytest.fixture(scope="module")
def system(
    own_services: dict[str, str], chosen_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """An empty installation that runs; each module of journeys has its own."""
    data_dir = tmp_path_factory.mktemp("system")
    running = System(data_dir, free_port(), own_services | chosen_settings | {"XI_DATA_DIR": str(data_dir)})
    running.start()
    yield running
    running.stop()
    running.clear()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.fail(ADVICE)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS, env=system_env())
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser, system: System) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=system.address, viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page that fails its test where the browser reports a script error or a blocked resource."""
    opened = context.new_page()
    opened.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    return opened
