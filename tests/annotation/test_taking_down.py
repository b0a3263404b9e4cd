"""Take-downs: what goes, from where, what stays to be checked against, and that it does not come back."""

import datetime as dt
import json
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation import (
    adjudicating,
    auditing,
    deciding,
    exports,
    freezing,
    labels,
    queues,
    relabelling,
    reviewing,
    taking_down,
    tallies,
)
from annotation.models import Autosave, Item, ItemState, Pair, PairState, Review, Skip, Slot, SlotState
from generation import ingest, jsonl
from generation.models import Import, RejectedSample, ReleaseState, SeedPair, SeedState, TakeDown, TakeDownKind, Text
from generation.rejections import Reason
from tests.annotation.test_release_lines import accept, make_pairs
from tests.factories import accepting, decide, make_items, make_model_version, make_user, rejecting
from tests.generation.test_ingest import numbered
from xinstruct_site.people.models import Event, EventKind, Role

pytestmark = pytest.mark.django_db

PAGE = "https://www.uutiset.example/juttu/1"


@pytest.fixture
def pairs(aino, finnish) -> list[Pair]:
    """Two passages of one page, one of another page of the domain, and one from elsewhere."""
    of = [PAGE, f"{PAGE}/#loppu", "https://m.uutiset.example/juttu/2", "https://muut.example/uutiset.example"]
    domains = ["www.uutiset.example", "www.uutiset.example", "m.uutiset.example", "muut.example"]
    fields = [{"url": url, "domain": domain} for url, domain in zip(of, domains, strict=True)]
    return make_pairs(aino, finnish, text_fields=fields)


def taken(pairs: list[Pair]) -> list[bool]:
    return [Text.objects.get(pk=pair.item.text_id).withdrawn_at is not None for pair in pairs]


@pytest.mark.parametrize(
    ("kind", "given", "gone"),
    [
        (TakeDownKind.URL, "http://uutiset.example/Juttu/1/", [True, True, False, False]),
        (TakeDownKind.DOMAIN, "UUTISET.example", [True, True, True, False]),
        (TakeDownKind.DOMAIN, "m.uutiset.example", [False, False, True, False]),
        (TakeDownKind.TEXT, None, [False, False, False, True]),
    ],
)
def test_texts_go_by_address_domain_or_hash_and_nothing_else_does(kind, given, gone, pairs):
    done = taking_down.take_down(kind, given or pairs[3].item.text.sha256, reason="Asked to.")

    assert taken(pairs) == gone
    assert done.counts["texts"] == done.counts["pairs"] == sum(gone)
    assert Pair.objects.releasable().count() == 4 - sum(gone)
    for pair, is_gone in zip(pairs, gone, strict=True):
        pair.refresh_from_db()
        item = Item.objects.get(pk=pair.item_id)
        assert (pair.state, item.state) == (
            (PairState.WITHDRAWN, ItemState.WITHDRAWN) if is_gone else (PairState.ACCEPTED, ItemState.ACCEPTED)
        )


