"""Shared fixtures. The embedded services run for the whole session unless DATABASE_URL and REDIS_URL name others."""

import contextlib
from collections.abc import Iterator

import pytest

from xinstruct_site import embedded

_services = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    _services.enter_context(embedded.running())


def pytest_unconfigure(config: pytest.Config) -> None:
    _services.close()


@pytest.fixture(autouse=True)
def _private_data_dir(settings, tmp_path) -> None:
    """No test writes into the installation's data folder."""
    settings.DATA_DIR = tmp_path
    settings.MODELS_DIR = tmp_path / "models"


@pytest.fixture
def finnish(db):
    from tests.factories import make_language

    return make_language("fi", overlap=1, quorum=1)


@pytest.fixture
def urdu(db):
    from tests.factories import make_language

    return make_language("ur")


@pytest.fixture
def aino(finnish):
    """Reviews Finnish."""
    from tests.factories import make_user

    return make_user("aino@example.org", finnish)


@pytest.fixture
def ilmo(finnish):
    """Reviews Finnish too."""
    from tests.factories import make_user

    return make_user("ilmo@example.org", finnish)


@pytest.fixture
def zara(urdu):
    """Reviews Urdu."""
    from tests.factories import make_user

    return make_user("zara@example.org", urdu)


@pytest.fixture
def omar(urdu):
    """Reviews Urdu too."""
    from tests.factories import make_user

    return make_user("omar@example.org", urdu)


@pytest.fixture
def lead(urdu):
    """Leads Urdu."""
    from tests.factories import make_user
    from xinstruct_site.people.models import Role

    return make_user("lead@example.org", urdu, role=Role.LINGUIST)


@pytest.fixture
def maintainer(db):
    from tests.factories import make_user
    from xinstruct_site.people.models import Role

    return make_user("maintainer@example.org", None, role=Role.MAINTAINER)


@pytest.fixture
def stranger(db):
    """Has an account and no role."""
    from xinstruct_site.people.models import User

    return User.objects.create_user("stranger@example.org", "a long password")


@pytest.fixture
def signed_in(client, aino):
    """The browser of somebody who reviews Finnish."""
    client.force_login(aino)
    return client


@pytest.fixture
def queue_is_empty() -> Iterator[None]:
    """Real Redis, emptied before and after: tests of enqueueing start from silence."""
    import django_rq

    connection = django_rq.get_connection("default")
    connection.flushdb()
    yield
    connection.flushdb()
