"""Releases that follow each other: candidates, versions, changelogs, splits that stay, filters and licences."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import changes, filtering, freezing, jobs, queues, reviewing, splitting
from annotation.filtering import EXCLUDE, Filters
from annotation.freezing import NameTaken, NoLicence, NothingToRelease, ReleaseError
from annotation.models import Flag, Item, Pair, PairState
from generation.models import Band, ModelVersion, NearDuplicate, Release, ReleaseState, Split, Text
from tests.factories import accepting, make_items, make_text, make_user, rejecting
from xinstruct_site.people.models import Event, EventKind

pytestmark = pytest.mark.django_db


def accept(user, item: Item, **fields) -> Pair:
    queues.claim_next(user, item.language)
    candidate = item.candidates()[0]
    reviewing.submit(user, item, accepting(candidate.instruction, candidate=candidate, **fields))
    return Pair.objects.current().get(item=item)


def make_pairs(user, language, count: int = 1, *, text_fields: list[dict] | None = None) -> list[Pair]:
    texts = [make_text(language, **fields) for fields in text_fields or [{}] * count]
    return [accept(user, item) for item in make_items(language, texts=texts)]


@pytest.fixture
def pairs(aino, finnish) -> list[Pair]:
    return make_pairs(aino, finnish, 3)


# Candidates


def test_a_candidate_is_frozen_but_neither_ready_nor_changeable(pairs, finnish):
    release = freezing.build_release("autumn", [finnish], candidate=True)

    assert (release.state, release.rows.count(), release.is_candidate) == (ReleaseState.CANDIDATE, 3, True)
    assert not Release.objects.ready().exists()
    assert freezing.build_release("autumn", [finnish], candidate=True) == release
    with pytest.raises(NameTaken, match="candidate"):
        freezing.build_release("autumn", [finnish])


def test_a_published_candidate_holds_what_was_audited_without_what_fell(pairs, aino, finnish):
    release = freezing.build_release("autumn", [finnish], candidate=True)
    make_pairs(aino, finnish)  # came after the audit
    Pair.objects.filter(pk=pairs[0].pk).update(state=PairState.EXCLUDED)

    assert release.publish()
    assert not release.publish()
    jobs.build_release(release.pk)
    release.refresh_from_db()

    assert release.state == ReleaseState.READY
    assert {row.pair_public_id for row in release.rows.all()} == {pair.public_id for pair in pairs[1:]}
    assert release.counts == {"fi": 2}
    kinds = Event.objects.filter(subject_type="release").order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == [EventKind.RELEASE_PROPOSED, EventKind.RELEASE_BUILT]


def test_a_candidate_that_could_not_be_published_is_one_again_and_says_why(pairs, finnish):
    release = freezing.build_release("autumn", [finnish], candidate=True)
    Pair.objects.update(state=PairState.EXCLUDED)
    release.publish()
    jobs.build_release(release.pk)
    release.refresh_from_db()

    assert release.is_candidate
    assert "no accepted pairs" in release.error
    assert release.rows.count() == 3


def test_a_withdrawn_release_says_why_and_stays_withdrawn(pairs, finnish):
    release = freezing.build_release("autumn", [finnish])

    assert release.withdraw("A poem of somebody who is alive.")
    assert not release.withdraw("Again.")
    assert (release.state, release.withdrawn_because) == (ReleaseState.WITHDRAWN, "A poem of somebody who is alive.")
    assert release.withdrawn_at


# Versions and changelogs


def test_the_version_and_the_changelog_follow_from_what_changed(pairs, aino, finnish):
    first = freezing.build_release("v1", [finnish])
    same = freezing.build_release("v1-docs", [finnish], previous=first)
    make_pairs(aino, finnish, 2)
    more = freezing.build_release("v2", [finnish], previous=same)
    Pair.objects.filter(pk=pairs[0].pk).update(instruction="Another wording.")
    Pair.objects.filter(pk=pairs[1].pk).update(state=PairState.WITHDRAWN, is_current=False)
    make_pairs(aino, finnish)
    other = freezing.build_release("v3", [finnish], previous=more)

    assert [each.version for each in (first, same, more, other)] == ["1.0.0", "1.0.1", "1.1.0", "2.0.0"]
    assert first.changelog == {}
    assert more.changelog == {"added": {"fi": 2}, "edited": {}, "withdrawn": {}}
    assert other.changelog == {"added": {"fi": 1}, "edited": {"fi": 1}, "withdrawn": {"fi": 1}}
    items = {change.kind: change.item for change in changes.changes(more, other)}
    assert items[changes.EDITED] == pairs[0].item.public_id
    assert items[changes.WITHDRAWN] == pairs[1].item.public_id
    [edited] = changes.changes(more, other, kinds=[changes.EDITED], language="fi")
    assert not changes.changes(more, other, kinds=[changes.EDITED], after=edited.item)


def test_one_rating_more_is_no_edit(pairs, finnish):
    first = freezing.build_release("v1", [finnish])
    pairs[0].item.reviews.update(overall=5)
    second = freezing.build_release("v2", [finnish], previous=first)

    assert second.sha256 != first.sha256
    assert second.version == "1.0.1"


@pytest.mark.parametrize("version", ["1.0.0", "1.0.9", "1", "v2.0.0", "2.0", "01.2.3", "1.1.0\n"])
def test_a_version_that_says_too_little_or_is_none_is_refused(version, pairs, aino, finnish):
    first = freezing.build_release("v1", [finnish])
    make_pairs(aino, finnish)

    with pytest.raises(ReleaseError, match=r"[Vv]ersion"):
        freezing.build_release("v2", [finnish], previous=first, version=version)
    assert freezing.build_release("v2", [finnish], previous=first, version="1.4.0").version == "1.4.0"


# Splits


def places(release: Release) -> dict[str, tuple[str, str]]:
    return {row.text_sha256: (row.split, row.row["split_group"]) for row in release.rows.all()}


def test_texts_that_share_anything_are_in_one_split(aino, finnish, urdu):
    same = "Sama teksti kahdella kielellä. " * 9
    alike = [
        ({"source_doc_id": "page-1"}, {"source_doc_id": "page-1"}),
        ({"url": "https://www.example.org/a/"}, {"url": "http://example.org/a#part"}),
        (
            {"url": "https://example.org/x", "source_doc_id": "b"},
            {"source_doc_id": "b", "url": "https://example.org/y"},
        ),
    ]
    made = [[pair.item.text for pair in make_pairs(aino, finnish, text_fields=list(each))] for each in alike]
    near = [pair.item.text for pair in make_pairs(aino, finnish, 2)]
    Band.objects.bulk_create(Band(hash=7, text=text) for text in near)
    third = make_pairs(aino, finnish)[0].item.text
    for text in (near[1], third):
        NearDuplicate.objects.create(
            language=finnish, sha256=f"{text.pk:064}", text=text, jaccard=0.8, imported_in=text.imported_in
        )
    alone = make_pairs(aino, finnish)[0].item.text
    make_pairs(aino, finnish, text_fields=[{"body": same}])
    [there] = make_items(urdu, texts=[make_text(urdu, same)])
    Pair.objects.create(item=there, state=PairState.ACCEPTED, instruction="Say it.", policy_version=1)
    release = freezing.build_release("v1", [finnish, urdu], filters=Filters(split_from=0, shares=(1, 1, 1)))
    placed = places(release)

    for together in [*made, near]:
        assert len({placed[text.sha256] for text in together}) == 1
    groups = [placed[texts[0].sha256][1] for texts in [*made, near, [third], [alone]]]
    assert len(set(groups)) == len(groups)
    assert len({row.split for row in release.rows.filter(text_sha256=there.text.sha256)}) == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12), st.data())
def test_no_document_address_or_cluster_is_ever_in_two_splits(shared, data):
    """Whatever is shared with whatever: `groups` joins it all, over any number of steps."""
    from django.db import transaction

    from tests.factories import make_language

    with transaction.atomic():
        language = make_language("fi", overlap=1, quorum=1)
        texts = [
            make_text(
                language, source_doc_id=f"d{document}" if document else "", url=f"https://x.fi/{url}" if url else ""
            )
            for document, url, _ in shared
        ]
        Band.objects.bulk_create(
            Band(hash=band, text=text) for text, (_, _, band) in zip(texts, shared, strict=True) if band
        )
        items = make_items(language, texts=texts)
        Pair.objects.bulk_create(
            Pair(item=item, state=PairState.ACCEPTED, instruction="Say it.", policy_version=1) for item in items
        )
        seed = data.draw(st.integers(0, 99))
        splitter = splitting.Splitter(Pair.objects.releasable(), (1, 1, 1), seed)
        found = splitter.splits(texts)
        for number in range(3):
            seen: dict[int, splitting.Place] = {}
            for place, keys in zip(found, shared, strict=True):
                if keys[number]:
                    assert seen.setdefault(keys[number], place) == place
        transaction.set_rollback(True)


def test_shares_come_out_about_as_asked_and_follow_the_seed():
    drawn = [splitting.place(f"{number:064x}", (90, 5, 5), 0) for number in range(4000)]
    again = [splitting.place(f"{number:064x}", (90, 5, 5), 1) for number in range(4000)]

    assert 0.88 < drawn.count(Split.TRAIN) / 4000 < 0.92
    assert 0.035 < drawn.count(Split.TEST) / 4000 < 0.065
    assert drawn != again
    assert {splitting.place(f"{number:064x}", (1, 0, 0), 0) for number in range(50)} == {Split.TRAIN}


def test_a_handful_of_pairs_is_all_for_training(pairs, finnish):
    release = freezing.build_release("v1", [finnish], filters=Filters(shares=(1, 1, 1)))

    assert release.splits == {"train": {"fi": 3}, "validation": {}, "test": {}}


def test_a_following_release_keeps_every_text_where_it_was(aino, finnish):
    make_pairs(aino, finnish, 12)
    first = freezing.build_release("v1", [finnish], filters=Filters(split_from=0, shares=(1, 1, 1)))
    before = places(first)
    assert len({split for split, _ in before.values()}) > 1
    # A new text joins two old ones of different splits: both go where a model may have learnt from one of them.
    rows = {row.split: Text.objects.get(sha256=row.text_sha256) for row in first.rows.all()}
    [low, high] = sorted(rows, key=list(Split).index)[:2]
    for number, split in enumerate((low, high)):
        Band.objects.create(hash=number, text=rows[split])
    bridge = make_pairs(aino, finnish)[0].item.text
    Band.objects.bulk_create(Band(hash=number, text=bridge) for number in (0, 1))
    after = places(
        freezing.build_release("v2", [finnish], filters=Filters(split_from=0, shares=(1, 1, 1), seed=9), previous=first)
    )

    moved = {sha256 for sha256, (split, _) in before.items() if after[sha256][0] != split}
    assert moved == {rows[high].sha256}
    assert {after[text.sha256][0] for text in (bridge, rows[low], rows[high])} == {low}


# Filters


def test_each_filter_leaves_out_what_it_says(finnish, aino):
    everything = make_pairs(
        aino, finnish,
        text_fields=[{}, {"source_dataset": "news"}, {"licence_id": "CC-BY-4.0"}, {}, {}],
    )  # fmt: skip
    plain, news, by, policy, flagged = everything
    Pair.objects.filter(pk=policy.pk).update(policy_version=3)
    flagged.item.reviews.update(flags={Flag.CULTURAL: ""})
    by.item.reviews.update(overall=5)
    pekka = make_user(language=finnish)
    finnish.overlap = finnish.quorum = 2
    finnish.save()
    [item] = make_items(finnish)
    for user in (aino, pekka):
        queues.claim_next(user, finnish)
        reviewing.submit(user, item, accepting("Same words."))
    two = Pair.objects.current().get(item=item)
    everything.append(two)

    def kept(**filters) -> set[Pair]:
        wanted = Filters(**filters)
        return set(filtering.fitting(filtering.accepted([finnish], wanted), wanted))

    assert kept() == set(everything)
    assert kept(sources=("news",)) == {news}
    assert kept(licences=("CC-BY-4.0",)) == {by}
    assert kept(licence="CC0-1.0") == set(everything) - {by}
    assert kept(policy_min=2) == {policy}
    assert kept(overall_min=5) == {by}
    assert kept(without_flags=(Flag.CULTURAL,)) == set(everything) - {flagged}
    assert kept(reviews_min=2) == {two}
    assert kept(rows_min=6) == set(everything)
    assert kept(rows_min=7, small_languages=EXCLUDE) == set()
    assert plain in kept(agreement_min=100)


def test_agreement_counts_those_who_rejected(urdu, zara):
    urdu.overlap, urdu.quorum = 3, 2
    urdu.save()
    [item] = make_items(urdu)
    others = [make_user(language=urdu), make_user(language=urdu)]
    for user, submission in zip([zara, *others], [accepting("Same."), rejecting(), accepting("Same.")], strict=True):
        queues.claim_next(user, urdu)
        reviewing.submit(user, item, submission)

    assert filtering.accepted([urdu], Filters(agreement_min=66)).count() == 1
    assert filtering.accepted([urdu], Filters(agreement_min=67)).count() == 0


def test_the_query_is_kept_readable_and_gives_the_filters_back():
    filters = Filters(
        overall_min=4, agreement_min=66, reviews_min=2, policy_min=2, sources=("news",), licences=("CC0-1.0",),
        without_flags=("harmful",), licence="CC-BY-4.0", rows_min=50, small_languages=EXCLUDE, shares=(8, 1, 1), seed=3,
    )  # fmt: skip
    query = filters.as_query([])

    assert Filters.of_query(query) == filters
    assert Filters.of_query({"languages": ["fi"], "items": "normal"}) == Filters()
    words = dict(filtering.in_words(query))
    assert words["overall, of everybody who accepted"] == "≥ 4"
    assert words["training / validation / test"] == "8 / 1 / 1, seed 3, from 100 pairs up"


def test_a_small_language_is_marked_or_left_out(pairs, finnish):
    marked = freezing.build_release("v1", [finnish], filters=Filters(rows_min=50))

    assert marked.small_languages == ["fi"]
    with pytest.raises(NothingToRelease, match="what was asked for"):
        freezing.build_release("v2", [finnish], filters=Filters(rows_min=50, small_languages=EXCLUDE))


# Licences


def test_the_release_asks_at_least_what_every_row_asks(aino, finnish):
    make_pairs(aino, finnish, text_fields=[{}, {"licence_id": "CC-BY-SA-3.0"}, {"licence_id": "CC-BY-4.0"}])

    assert freezing.build_release("v1", [finnish]).licence == "CC-BY-SA-4.0"


def test_rows_that_do_not_go_together_block_with_numbers_and_a_way_out(aino, finnish):
    fields = [{"licence_id": "CC-BY-SA-4.0"}, {"licence_id": "CC-BY-SA-4.0"}, {"licence_id": "CC-BY-NC-4.0"}]
    make_pairs(aino, finnish, text_fields=[*fields, {"licence_id": "ask the author"}])

    with pytest.raises(NoLicence) as refused:
        freezing.build_release("v1", [finnish])
    for words in ("CC-BY-SA-4.0", "“CC-BY-NC-4.0” (not for commercial use): 1", "“ask the author” (a licence that"):
        assert words in str(refused.value)
    release = freezing.build_release("v2", [finnish], filters=Filters(licence="CC-BY-SA-4.0"))
    assert (release.licence, release.counts) == ("CC-BY-SA-4.0", {"fi": 2})


def test_what_contributors_agreed_to_binds_too(pairs, finnish):
    agreement = pairs[0].item.reviews.get().agreement
    agreement.licence_id = "CC-BY-NC-4.0"
    agreement.save()

    assert freezing.build_release("v1", [finnish]).licence == "CC-BY-NC-4.0"
    with pytest.raises(NoLicence, match="contributors"):
        freezing.build_release("v2", [finnish], filters=Filters(licence="CC-BY-4.0"))


def test_a_model_of_unknown_licence_blocks_publishing_until_somebody_answers_for_its_terms(
    pairs, finnish, client, maintainer
):
    ModelVersion.objects.update(licence_id="")
    model = pairs[0].candidate.run.model_version
    page = f"/models/{model.public_id}/"
    with pytest.raises(NoLicence, match=page):
        freezing.build_release("v1", [finnish])
    client.force_login(maintainer)
    assert "no release can be published" in client.get(page).content.decode()
    asked = {"licence": "CC-BY-4.0", "terms": "https://example.org/terms"}

    assert client.post(f"{page}licence", asked | {"terms": "somewhere"}).status_code == 422
    assert client.post(f"{page}licence", asked | {"licence": "mine"}).status_code == 422
    html = client.post(f"{page}licence", asked, follow=True).content.decode()

    assert f"stated by {maintainer}" in html
    assert "no release can be published" not in html
    event = Event.objects.get(kind=EventKind.LICENCE_STATED, subject_id=model.pk)
    assert (event.actor, event.data) == (maintainer, {**asked, "told": ""})
    assert freezing.build_release("v2", [finnish]).licence == "CC-BY-4.0"


# The command


def test_the_command_takes_every_filter_and_says_what_it_made(pairs, aino, finnish):
    out = StringIO()
    call_command("build_release", "v1", "--language", "fi", stdout=StringIO())
    make_pairs(aino, finnish)
    call_command(
        "build_release", "v2", "--language", "fi", "--previous", "v1", "--candidate", "--overall-min", "4",
        "--agreement-min", "50", "--reviews-min", "1", "--policy-min", "1", "--source", "tests", "--text-license",
        "CC0-1.0", "--without-flag", "harmful", "--rows-min", "50", "--splits", "8/1/1", "--split-seed", "4",
        "--license", "CC-BY-4.0", stdout=out,
    )  # fmt: skip
    said = out.getvalue()

    assert "candidate" in said
    assert "version 1.1.0, CC-BY-4.0" in said
    assert "fewer than 50: fi" in said
    assert Release.objects.get(name="v2").query["splits"] == {"shares": [8, 1, 1], "seed": 4, "from": 0}


@pytest.mark.parametrize("arguments", [["--splits", "0/1/1"], ["--splits", "90"], ["--agreement-min", "101"]])
def test_nonsense_among_the_filters_is_refused(arguments, finnish):
    with pytest.raises(CommandError):
        call_command("build_release", "v1", "--language", "fi", *arguments)
