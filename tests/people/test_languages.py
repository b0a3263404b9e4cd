"""An eleventh language, by its code and whatever else has to be said."""

import pytest
from django.core.management import CommandError, call_command

from annotation import queues
from annotation.queues import EmptyReason, QueueEmpty
from tests.factories import make_user
from xinstruct_site.people.languages import FIRST_TEN, look_up
from xinstruct_site.people.models import ContributorAgreement, Language

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("code", FIRST_TEN)
def test_the_first_ten_need_no_more_than_their_code(code):
    call_command("add_language", code)

    assert Language.objects.get().own_name == FIRST_TEN[code].own_name


@pytest.mark.parametrize(
    ("code", "script", "direction"),
    [("ar", "Arab", "rtl"), ("he", "Hebr", "rtl"), ("ka", "Geor", "ltr"), ("ja", "Jpan", "ltr"), ("ml", "Mlym", "ltr")],
)
def test_name_script_and_direction_of_many_others_are_known(code, script, direction):
    profile = look_up(code)

    assert profile
    assert (profile.script, profile.direction) == (script, direction)


def test_unknown_language_asks_for_what_is_missing():
    with pytest.raises(CommandError, match="--name --own-name --script --direction"):
        call_command("add_language", "yo")


def test_unknown_language_comes_in_with_everything_said(client):
    call_command(
        "add_language", "yo", "--name", "Yoruba", "--own-name", "Yorùbá", "--script", "Latn", "--direction", "ltr"
    )

    language = Language.objects.get()
    client.force_login(make_user(language=language))
    assert "Yorùbá" in client.get("/languages/yo/").content.decode()
    assert client.get("/review/yo/").status_code == 200
    with pytest.raises(QueueEmpty) as empty:
        queues.claim_next(make_user(language=language), language)
    assert empty.value.reason == EmptyReason.NOTHING_YET


def test_adding_twice_changes_nothing(finnish):
    Language.objects.update(goal=77)

    call_command("add_language", "fi", "--name", "Other")

    language = Language.objects.get()
    assert (language.name, language.goal) == ("Finnish", 77)


def test_first_language_brings_the_first_agreement():
    call_command("add_language", "fi")

    agreement = ContributorAgreement.objects.get()
    assert agreement.version == 1
    assert "CC0" in agreement.body


@pytest.mark.parametrize("code", ["x", "Finnish!", "fi_FI", "../fi", "FI"])
def test_nonsense_is_no_code(code):
    with pytest.raises(CommandError, match="BCP 47"):
        call_command("add_language", code)


def test_script_has_to_be_iso_15924():
    with pytest.raises(CommandError, match="ISO 15924"):
        call_command("add_language", "fi", "--script", "latin")