def test_earlier_releases_are_withdrawn_their_rows_blanked_and_their_hashes_kept(pairs, finnish, settings, tmp_path):
    release = freezing.build_release("v1", [finnish])
    other = freezing.build_release("v1-other", [finnish])
    hashes = list(release.rows.values_list("row_sha256", flat=True))
    rendered = settings.DATA_DIR / "exports" / release.public_id
    rendered.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda work: work())
        done = taking_down.take_down(TakeDownKind.URL, PAGE, reason="The author asked.")
    release.refresh_from_db()

    assert done.releases == [release, other]
    assert (release.state, release.withdrawn_because) == (ReleaseState.WITHDRAWN, "The author asked.")
    assert list(release.rows.values_list("row_sha256", flat=True)) == hashes
    assert [row.row == {} for row in release.rows.all()].count(True) == 2
    for row in release.rows.exclude(blanked_at=None):
        assert row.text_sha256 in {pair.item.text.sha256 for pair in pairs[:2]}
    assert not rendered.exists()
    with pytest.raises(freezing.ReleaseError, match="withdrawn"):
        exports.export_release(release, "alpaca", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    after = freezing.build_release("v2", [finnish], previous=release)
    assert (after.version, after.changelog["withdrawn"]) == ("2.0.0", {"fi": 2})
    assert after.rows.count() == 2


def test_the_second_time_it_lists_the_same_and_changes_nothing(pairs, finnish):
    release = freezing.build_release("v1", [finnish])
    taking_down.take_down(TakeDownKind.DOMAIN, "uutiset.example")
    before = (Text.objects.values_list("withdrawn_at").order_by("pk"), release.rows.values_list("blanked_at"))
    before = [list(each) for each in before]
    again = taking_down.take_down(TakeDownKind.DOMAIN, "uutiset.example")

    assert not sum(again.counts.values())
    assert again.releases == [release]
    assert [
        list(Text.objects.values_list("withdrawn_at").order_by("pk")),
        list(release.rows.values_list("blanked_at")),
    ] == before
    assert TakeDown.objects.filter(kind=TakeDownKind.DOMAIN).count() == 1
    assert Event.objects.filter(kind=EventKind.RELEASE_WITHDRAWN).count() == 1


def test_a_text_that_moved_to_another_language_goes_with_it_both_ways(pairs, urdu):
    moved = relabelling._text_in(urdu, pairs[3].item.text)
    [item] = make_items(urdu, texts=[moved])
    taking_down.take_down(TakeDownKind.TEXT, moved.sha256.upper())
    item.refresh_from_db()
    moved.refresh_from_db()

    assert taken(pairs) == [False, False, False, True]
    assert moved.withdrawn_at
    assert item.state == ItemState.WITHDRAWN
    assert not item.slots.exclude(state=SlotState.CLOSED).exists()


def test_what_was_taken_down_is_not_imported_again(aino, finnish, tmp_path):
    rows = [numbered(number) for number in range(4)]
    make_pairs(aino, finnish, text_fields=[{"url": PAGE, "domain": "www.uutiset.example", "body": rows[2]["text"]}])
    taking_down.take_down(TakeDownKind.URL, PAGE)
    taking_down.take_down(TakeDownKind.DOMAIN, "muut.example")
    urls = [f"{PAGE}#alku", "https://kuvat.muut.example/2", "https://toisaalla.example/", "https://sallittu.example/"]
    file = tmp_path / "again.jsonl"
    lines = [json.dumps(each | {"url": url}) + "\n" for each, url in zip(rows, urls, strict=True)]
    file.write_text("".join(lines), encoding="utf-8")
    done = ingest.import_texts([jsonl.file_source(file)], language=finnish, source="again")

    assert done.counts["rejected"] == {Reason.TAKEN_DOWN: 3}
    assert Text.objects.get(imported_in=done).url == urls[3]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--url", "uutiset"), ("--url", "ftp:/x"), ("--domain", "a b"), ("--domain", "uutiset"), ("--text-sha256", "abc")],
)
def test_what_is_no_address_domain_or_hash_is_refused(option, value, pairs):
    with pytest.raises(CommandError, match="is not"):
        call_command("takedown", option, value)
    assert not TakeDown.objects.exists()


# Contributors


def test_a_contributors_words_go_and_their_items_wait_for_somebody_else(pairs, aino, finnish):
    release = freezing.build_release("v1", [finnish])
    pekka = make_user(language=finnish)
    [item] = make_items(finnish)
    kept = accept(pekka, item)
    Autosave.objects.create(item=item, user=aino, data={"instruction": "half a thought"})
    done = taking_down.take_down_contributor(aino, reason="Asked to.")
    release.refresh_from_db()

    assert release.state == ReleaseState.WITHDRAWN
    assert {row.row == {} for row in release.rows.all()} == {True}
    assert not Review.objects.standing().filter(reviewer=aino).exists()
    assert set(Review.objects.filter(reviewer=aino).values_list("instruction", flat=True)) == {taking_down.ERASED}
    assert set(Pair.objects.filter(item__in=[pair.item_id for pair in pairs]).values_list("instruction")) == {("",)}
    assert not Autosave.objects.filter(user=aino).exists()
    assert list(Pair.objects.releasable()) == [kept]
    assert (done.counts["reviews"], done.counts["pairs"]) == (4, 4)
    handed = queues.claim_next(pekka, finnish)
    assert handed is not None
    again = taking_down.take_down_contributor(aino)
    assert not sum(again.counts.values())
    assert again.releases == [release]


