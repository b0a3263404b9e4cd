"""Releases of preferences: what people made of a draft against the draft, frozen like any release."""

import json

import pytest
from django.core.management import call_command

from annotation import exports, freezing, queues, reviewing
from annotation.filtering import Filters
from annotation.models import Item, Pair
from generation import prompts
from generation.models import Release, Round, Selection
from tests.factories import accepting, make_candidate, make_items, make_run, make_text

pytestmark = pytest.mark.django_db


def item_with(language, *drafts: str) -> Item:
    """An item whose card shows these drafts."""
    text, run = make_text(language), make_run(language)
    ids = [make_candidate(text, run, instruction=draft, sample_number=n).pk for n, draft in enumerate(drafts)]
    round_ = Round.objects.create(language=language, number=language.rounds.count() + 1)
    Selection.objects.create(round=round_, text=text, rank=1, cluster=0, candidate_ids=ids)
    queues.open_items(round_)
    return round_.items.get()


def accept(person, item: Item, chosen: int | None, words: str) -> Pair:
    queues.claim_next(person, item.language)
    candidate = None if chosen is None else item.candidates()[chosen]
    reviewing.submit(person, item, accepting(words, candidate=candidate))
    return Pair.objects.current().get(item=item)


def test_pair_is_preferred_to_the_draft_that_people_changed_or_passed_over(aino, finnish):
    drafts = ("Describe a market day.", "Write about food in the town.")
    edited = accept(aino, item_with(finnish, *drafts), 0, "Describe a market day in Tampere in autumn.")
    second = accept(aino, item_with(finnish, *drafts), 1, drafts[1])
    own = accept(aino, item_with(finnish, *drafts), None, "Tell who sells fish on Saturdays.")
    accept(aino, item_with(finnish, drafts[0]), 0, drafts[0])  # nothing to compare it with
    accept(aino, item_with(finnish, drafts[0]), 0, "Describe a market day!")  # nothing to speak of

    release = freezing.build_release("wanted", [finnish], filters=Filters(preferences=True))

    rows = {frozen.pair_public_id: frozen.row for frozen in release.rows.all()}
    assert {pair: (row["rejected"]["instruction"], row["rejected"]["why"]) for pair, row in rows.items()} == {
        edited.public_id: (drafts[0], "edited"),
        second.public_id: (drafts[0], "passed over"),
        own.public_id: (drafts[0], "passed over"),
    }
    lost = rows[edited.public_id]["rejected"]
    candidate = edited.candidate
    assert (lost["run"], lost["model"]["name"]) == (candidate.run.public_id, candidate.run.model_version.name)
    assert release.holds_preferences
    assert release.counts == {"fi": 3}
    assert freezing.build_release("wanted", [finnish], filters=Filters(preferences=True)) == release
    with pytest.raises(freezing.NameTaken):
        freezing.build_release("wanted", [finnish])


def test_preferences_are_written_as_dpo_trainers_read_them_and_in_no_form_of_pairs(aino, finnish, tmp_path):
    pair = accept(aino, item_with(finnish, "Describe a market day."), 0, "Describe a market day in Tampere.")
    pairs = freezing.build_release("pairs", [finnish])

    call_command("build_release", "wanted", "--language", "fi", "--preferences")
    call_command("export_release", "wanted", "--format", "preference", "--out", tmp_path)

    (line,) = (tmp_path / "wanted.preference.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "prompt": prompts.draft_prompt(pair.item.text.body),
        "chosen": "Describe a market day in Tampere.",
        "rejected": "Describe a market day.",
    }
    with pytest.raises(freezing.ReleaseError, match="these do: rows, parquet, csv, preference"):
        exports.export_release(Release.objects.get(name="wanted"), "alpaca", tmp_path)
    with pytest.raises(freezing.ReleaseError, match="these do: rows, parquet, csv, alpaca"):
        exports.export_release(pairs, "preference", tmp_path)


def test_without_a_draft_that_lost_there_is_nothing_to_release(aino, finnish):
    item = make_items(finnish)[0]
    accept(aino, item, 0, item.candidates()[0].instruction)

    with pytest.raises(freezing.NothingToRelease, match="preferred to a draft"):
        freezing.build_release("wanted", [finnish], filters=Filters(preferences=True))
