"""Varieties and orthographies: a language's list, what people, texts and pairs carry, and where it can be asked for."""

import io
import json

import pytest
from django.core.management import call_command
from django.urls import reverse

from annotation import filtering, finding, freezing, queues, relabelling, reviewing
from annotation.filtering import Filters
from annotation.models import Flag, ItemState, Pair
from generation.models import Text
from tests.factories import accepting, decide, make_items, make_language, make_text, make_user, rejecting
from xinstruct_site.people import varieties
from xinstruct_site.people.models import Language, Membership, Role, Variety, VarietyKind

pytestmark = pytest.mark.django_db

BODIES = (
    "Leo nimekwenda sokoni kununua samaki wabichi. Bei imepanda sana, kwa hiyo nilirudi nyumbani mikono mitupu. Mama "
    "aliniuliza kwa nini sikuleta kitu, nikamwambia kwamba wavuvi hawakutoka baharini kwa sababu ya upepo mkali.",
    "Shule yetu iko karibu na mlima. Kila asubuhi wanafunzi hutembea nusu saa kupitia mashamba ya kahawa, na jioni "
    "hurudi kwa baiskeli. Mwalimu mkuu amesema kwamba maktaba mpya itafunguliwa mwezi ujao.",
    "Bibi yangu alizaliwa kisiwani Lamu miaka mingi iliyopita. Alikuwa akitusimulia hadithi za majini na mabaharia, "
    "huku akisuka mikeka chini ya mwembe. Hadithi zake bado tunazikumbuka mpaka leo.",
    "Mvua kubwa zimenyesha kaskazini mwa nchi tangu wiki iliyopita. Barabara kadhaa zimefungwa na serikali imewaomba "
    "wananchi wahamie sehemu za juu. Wataalamu wa hali ya hewa wanatabiri mvua zaidi.",
    "Ili kupika pilau, kaanga vitunguu mpaka viwe vya kahawia, kisha ongeza nyama, tangawizi na viungo. Mimina mchele "
    "na maji ya kutosha, funika sufuria, na uache ichemke kwa moto mdogo kwa dakika ishirini.",
)
KENYAN, OLD = (VarietyKind.VARIETY, "Kenyan"), (VarietyKind.ORTHOGRAPHY, "Old tone placement")


@pytest.fixture
def swahili(db) -> Language:
    language = make_language("sw")
    varieties.add(language, *KENYAN, tag="sw-KE")
    varieties.add(language, *OLD)
    return language


@pytest.fixture
def lead(swahili):
    return make_user("lead@example.org", swahili, role=Role.LINGUIST)


@pytest.fixture
def page(client, lead, swahili):
    client.force_login(lead)
    return reverse("varieties", args=["sw"])


def is_in(language: Language, name: str) -> dict:
    return {"flags": {Flag.WRONG_LANGUAGE: name}, "relabel": language}


