"""What holds for every command, whatever it does."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from tests.processes import env_of_test

EMPTY = "database_without_tables"


@pytest.fixture
def empty_database(db):
    """A database beside that of the tests, in which nothing was made yet."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {EMPTY}")
        cursor.execute(f"CREATE DATABASE {EMPTY}")
    env = env_of_test()
    name = connection.settings_dict["NAME"]
    yield env | {"DATABASE_URL": env["DATABASE_URL"].replace(f"dbname={name}", f"dbname={EMPTY}")}
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {EMPTY} WITH (FORCE)")


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words], env=env, cwd=settings.BASE_DIR, capture_output=True, text=True
    )


def test_a_command_on_a_database_without_tables_says_what_to_run(empty_database):
    for words in (["evaluate", "report"], ["worker", "--burst"]):
        said = run(empty_database, *words)
        assert (said.returncode, said.stdout) == (1, "")
        assert (
            said.stderr == "CommandError: The database has no tables yet: run `manage.py migrate` or `manage.py up`.\n"
        )