def test_an_item_is_decided_again_by_those_who_are_left(urdu, zara):
    [item] = make_items(urdu)
    others = [make_user(language=urdu), make_user(language=urdu)]
    for user in (zara, others[0]):
        queues.claim_next(user, urdu)
        reviewing.submit(user, item, accepting("Same words."))
    taking_down.take_down_contributor(others[0])
    item.refresh_from_db()
    assert item.state == ItemState.OPEN
    assert not Pair.objects.current().filter(item=item).exists()

    queues.claim_next(others[1], urdu)
    reviewing.submit(others[1], item, accepting("Same words."))
    pair = Pair.objects.current().get(item=item)
    assert (pair.state, pair.instruction) == (PairState.ACCEPTED, "Same words.")
    reviewers = Review.objects.filter(pk__in=pair.decided_by).values_list("reviewer", flat=True)
    assert set(reviewers) == {zara.pk, others[1].pk}


def test_a_slot_that_somebody_took_over_stays_theirs(urdu, zara):
    [item] = make_items(urdu)
    queues.claim_next(zara, urdu)
    reviewing.withdraw(zara, reviewing.submit(zara, item, accepting()).review)
    Slot.objects.filter(holder=zara).update(lease_expires_at=timezone.now() - dt.timedelta(hours=1))
    omar = make_user(language=urdu)
    item.slots.filter(state=SlotState.FREE).update(state=SlotState.CLOSED)
    assert queues.claim_again(omar, item)
    theirs = reviewing.submit(omar, item, accepting()).review
    zaras = reviewing.submit(zara, item, accepting()).review
    assert zaras.slot is None
    taking_down.take_down_contributor(zara)
    assert Slot.objects.get(pk=theirs.slot_id).state == SlotState.DONE


def test_what_others_decided_without_them_stands(urdu, zara):
    urdu.overlap, urdu.quorum = 3, 2
    urdu.save()
    [item] = make_items(urdu)
    others = [make_user(language=urdu), make_user(language=urdu)]
    said = [accepting("Same words."), rejecting(), accepting("Same words.")]
    for user, submission in zip([zara, *others], said, strict=True):
        queues.claim_next(user, urdu)
        reviewing.submit(user, item, submission)
    pair = Pair.objects.current().get(item=item)
    taking_down.take_down_contributor(others[0])
    item.refresh_from_db()

    assert item.state == ItemState.ACCEPTED
    assert Pair.objects.current().get(item=item) == pair
    assert not item.slots.filter(state=SlotState.FREE).exists()


def test_an_item_of_a_text_that_was_taken_down_waits_for_nobody(pairs, aino):
    taking_down.take_down(TakeDownKind.URL, PAGE)
    taking_down.take_down_contributor(aino)

    gone = Item.objects.filter(text__in=[pair.item.text_id for pair in pairs[:2]])
    assert {item.state for item in gone} == {ItemState.WITHDRAWN}
    assert not any(item.slots.filter(state=SlotState.FREE).exists() for item in gone)


def test_releases_of_ratings_lose_what_the_person_said_too(pairs, aino, finnish):
    rated = labels.build("rated", [finnish])
    done = taking_down.take_down_contributor(aino)
    rated.refresh_from_db()

    assert done.releases == [rated]
    assert rated.state == ReleaseState.WITHDRAWN
    assert {row.row == {} for row in rated.rows.all()} == {True}


@pytest.mark.parametrize("goes", ["the text", "who reviewed it"])
def test_a_linguists_word_on_what_was_taken_down_cannot_be_taken_back(goes, urdu, zara):
    lead = make_user(language=urdu, role=Role.LINGUIST)
    passed, rejected = make_items(urdu, 2)
    reviewer = decide(passed, accepting(), accepting())[0].reviewer
    decide(rejected, accepting(overall=3), accepting(overall=5))
    audit = auditing.audit(lead, passed.pairs.get(), auditing.Submission(uuid.uuid4(), "pass"))
    said = adjudicating.Submission(uuid.uuid4(), "reject", 1, "A menu.")
    decision = adjudicating.adjudicate(lead, rejected, said)
    if goes == "the text":
        for item in (passed, rejected):
            taking_down.take_down(TakeDownKind.TEXT, item.text.sha256)
        with pytest.raises(deciding.TooLate):
            adjudicating.withdraw(lead, decision)
    else:
        taking_down.take_down_contributor(reviewer)
    with pytest.raises(deciding.TooLate):
        auditing.withdraw(lead, audit)
    assert not Pair.objects.current().exists()
    assert not Item.objects.filter(state=ItemState.DISPUTED).exists()
    assert tallies.recount() == []


