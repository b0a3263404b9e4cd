"""/metrics: behind its token, and true."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.factories import make_items

TOKEN = "a long token"


@pytest.fixture
def token(settings):
    settings.METRICS_TOKEN = TOKEN


def told(response) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    families = text_string_to_metric_families(response.content.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_without_a_token_there_is_no_such_page_and_a_wrong_one_reads_nothing(client, maintainer, settings):
    client.force_login(maintainer)
    assert client.get("/metrics").status_code == 404

    settings.METRICS_TOKEN = TOKEN
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wröng"}, {"Authorization": TOKEN}):
        response = client.get("/metrics", headers=headers)
        assert response.status_code == 401
        assert b"xinstruct_" not in response.content


def test_numbers_are_those_of_the_pages(client, finnish, token, queue_is_empty):
    make_items(finnish, 3)

    numbers = told(client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))

    assert numbers["xinstruct_texts", "fi", "waiting"] == 3
    assert numbers["xinstruct_texts", "fi", "accepted"] == 0
    assert numbers["xinstruct_work", "run", "running"] == 0
    assert numbers["xinstruct_redis_up",] == 1
    assert numbers["rq_jobs", "gpu", "queued"] == 0


def test_a_queue_that_is_away_is_told_and_not_an_error(client, finnish, token, monkeypatch):
    def refused(*_args, **_kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr("django_rq.contrib.prometheus.get_connection", refused)
    numbers = told(client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))

    assert numbers["xinstruct_redis_up",] == 0
    assert ("xinstruct_texts", "fi", "texts") in numbers
