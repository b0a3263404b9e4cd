"""What people say of themselves on their account's page: credit, varieties, and demographics that they can delete."""

import pytest
from django.urls import reverse
from django.utils import translation

from tests.factories import make_user
from xinstruct_site.people import naming, varieties
from xinstruct_site.people.models import Demographics, Membership, Role

pytestmark = pytest.mark.django_db

NAMES = {"display_name": "Aino", "interface_language": "en"}


@pytest.fixture
def page(client, aino):
    client.force_login(aino)
    return reverse("profile")


def test_nobody_is_credited_who_did_not_ask_for_it(client, page, aino):
    client.post(page, NAMES)
    aino.refresh_from_db()

    assert (aino.credit, aino.credited_as) == ("", "")
    assert "Not at all" in client.get(page).content.decode()


def test_who_asks_for_credit_says_under_which_name(client, page, aino):
    nameless = client.post(page, NAMES | {"credit": "pseudonym", "credited_as": " "})
    too_long = client.post(page, NAMES | {"credit": "name", "credited_as": "a" * 81})
    unknown = client.post(page, NAMES | {"credit": "loudly", "credited_as": "A"})
    aino.refresh_from_db()

    assert [each.status_code for each in (nameless, too_long, unknown)] == [422, 422, 422]
    assert "Say the name" in nameless.content.decode()
    assert aino.credit == ""
    assert client.post(page, NAMES | {"credit": "pseudonym", "credited_as": "Tuulikki"}).status_code == 302
    aino.refresh_from_db()
    assert (aino.credit, aino.credited_as) == ("pseudonym", "Tuulikki")


def test_a_variety_is_said_once_of_each_language_whatever_the_roles(client, page, aino, finnish, urdu):
    Membership.objects.create(user=aino, language=finnish, role=Role.LINGUIST)
    Membership.objects.create(user=aino, language=urdu, role=Role.ANNOTATOR)
    other = make_user(language=finnish)

    assert client.get(page).content.decode().count('name="variety_') == 2
    client.post(page, NAMES | {"variety_fi": "Savo", "variety_ur": ""})

    assert set(aino.memberships.values_list("language__code", "variety")) == {("fi", "Savo"), ("ur", "")}
    assert other.memberships.get().variety == ""
    assert 'value="Savo"' in client.get(page).content.decode()


def test_a_maintainer_of_all_languages_has_no_variety(client, maintainer):
    client.force_login(maintainer)

    assert 'name="variety_' not in client.get(reverse("profile")).content.decode()


def test_every_answer_about_oneself_is_optional_and_all_can_be_deleted(client, page, aino):
    address = reverse("demographics")
    assert "Delete these answers" not in client.get(page).content.decode()
    client.post(address, {})
    client.post(address, {"age_range": "25-34", "country": "Suomi", "gender": ""})

    said = Demographics.objects.get(user=aino)
    assert (said.age_range, said.gender, said.country) == ("25-34", "", "FI")
    assert "Delete these answers" in client.get(page).content.decode()
    client.post(address, {"delete": "1"})
    client.post(address, {"delete": "1"})
    assert not Demographics.objects.exists()


def test_countries_and_languages_are_chosen_by_name_and_kept_by_code(client, page, aino):
    asked = {
        "country": " finnland ",
        "native_varieties": ["Finnish", "savo", ""],
        "languages_spoken": ["ruotsi, Sanskrit"],
    }
    client.post(reverse("demographics"), asked)
    said = Demographics.objects.get(user=aino)
    assert (said.country, said.native_varieties, said.languages_spoken) == ("finnland", "fi, savo", "sv, sa")

    client.post(reverse("demographics"), {"country": "อินเดีย"})
    client.post(
        reverse("profile"), {"display_name": "Aino", "interface_language": "ur", "credit": "", "credited_as": ""}
    )
    html = client.get(page).content.decode()
    assert 'value="بھارت"' in html  # what was said in Thai, on a page in Urdu
    assert '<option value="فن لینڈ">' in html
    assert '<option value="سواحلی">' in html

    Demographics.objects.update(country="Zembla", native_varieties="Savo")  # from before there was a list
    html = client.get(page).content.decode()
    assert 'value="Zembla"' in html
    assert 'value="Savo"' in html


def test_a_code_is_read_as_a_code_and_a_name_as_a_name():
    assert naming.language_codes("ga, Ga, GA!") == "ga, gaa, GA!"  # Irish; Ga of Accra; neither
    assert naming.language_names("ga, Irish، gaa") == "Irish, Ga"
    assert naming.country_code("") == naming.country_name("") == ""
    with translation.override("fi"):
        assert (naming.country_name("SE"), naming.language_names("sv, pnb-x")) == ("Ruotsi", "ruotsi, pnb-x")
    assert all(naming.country_code(name) != name for name in naming.offered(naming.TERRITORIES))
    assert not any(varieties.COMMA.search(name) for name in naming.offered(naming.LANGUAGES))


def test_an_answer_that_is_none_of_those_is_refused_and_changes_nothing(client, page, aino):
    for wrong in ({"age_range": "7"}, {"country": "x" * 81}, {"country": "a\x00b"}):
        assert client.post(reverse("demographics"), wrong).status_code == 422

    assert not Demographics.objects.exists()


def test_a_credit_can_be_cleared_in_the_admin_and_demographics_are_not_shown_there(client, aino):
    Demographics.objects.create(user=aino, country="Suomi")
    root = make_user("root@example.org", None, role=Role.MAINTAINER)
    root.is_staff = root.is_superuser = True
    root.save(update_fields=["is_staff", "is_superuser"])
    client.force_login(root)

    shown = client.get(reverse("admin:people_user_change", args=[aino.pk])).content.decode()
    assert 'name="credited_as"' in shown
    assert "Suomi" not in shown