def test_models_that_learnt_from_it_are_named(pairs, finnish):
    from generation.models import FineTuneRun, Task

    release = freezing.build_release("v1", [finnish])
    base = make_model_version()
    run = FineTuneRun.objects.create(key="a" * 64, task=Task.DRAFT, base_model=base)
    run.releases.add(release)
    tuned = make_model_version(name="tuned-1", fine_tune_run=run)
    out = StringIO()
    call_command("takedown", "--domain", "uutiset.example", "--reason", "Asked to.", stdout=out)

    assert taking_down.take_down(TakeDownKind.DOMAIN, "uutiset.example").models == [tuned]
    assert "release v1 1.0.0: withdrawn" in out.getvalue()
    assert "learnt from it: tuned-1" in out.getvalue()


# A candidate, and the commands


def test_a_candidate_loses_the_row_and_can_still_be_published(pairs, finnish):
    release = freezing.build_release("v1", [finnish], candidate=True)
    taking_down.take_down(TakeDownKind.URL, PAGE)
    release.refresh_from_db()
    assert release.is_candidate
    assert release.rows.exclude(blanked_at=None).count() == 2
    out = StringIO()
    call_command("publish_release", "v1", stdout=out)

    assert "v1 1.0.0 is ready: 2 pairs, CC0-1.0" in out.getvalue()
    call_command("publish_release", "v1", stdout=StringIO())
    call_command("withdraw_release", "v1", "--reason", "Enough.", stdout=StringIO())
    call_command("withdraw_release", "v1", "--reason", "Again.", stdout=out)
    assert "withdrawn: Enough." in out.getvalue()
    for command in (("publish_release", "v1"), ("publish_release", "v9"), ("withdraw_release", "v9", "--reason", "x")):
        with pytest.raises(CommandError):
            call_command(*command)


def test_what_they_said_of_themselves_and_why_they_passed_goes_too(pairs, aino, finnish):
    [item] = make_items(finnish)
    Skip.objects.create(item=item, user=aino, reason="I know who wrote this.")
    aino.memberships.update(variety="Savo", orthography="as spoken")
    taking_down.take_down_contributor(aino)

    assert Skip.objects.get(user=aino).reason == ""
    assert set(aino.memberships.values_list("variety", "orthography")) == {("", "")}


def test_a_tie_break_forgets_the_words_of_who_left(urdu, zara):
    [item] = make_items(urdu)
    others = [make_user(language=urdu) for _ in range(2)]
    for user, words in zip([zara, *others], ("Zara's words.", "Other words.", "Other words."), strict=True):
        queues.claim_next(user, urdu)
        reviewing.submit(user, item, accepting(words))
    assert "Zara's words." in str(list(item.slots.values_list("wordings", flat=True)))

    taking_down.take_down_contributor(zara)

    assert "Zara's words." not in str(list(item.slots.values_list("wordings", flat=True)))
    assert Pair.objects.current().get(item=item).instruction == "Other words."


def test_a_text_that_was_taken_down_teaches_no_model_as_a_seed_and_shows_in_no_sample(pairs, finnish):
    text = pairs[0].item.text
    seeds = [
        SeedPair.objects.create(
            language=finnish, instruction="Write.", response=body, sha256=f"{place:064}", licence_id="CC0-1.0",
            state=SeedState.VERIFIED, verified_at=timezone.now(),
        )
        for place, body in enumerate([text.body, "Something else."])
    ]  # fmt: skip
    for place, url in enumerate([PAGE, "https://another.example/page"]):
        RejectedSample.objects.create(
            language=finnish,
            batch=Import.objects.first(),
            reason="script",
            place=place,
            words=f'{{"url": "{url}", "text": "x"}}',
        )
    taking_down.take_down(TakeDownKind.URL, PAGE)

    assert list(SeedPair.objects.trainable(unverified=True)) == [seeds[1]]
    assert [sample.place for sample in RejectedSample.objects.all()] == [1]
