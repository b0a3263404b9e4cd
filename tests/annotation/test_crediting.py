"""Credits and aggregates of contributors: frozen with the release, and nothing of a single person in them."""

import json
from collections import Counter

import pytest
from django.db import DatabaseError, transaction
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from annotation import crediting, exports, facts, freezing, labels, taking_down
from generation.models import ReleaseState
from tests.annotation.test_release_lines import accept, make_pairs
from tests.factories import make_items, make_user
from xinstruct_site.people.models import Demographics, Membership, Role, User


def credit(person: User, name: str, how: str = "pseudonym") -> None:
    User.objects.filter(pk=person.pk).update(credit=how, credited_as=name)


# What can be told


def test_few_are_not_told_nor_the_one_cell_that_they_would_follow_from():
    told = crediting.shown(Counter({"Finland": 12, "Sweden": 8, "Norway": 2}), 22)

    assert told == {"Finland": "10–14"}  # 22 − 12 − 8 would have been those in Norway
    assert crediting.shown(Counter({"Finland": 12, "Sweden": 2, "Norway": 3}), 17) == {"Finland": "10–14"}
    assert crediting.shown(Counter({"Finland": 9}), 10) == {}  # the one who said nothing
    assert crediting.shown(Counter({"Finland": 9}), 9) == {"Finland": "5–9"}
    assert crediting.shown(Counter({"Finland": 9}), 15) == {"Finland": "5–9"}
    assert crediting.shown(Counter(), 15) == {}


def test_of_several_answers_one_is_told_only_where_those_without_it_are_not_few():
    assert crediting.shown_of_many(Counter({"Swahili": 9, "English": 5, "Luo": 4}), 10) == {"English": "5–9"}
    assert crediting.shown_of_many(Counter({"Swahili": 10}), 10) == {"Swahili": "10–14"}


@given(st.lists(st.integers(1, 30), max_size=6), st.integers(0, 12))
def test_what_is_held_back_is_never_one_cell_or_fewer_than_five_people(numbers, silent):
    counts = Counter({str(place): number for place, number in enumerate(numbers)})
    people = counts.total() + silent
    told = crediting.shown(counts, people)
    hidden = [number for answer, number in counts.items() if answer not in told]
    held_back = hidden + [silent] * bool(silent)

    assert all(counts[answer] >= crediting.FEWEST for answer in told)
    if told and any(0 < number < crediting.FEWEST for number in held_back):
        assert len(held_back) > 1
        assert sum(held_back) >= crediting.FEWEST


# Of a release


@pytest.fixture
def reviewers(finnish, db) -> list[User]:
    """Six people who each accepted one item, five of whom said where they live; and one who did nothing."""
    people = [make_user(language=finnish) for _ in range(7)]
    for person, item in zip(people[:6], make_items(finnish, 6), strict=True):
        accept(person, item)
    for person, country in zip(people, ["Suomi"] * 5 + ["", "Ruotsi"], strict=True):
        Demographics.objects.create(user=person, country=country, native_varieties="Savo,  suomi")
    return people


def test_a_release_counts_the_people_behind_its_rows_and_nobody_else(reviewers, finnish):
    Demographics.objects.filter(user=reviewers[5]).update(country="suomi ")  # from before there was a list
    Demographics.objects.filter(user=reviewers[0]).update(country="FI", native_varieties="fi, Savo")
    release = freezing.build_release("v1", [finnish])

    answers = {"Country of residence": {"Finland": "5–9"}, "Grew up with": {"Finnish": "5–9", "Savo": "5–9"}}
    assert release.contributors == {"credited": {}, "demographics": {"fi": {"people": "5–9", "answers": answers}}}
    assert labels.build("rated", [finnish]).contributors == release.contributors


