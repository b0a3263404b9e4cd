"""Pages of maintainers and linguists: question sets, duels and models; and no judge without its agreement anywhere."""

import json

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation import acceptance, evaluation_forms, judging_duels, reviewing, voting
from annotation.models import Duel, DuelState, JudgeRun, Ruling, VoteChoice
from generation import evaluation
from generation.models import Answer, Evaluation, FineTuneRun, JobState, ModelVersion, Question, QuestionSet, Task
from tests.factories import (
    accepting,
    make_answers,
    make_candidate,
    make_duel,
    make_items,
    make_model_version,
    make_questions,
    make_release,
    make_user,
    rejecting,
    released,
)
from xinstruct_site.people.models import Event, EventKind, Role


@pytest.fixture
def boss(client, maintainer):
    client.force_login(maintainer)
    return client


def upload(*rows: object, name: str = "rows.jsonl") -> SimpleUploadedFile:
    content = b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    return SimpleUploadedFile(name, content)


def test_questions_come_in_through_the_page_and_the_set_says_so(boss, finnish):
    rows = upload({"id": "1", "prompt": "Mikä on tori?"}, {"id": "2"})
    asked = {"name": "arena", "language": "fi", "licence": "CC0-1.0", "file": rows}

    response = boss.post("/evaluations/", asked, follow=True)

    assert Question.objects.get().instruction == "Mikä on tori?"
    html = response.content.decode()
    assert "2 rows read: 1 stored" in html
    assert "no instruction" in html
    assert "arena" in boss.get("/evaluations/").content.decode()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "a b"}, "name"),
        ({"language": "xx"}, "language"),
        ({"file": upload(b"\x1f\x8b\x08\x00")}, "Unpack"),
        ({"file": upload(b"x" * 300)}, "too large"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_its_reason(boss, finnish, monkeypatch, change, word):
    monkeypatch.setattr(evaluation_forms, "FILE_BYTES", 200)
    asked = {"name": "arena", "language": "fi", "licence": "CC0-1.0", "file": upload({"id": "1", "prompt": "Mikä?"})}

    response = boss.post("/evaluations/", asked | change)

    assert response.status_code == 422
    assert word in response.content.decode()
    assert not QuestionSet.objects.exists()


def test_test_split_of_a_release_becomes_a_set_through_the_page(boss, finnish):
    release = make_release(released(), released(), splits=("train", "test"))
    without = make_release(released(), name="without")
    asked = {"name": "held-out", "release": release.public_id}

    assert boss.post("/evaluations/", asked | {"release": without.public_id}).status_code == 422
    assert boss.post("/evaluations/", asked).status_code == 302
    assert Question.objects.get().question_set.release == release
    make_questions(finnish, 1, name="of-a-file")
    assert boss.post("/evaluations/", asked | {"name": "of-a-file"}).status_code == 409


def test_answers_are_imported_counted_and_put_into_a_duel_from_one_page(boss, finnish):
    questions = make_questions(finnish, 6)
    address = f"/evaluations/{questions[0].question_set.public_id}/"
    for name in ("far-one", "far-two"):
        rows = upload(*({"id": each.key, "answer": f"Torilla myydään kalaa {name}."} for each in questions))
        asked = {"do": "answers", "model": name, "language": "fi", "file": rows}
        assert boss.post(address, asked).status_code == 302

    base, rival = ModelVersion.objects.order_by("pk")
    asked = {"do": "duel", "language": "fi", "base": base.public_id, "rival": rival.public_id, "overlap": 2}
    opened = boss.post(address, asked)
    html = boss.get(address).content.decode()

    duel = Duel.objects.get()
    assert opened["Location"] == f"/duels/fi/report/{duel.public_id}/"
    assert Evaluation.objects.filter(state=JobState.DONE).count() == 2
    assert "far-one, Finnish: 1.00" in html  # the chart says it in words
    assert boss.post(address, asked | {"rival": base.public_id}).status_code == 409
    assert boss.post(address, {"do": "duel"}).status_code == 422
    assert boss.post(address, {"do": "nothing"}).status_code == 422


def test_nothing_is_queued_where_nobody_works(boss, finnish, queue_is_empty):
    questions = make_questions(finnish, 1)

    response = boss.post(f"/evaluations/{questions[0].question_set.public_id}/", {"do": "run", "model": ""})

    assert response.status_code == 409
    assert not Evaluation.objects.exists()


def test_maintainer_of_one_language_sees_no_set_with_others(client, finnish, urdu):
    make_questions(finnish, 1, name="finnish")
    both = make_questions(finnish, 1, name="both")[0].question_set
    make_questions(urdu, 1, name="both")
    client.force_login(make_user(language=finnish, role=Role.MAINTAINER))

    html = client.get("/evaluations/").content.decode()

    assert ">finnish<" in html
    assert ">both<" not in html
    assert client.get(f"/evaluations/{both.public_id}/").status_code == 404
    rows = upload({"id": "9", "prompt": "?", "lang": "ur"})
    client.post("/evaluations/", {"name": "finnish", "language": "fi", "licence": "CC0-1.0", "file": rows})
    assert not Question.objects.filter(question_set__name="finnish", language=urdu).exists()


# Reports of duels


def give_votes(duel: Duel, number: int, *, rival_wins: int) -> None:
    user = make_user(language=duel.language)
    for place in range(number):
        one = voting.next_vote(user, duel.language)
        rival = VoteChoice.B if one.base_is_first else VoteChoice.A
        base = VoteChoice.A if one.base_is_first else VoteChoice.B
        voting.give(user, one, rival if place < rival_wins else base, "Selkeä." if place == 0 else "")


def test_linguists_read_the_report_of_their_language_and_annotators_do_not(client, finnish, aino, zara):
    duel = make_duel(finnish, 8)
    give_votes(duel, 8, rival_wins=6)
    linguist = make_user(language=finnish, role=Role.LINGUIST)
    address = f"/duels/fi/report/{duel.public_id}/"

    client.force_login(linguist)
    html = client.get(address).content.decode()
    listed = client.get("/duels/").content.decode()

    assert "0.75" in html
    assert "SecretRival-y" in html
    assert "Selkeä." in html
    assert "Close the duel" not in html
    assert "win rate" in listed
    assert client.post(f"{address}close").status_code == 404
    client.force_login(aino)
    assert client.get(address).status_code == 404
    assert client.get("/duels/").status_code == 403
    client.force_login(zara)
    assert client.get(address).status_code == 404


def test_maintainer_closes_a_duel(boss, finnish):
    duel = make_duel(finnish, 1)

    boss.post(f"/duels/fi/report/{duel.public_id}/close")

    duel.refresh_from_db()
    assert duel.state == DuelState.CLOSED
    assert "Close the duel" not in boss.get(f"/duels/fi/report/{duel.public_id}/").content.decode()


def make_judge_run(duel: Duel, number: int) -> JudgeRun:
    """A judge that always prefers the rival: a win rate that no other figure of these tests has."""
    run = judging_duels.open_run(duel, make_model_version(task=Task.ANSWER, name="the-judge"))
    Ruling.objects.bulk_create(Ruling(run=run, bout=bout, outcome="rival") for bout in duel.bouts.all()[:number])
    return run


JUDGES_RATE = "win rate that the judge gives"


@pytest.mark.parametrize("voted", [0, 1, judging_duels.FEWEST - 1, judging_duels.FEWEST])
def test_no_page_shows_a_judges_figure_without_its_agreement_and_the_number_behind_it(boss, finnish, voted):
    duel = make_duel(finnish, 24)
    make_judge_run(duel, 24)
    give_votes(duel, voted, rival_wins=voted // 2)
    pages = ["/", "/duels/", "/duels/fi/", f"/duels/fi/report/{duel.public_id}/", "/evaluations/",
             f"/evaluations/{duel.question_set.public_id}/", f"/models/{duel.rival.public_id}/",
             f"/models/{duel.base.public_id}/", "/languages/fi/"]  # fmt: skip

    for page in pages:
        html = boss.get(page).content.decode()
        if "the-judge" not in html or "report" not in page:
            assert JUDGES_RATE not in html
            continue
        if voted < judging_duels.FEWEST:
            assert JUDGES_RATE not in html
            assert "Not shown: too few people" in html
            assert f"voted on {voted} of the pairs" in html
        else:
            assert JUDGES_RATE in html
            assert f"agrees with people, on {voted} pairs" in html
            assert html.index("agrees with people") < html.index(JUDGES_RATE)


def test_judge_is_queued_from_the_page_only_where_somebody_works(boss, finnish, queue_is_empty):
    duel = make_duel(finnish, 1)

    response = boss.post(f"/duels/fi/report/{duel.public_id}/judge", {"model": ""})

    assert response.status_code == 409
    assert not JudgeRun.objects.exists()


def test_evaluations_and_judges_are_stopped_from_their_pages_and_continued(boss, maintainer, finnish, queue_is_empty):
    duel = make_duel(finnish, 1)
    evaluation_row = Evaluation.objects.create(question_set=duel.question_set, model_version=duel.base, total=1)
    judge_run = JudgeRun.objects.create(duel=duel, judge=make_model_version(task=Task.ANSWER), prompt_version="1")
    of_set, of_duel = f"/evaluations/{duel.question_set.public_id}/", f"/duels/fi/report/{duel.public_id}/"
    for row, page in ((evaluation_row, of_set), (judge_run, of_duel)):
        assert row.claim()
        assert f"{page}{row.public_id}/stop" in boss.get(page).content.decode()

        html = boss.post(f"{page}{row.public_id}/stop", follow=True).content.decode()

        assert "Stopped. What was" in html
        assert f"{page}{row.public_id}/continue" in html
        assert not row.beat(), "whoever works on it has to leave"
        event = Event.objects.get(kind=EventKind.RUN_STOPPED, subject_type=row._meta.model_name, subject_id=row.pk)
        assert event.actor == maintainer

        html = boss.post(f"{page}{row.public_id}/continue", follow=True).content.decode()
        assert "No worker listens" in html
        row.refresh_from_db()
        assert row.state == JobState.STOPPED


# Models


def test_report_of_a_model_puts_it_beside_what_it_was_trained_from(boss, finnish):
    questions = make_questions(finnish, 6, reference="Torilla myydään kalaa ja marjoja joka lauantai.")
    base = make_answers(questions, "the-base")
    trained = FineTuneRun.objects.create(
        key="k", task=Task.ANSWER, base_model=make_model_version(
            location=base.location, revision=base.revision, name="the-base"
        ),
    )  # fmt: skip
    tuned = make_answers(questions, "the-tuned", fine_tune_run=trained)
    for version, loss in ((base, 3.0), (tuned, 2.5)):
        answers = list(version.answers.select_related("question__language").order_by("question"))
        losses = {str(answer.question_id): loss for answer in answers}
        said = evaluation.figures(answers) | {"loss": [loss, loss, loss], "losses": losses}
        Evaluation.objects.create(
            question_set=questions[0].question_set, model_version=version, state=JobState.DONE, figures={"fi": said}
        )

    html = boss.get(f"/models/{tuned.public_id}/").content.decode()

    assert "the-base" in html
    assert "0.50" in html  # by which the loss fell
    assert "2.50" in html
    assert boss.get(f"/models/{make_model_version().public_id}/").status_code == 200


def reviewed(language, name: str, *, unedited: int, edited: int, rejected: int) -> ModelVersion:
    """A drafting model whose drafts people took as they stood, changed, and rejected, so many times each."""
    items = make_items(language, unedited + edited + rejected)
    model = items[0].candidates()[0].run.model_version
    model.name = name
    model.save()
    user = make_user(language=language)
    for number, item in enumerate(items):
        draft = item.candidates()[0]
        words = draft.instruction if number < unedited else f"{draft.instruction} Name the town."
        said = accepting(words, candidate=draft) if number < unedited + edited else rejecting()
        reviewing.submit(user, item, said)
    return model


def test_acceptance_counts_drafts_that_were_taken_to_the_letter(finnish):
    old = reviewed(finnish, "old", unedited=8, edited=10, rejected=2)
    new = reviewed(finnish, "new", unedited=15, edited=3, rejected=2)
    reviewed(finnish, "hardly seen", unedited=3, edited=0, rejected=0)

    found = acceptance.acceptances(finnish)

    assert [(one.model, one.reviews, one.share) for one in found] == [(new, 20, 0.75), (old, 20, 0.4)]
    assert found[0].low < 0.75 < found[0].high


def test_annotators_read_what_their_work_did_for_the_drafts(client, finnish):
    cache.clear()
    reviewed(finnish, "old", unedited=8, edited=10, rejected=2)
    reader = make_user(language=finnish)
    client.force_login(reader)
    before = client.get("/mine/fi/").content.decode()
    cache.clear()
    reviewed(finnish, "new", unedited=15, edited=3, rejected=2)

    html = client.get("/mine/fi/").content.decode()
    cache.clear()

    assert "without an edit" not in before
    assert "75 %" in html
    assert "40 %" in html
    assert "old" not in html.partition("without an edit")[0].rpartition("<p")[2]  # no names: models are maintainers'


def test_draft_of_another_model_that_was_chosen_is_not_the_best_ones_merit(finnish):
    items = make_items(finnish, 20)
    other = make_candidate(items[0].text)
    user = make_user(language=finnish)
    for item in items:
        chosen = make_candidate(item.text, other.run) if item != items[0] else other
        item.candidate_ids = [*item.candidate_ids, chosen.pk]
        item.save()
        reviewing.submit(user, item, accepting(chosen.instruction, candidate=chosen))

    [found] = acceptance.acceptances(finnish)

    assert (found.reviews, found.share) == (20, 0.0)


def test_pages_work_in_a_language_that_is_written_from_right_to_left(client, urdu):
    duel = make_duel(urdu, 6)
    give_votes(duel, 6, rival_wins=4)
    client.force_login(make_user(language=urdu, role=Role.LINGUIST))

    html = client.get(f"/duels/ur/report/{duel.public_id}/", headers={"Accept-Language": "ur"}).content.decode()

    assert 'dir="rtl"' in html
    assert Answer.objects.count() == 12