def test_a_lead_keeps_the_list_and_sees_which_texts_carry_what(client, page, swahili):
    make_items(swahili, texts=[make_text(swahili, variety="Kenyan"), make_text(swahili, variety="Kiunguja")])
    shown = client.get(page).content.decode()
    assert "Kiunguja" in shown
    assert "Carried by texts, and not on the list" in shown

    client.post(page, {"kind": "variety", "name": " Kiunguja "})
    client.post(page, {"kind": "variety", "name": "kiunguja", "tag": "sw-TZ"})  # the same, spelled anew
    assert set(varieties.standing(swahili).values_list("kind", "name", "tag")) == {
        ("variety", "Kenyan", "sw-KE"), ("variety", "kiunguja", "sw-TZ"), ("orthography", "Old tone placement", ""),
    }  # fmt: skip

    client.post(reverse("retire_variety", args=["sw", Variety.objects.get(name="Kenyan").pk]))
    assert not varieties.standing(swahili).filter(name="Kenyan").exists()
    assert Text.objects.filter(variety="Kenyan").exists()
    client.post(page, {"kind": "variety", "name": "KENYAN"})
    assert varieties.standing(swahili).filter(name="KENYAN").count() == 1


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"name": "Kenyan, coastal"}, "no comma"),
        ({"name": "x" * 81}, "at most 80"),
        ({"name": "Coastal", "tag": "sw KE"}, "Such as sw-KE"),
        ({"name": "Coastal", "kind": "accent"}, "not one of the available choices"),
        ({"name": "nul \0"}, "Null characters"),
        ({"name": " "}, "required"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_with_a_reason(client, page, sent, message):
    answer = client.post(page, {"kind": "variety"} | sent)
    assert answer.status_code == 422
    assert message in answer.content.decode()


def test_people_say_what_they_speak_and_write_as_the_list_spells_it(client, swahili):
    person = make_user(language=swahili)
    client.force_login(person)
    shown = client.get(reverse("profile")).content.decode()
    assert '<option value="Kenyan">' in shown
    assert '<option value="Old tone placement">' in shown

    said = {"variety_sw": "kenyan،  my own, KENYAN", "orthography_sw": "old tone placement"}
    client.post(reverse("profile"), {"display_name": "A", "interface_language": "en"} | said)

    assert Membership.objects.get(user=person).variety == "Kenyan, my own"
    assert Membership.objects.get(user=person).orthography == "Old tone placement"


def test_imported_texts_carry_what_their_rows_say_as_the_list_spells_it(swahili, tmp_path, settings):
    settings.TEXT_CHARS_MIN = 100
    rows = [
        {"variety": "kenyan", "orthography": "OLD tone placement"},
        {"lang": "sw-KE"},
        {"dialect": "sw-ke"},
        {"variety": "Kiunguja", "lang": "sw-KE"},
        {"lang": "sw"},
    ]
    lines = [{"text": body, "id": number} | row for number, (row, body) in enumerate(zip(rows, BODIES, strict=True))]
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    out = io.StringIO()
    call_command(
        "import_texts", str(file), language="sw", source="s", license="CC0-1.0", whole=True, stdout=out, stderr=out
    )
    found = dict(Text.objects.values_list("source_doc_id", "variety"))
    assert found == {"0": "Kenyan", "1": "Kenyan", "2": "Kenyan", "3": "Kiunguja", "4": ""}, out.getvalue()
    assert Text.objects.get(source_doc_id="0").orthography == "Old tone placement"


def test_what_reviewers_name_alike_goes_where_the_list_has_it(swahili):
    [item, other] = make_items(swahili, 2)
    decide(item, *[accepting(**is_in(swahili, name)) for name in ("old tone  placement", "Old Tone Placement ")])
    decide(other, *[accepting(**is_in(swahili, name)) for name in ("kenyan", "Kenyan")])

    pair, of_other = Pair.objects.get(item=item), Pair.objects.get(item=other)
    assert (pair.orthography, pair.variety) == ("Old tone placement", "")
    assert (of_other.orthography, of_other.variety) == ("", "Kenyan")

    reviewing.withdraw(item.reviews.first().reviewer, item.reviews.first())
    assert Text.objects.get(pk=item.text_id).orthography == ""


def test_a_leads_word_is_on_text_and_pair_in_the_history_and_outlasts_a_second_thought(client, lead, page, swahili):
    [item] = make_items(swahili)
    [first, _second] = decide(item, accepting(), accepting())
    address = reverse("relabel", args=[item.public_id])
    assert "Kenyan" in client.get(address).content.decode()

    sent = {"language": "sw", "variety": "KENYAN", "orthography": "Old tone placement"}
    assert client.post(address, sent).status_code == 302

    item.text.refresh_from_db()
    assert (item.text.variety, item.text.orthography) == ("Kenyan", "Old tone placement")
    pair = Pair.objects.current().get(item=item)
    assert (pair.variety, pair.orthography) == ("Kenyan", "Old tone placement")
    history = client.get(reverse("item", args=[item.public_id])).content.decode()
    assert "variety: Kenyan" in history
    assert "orthography: Old tone placement" in history

    reviewing.withdraw(first.reviewer, first)
    item.text.refresh_from_db()
    assert item.text.variety == "Kenyan"


def test_items_are_found_by_variety_and_by_orthography_by_who_leads(client, page, lead, swahili):
    texts = [make_text(swahili, variety="Kenyan"), make_text(swahili, orthography="Kenyan"), make_text(swahili)]
    items = make_items(swahili, texts=texts)
    found = finding.find_items(lead, swahili, variety="Kenyan")
    assert {item.pk for item in found.items} == {item.pk for item in items[:2]}
    shown = client.get(reverse("items"), {"language": "sw", "variety": "Kenyan"}).content.decode()
    assert texts[0].title in shown
    assert texts[2].title not in shown


def test_annotators_neither_filter_by_variety_nor_see_one_while_an_item_waits(client, swahili):
    [item] = make_items(swahili, texts=[make_text(swahili, variety="Kiunguja")])
    [review] = decide(item, accepting())
    client.force_login(review.reviewer)
    assert 'name="variety"' not in client.get(reverse("items")).content.decode()
    assert "Kiunguja" not in client.get(reverse("item", args=[item.public_id])).content.decode()
    assert len(finding.find_items(review.reviewer, swahili, variety="nothing").items) == 1


def test_a_release_takes_the_wanted_ones_and_says_of_what_it_is_made(client, swahili, urdu, maintainer):
    texts = [
        make_text(swahili, variety="Kenyan"),
        make_text(swahili, orthography="Old tone placement"),
        make_text(swahili),
    ]
    for item in [*make_items(swahili, texts=texts), *make_items(urdu)]:
        decide(item, accepting(), accepting())
    only = filtering.variety("sw", "variety", "Kenyan")
    assert filtering.accepted([swahili, urdu], Filters(varieties=(only,))).count() == 2
    both = (only, filtering.variety("sw", "orthography", "Old tone placement"))
    assert filtering.accepted([swahili, urdu], Filters(varieties=both)).count() == 1
    assert Filters.of_query(Filters(varieties=both).as_query([swahili])).varieties == tuple(sorted(both))
    assert ("varieties and orthographies", "sw: Kenyan") in filtering.in_words(
        Filters(varieties=(only,)).as_query([swahili])
    )

    call_command("build_release", "kenyan", language=["sw", "ur"], variety=[("sw", "Kenyan")], stdout=io.StringIO())
    whole = freezing.build_release("whole", [swahili])
    said = {
        (row.row["lineage"]["text"]["variety"], row.row["lineage"]["text"]["orthography"]) for row in whole.rows.all()
    }
    assert said == {("Kenyan", ""), ("", "Old tone placement"), ("", "")}

    client.force_login(maintainer)
    assert 'value="sw:variety:Kenyan"' in client.get(reverse("releases")).content.decode()
    statement = client.get(reverse("release_document", args=[whole.public_id, "DATA_STATEMENT.md"])).content.decode()
    assert "Kenyan (1)" in statement
    assert "Old tone placement (1)" in statement


def test_a_lead_moves_what_was_rejected_and_nothing_else(client, page, lead, swahili, urdu):
    [item, open_one] = make_items(swahili, 2)
    decide(item, rejecting(), rejecting())

    assert client.post(reverse("relabel", args=[open_one.public_id]), {"language": "ur"}).status_code == 422
    assert client.post(reverse("relabel", args=[item.public_id]), {"language": "ur"}).status_code == 302
    moved = urdu.items.get()
    assert (moved.state, moved.text.relabelled_from) == (ItemState.OPEN, item.text)

    reviewing.withdraw(item.reviews.first().reviewer, item.reviews.first())
    assert not urdu.items.exists()


def test_a_text_that_is_being_reviewed_elsewhere_is_not_moved_twice(lead, swahili, urdu):
    [item] = make_items(swahili)
    decide(item, rejecting(), rejecting())
    relabelling.move(item, urdu, lead)
    queues.claim_next(make_user(language=urdu), urdu)
    relabelling.move(item, urdu, lead)
    assert urdu.items.count() == 1
