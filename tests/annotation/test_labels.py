"""Releases of ratings and gold sets: what they hold, what they keep out, and what is measured on them."""

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from annotation import exports, freezing, labels, queues, reviewing
from annotation.models import Item, ItemKind
from generation import comparing, curation, finetuning, ratings, recipes, rubric
from generation.models import Measurement, Release, Score, Task
from tests import endpoint
from tests.factories import accepting, make_candidate, make_items, make_model_version, make_text, rejecting

pytestmark = pytest.mark.django_db


@pytest.fixture
def decided(aino, finnish) -> list[Item]:
    """Twelve items: even ones accepted with 4 or 5, odd ones rejected."""
    items = make_items(finnish, 12)
    for number, item in enumerate(items):
        queues.claim_next(aino, finnish)
        first = item.candidates()[0]
        said = accepting(first.instruction, candidate=first, overall=4 + number % 4 // 2)
        reviewing.submit(aino, item, said if number % 2 == 0 else rejecting())
    return items


def test_ratings_hold_what_people_said_of_good_and_bad_and_not_who(decided, finnish, aino):
    release = labels.build("said", [finnish])

    rows = [row.row for row in release.rows.all()]
    assert len(rows) == 12
    assert sorted(ratings.level_of(row) for row in rows) == [1] * 6 + [4] * 3 + [5] * 3
    assert {row["decision"] for row in rows} == {"accepted", "rejected"}
    assert all(row["instruction"] and row["response"] for row in rows)
    assert aino.email not in str(rows)
    assert labels.build("said", [finnish]) == release
    with pytest.raises(freezing.NameTaken):
        labels.build("said", [finnish], gold=3)
    with pytest.raises(freezing.ReleaseError, match="these do: rows, parquet, csv, kto, evaluator-sft"):
        exports.export_release(release, "alpaca", None)


def test_gold_leaves_the_normal_items_for_good(decided, finnish):
    gold = labels.build("gold", [finnish], gold=5)

    texts = set(gold.rows.values_list("text_sha256", flat=True))
    assert len(texts) == 5
    assert gold.is_gold
    assert Item.objects.filter(kind=ItemKind.GOLD).count() == 5
    again = labels.build("gold-2", [finnish], gold=2)
    assert not texts & set(again.rows.values_list("text_sha256", flat=True))
    said = labels.build("said", [finnish])
    assert said.counts == {"fi": 5}
    assert not texts & set(said.rows.values_list("text_sha256", flat=True))
    pairs = freezing.build_release("pairs", [finnish])
    assert not texts & set(pairs.rows.values_list("text_sha256", flat=True))


def test_what_was_released_cannot_become_gold(decided, finnish):
    pairs = freezing.build_release("pairs", [finnish])

    gold = labels.build("gold", [finnish], gold=12)

    assert gold.counts == {"fi": 6}
    assert not set(pairs.rows.values_list("text_sha256")) & set(gold.rows.values_list("text_sha256"))


def test_gold_and_rejected_pairs_train_no_generator(decided, finnish):
    base = make_model_version(backend="hf")
    gold, said = labels.build("gold", [finnish], gold=4), labels.build("said", [finnish])

    for release, task in ((gold, Task.SCORE), (gold, Task.DRAFT), (said, Task.DRAFT), (said, Task.ANSWER)):
        with pytest.raises(recipes.TrainingError, match=r"gold set|holds ratings"):
            finetuning.open_run(task, releases=[release], base_model=base)


def test_there_is_nothing_to_freeze_before_items_are_decided(finnish):
    make_items(finnish)

    with pytest.raises(freezing.NothingToRelease):
        labels.build("gold", [finnish], gold=3)
    assert not Release.objects.exists()
    with pytest.raises(CommandError, match="1 up"):
        call_command("build_release", "gold", "--language", "fi", "--gold", "0")


@pytest.fixture
def evaluator(settings):
    """A model that can chat and likes every second instruction, and what is not for it to judge it leaves."""
    with endpoint.serving() as server:
        settings.ENDPOINT = server.url
        server.answer = lambda body: (200, "Score: 4" if "market" in str(body["messages"][-1]) else "No idea.")
        yield make_model_version(
            task=Task.SCORE, backend="openai", location=f"{server.url} small-chat", revision="small-chat",
            prompt_version=rubric.RUBRIC, name="judge",
        )  # fmt: skip


def test_an_evaluator_is_compared_with_people_once(decided, finnish, evaluator, capsys):
    call_command("build_release", "gold", "--language", "fi", "--gold", "8")
    call_command("measure", "gold", "--evaluator", evaluator.public_id)

    one = Measurement.objects.get()
    good = sum(ratings.level_of(row.row) >= 4 for row in one.release.rows.all())
    assert one.is_gold
    assert one.points == [[4.0, point[1]] for point in one.points]
    assert one.figures["precision"][0] == pytest.approx(good / 8, abs=1e-4)
    assert one.figures["recall"][0] == 1
    assert "judge" in capsys.readouterr().out
    call_command("measure", "gold", "--evaluator", evaluator.public_id)
    assert Measurement.objects.get() == one
    with pytest.raises(IntegrityError), transaction.atomic():
        Measurement.objects.create(evaluator=evaluator, release=one.release, language=finnish, points=[])


def test_a_reply_without_a_level_counts_as_unparsed_and_not_as_a_point(decided, finnish, evaluator):
    release = labels.build("gold", [finnish], gold=6)
    with endpoint.serving(answer=lambda body: (200, "No idea.")) as server:
        from django.conf import settings

        settings.ENDPOINT = server.url
        evaluator.location = f"{server.url} small-chat"
        evaluator.save()
        [one] = comparing.measure(evaluator, release)

    assert (one.points, one.unparsed) == ([], 6)


def test_a_set_of_pairs_measures_nobody(decided, finnish, evaluator):
    pairs = freezing.build_release("pairs", [finnish])

    with pytest.raises(comparing.ComparingError, match="holds no ratings"):
        comparing.measure(evaluator, pairs)
    with pytest.raises(CommandError, match="no release"):
        call_command("measure", "nothing", "--evaluator", evaluator.public_id)
    with pytest.raises(CommandError, match="no evaluator"):
        call_command("measure", "pairs", "--evaluator", "nobody")


def test_a_round_keeps_what_reaches_the_wanted_precision_and_says_on_what_ground(finnish, evaluator):
    gold = Release.objects.create(name="gold", query={"kind": "ratings", "items": "gold"})
    said = Release.objects.create(name="said", query={"kind": "ratings", "items": "decided"})
    # On gold every score would do; on the ratings only those from 3 on.
    for release, points in (
        (gold, [[i / 10, True] for i in range(40)]),
        (said, [[i / 10, i >= 30] for i in range(60)]),
    ):
        Measurement.objects.create(evaluator=evaluator, release=release, language=finnish, points=points)
    for number, raw in enumerate((4.5, 3.2, 2.0, 1.0)):
        candidate = make_candidate(make_text(finnish), embedding=[float(number == place) for place in range(384)])
        Score.objects.create(candidate=candidate, evaluator=evaluator, raw=raw)

    round_ = curation.select(finnish, target=4, evaluator=evaluator, precision=0.95)

    assert round_.selections.count() == 2
    assert (round_.metrics["texts_ready"], round_.metrics["kept"]) == (4, 2)
    assert round_.settings["measured_on"] == "said"
    assert round_.settings["wanted_precision"] == 0.95
    assert 2.8 <= round_.settings["threshold"] <= 3.0
    with pytest.raises(curation.NothingToSelect, match="reaches the threshold"):
        curation.select(finnish, target=4, evaluator=evaluator, threshold=5.0, new_round=True)
    with pytest.raises(curation.CurationError, match="between 0 and 1"):
        curation.select(finnish, target=4, evaluator=evaluator, precision=1.5, new_round=True)


def test_without_peoples_ratings_there_is_no_threshold(finnish, evaluator):
    with pytest.raises(comparing.ComparingError, match="Nobody has compared"):
        comparing.threshold_for(evaluator, finnish, 0.8)