def test_what_was_chosen_from_a_list_is_told_in_words_and_varieties_count_once(reviewers, finnish, urdu):
    Demographics.objects.update(country="", native_varieties="", gender="woman", age_range="25-34")
    for person in reviewers:
        person.memberships.update(variety="savo")
        Membership.objects.create(user=person, language=urdu, role=Role.ANNOTATOR, variety="Dakhni")
        Membership.objects.create(user=person, language=finnish, role=Role.LINGUIST, variety="Savo")
    with translation.override("fi"):
        told = freezing.build_release("v1", [finnish]).contributors["demographics"]["fi"]["answers"]

    assert told == {"Variety of the language": {"Savo": "5–9"}, "Age": {"25-34": "5–9"}, "Gender": {"Woman": "5–9"}}


def test_the_one_who_said_nothing_does_not_follow_from_what_the_others_said(reviewers, finnish):
    release = freezing.build_release("v1", [finnish])

    assert "Country of residence" not in release.contributors["demographics"]["fi"]["answers"]


@pytest.mark.django_db
def test_of_a_language_with_few_people_nothing_is_told(aino, finnish, tmp_path):
    make_pairs(aino, finnish, 2)
    Demographics.objects.create(user=aino, country="Suomi")
    release = freezing.build_release("v1", [finnish])
    exports.export_release(release, "alpaca", tmp_path)

    assert release.contributors == {"credited": {}, "demographics": {}}
    for name in ("README.md", "croissant.json"):
        assert facts.UNTOLD in (tmp_path / name).read_text(encoding="utf-8")


def test_documents_name_who_asked_for_it_and_stay_the_same_when_people_change_their_minds(reviewers, finnish, tmp_path):
    import mlcroissant

    Demographics.objects.update(country="Suomi")
    credit(reviewers[0], "Tuulikki *<b>|[x](y)")
    credit(reviewers[1], "Aino Virtanen", "name")
    credit(reviewers[6], "Did nothing")
    release = freezing.build_release("v1", [finnish])
    exports.export_release(release, "alpaca", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    for name in ("README.md", "DATA_STATEMENT.md"):
        text = before[name].decode()
        assert text.index("| Aino Virtanen |") < text.index("| Tuulikki \\*&lt;b>\\|\\[x\\](y) |")
        assert "| Finnish | Country of residence: Finland | 5–9 |" in text
        assert "Did nothing" not in text
    said = json.loads(before["croissant.json"])["rai:annotatorDemographics"]
    assert "Country of residence: Finland: 5–9" in said[1]
    assert not mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json")).metadata.issues.errors
    assert not any("Virtanen" in str(row) for row in release.rows.values_list("row", flat=True))

    User.objects.update(credit="", credited_as="")
    Demographics.objects.all().delete()
    release.refresh_from_db()
    exports.export_release(release, "alpaca", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert freezing.build_release("v2", [finnish]).contributors["credited"] == {}


def test_a_contributors_take_down_takes_their_credit_and_nobody_elses(reviewers, finnish):
    for person, name in zip(reviewers, ("One", "Two"), strict=False):
        credit(person, name)
    release = freezing.build_release("v1", [finnish])
    candidate = freezing.build_release("v2", [finnish], candidate=True)
    for _again in range(2):
        taking_down.take_down_contributor(reviewers[0])

    for each in (release, candidate):
        each.refresh_from_db()
        assert list(each.contributors["credited"].values()) == ["Two"]
    assert release.state == ReleaseState.WITHDRAWN
    assert User.objects.get(pk=reviewers[0].pk).credited_as == ""
    assert Demographics.objects.count() == len(reviewers) - 1


def test_the_database_refuses_to_change_the_credits_of_a_ready_release(reviewers, finnish):
    credit(reviewers[0], "One")
    release = freezing.build_release("v1", [finnish])
    with pytest.raises(DatabaseError, match="do not change"), transaction.atomic():
        release.forget_credit(reviewers[0])
    release.refresh_from_db()
    release.withdraw("Enough.")
    release.contributors["credited"]["x"] = "Added"
    with pytest.raises(DatabaseError, match="do not change"), transaction.atomic():
        release.save(update_fields=["contributors"])
