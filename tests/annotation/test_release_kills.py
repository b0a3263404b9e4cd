"""kill -9 in the middle of freezing and of writing files: no half release, no half file, and one result in the end."""

import random
from pathlib import Path

import pytest

from bench import releases
from generation.models import Release
from tests.processes import env_of_test

pytestmark = pytest.mark.django_db(transaction=True)


def test_killed_builds_and_exports_leave_nothing_half_done(tmp_path: Path):
    languages, chance, env = releases.fill(1000), random.Random(3), env_of_test()
    killed = releases.kill_builds(languages, 2, chance, env)
    release = Release.objects.get(name="killed-0")

    assert killed
    assert sum(release.counts.values()) == 1000
    releases.kill_exports(release, "messages", 1, chance, env, tmp_path)
