"""Invitations: one role, one language, one address, once."""

import datetime as dt
import re

import pytest
from django.contrib.auth import SESSION_KEY
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from xinstruct_site.people import inviting
from xinstruct_site.people.models import Invitation, Membership, Role, User

pytestmark = pytest.mark.django_db

ANSWER = {"display_name": "Nea", "password": "seven warm blankets"}


@pytest.fixture
def path(finnish) -> str:
    _, token = inviting.invite("nea@example.org", Role.ANNOTATOR, finnish)
    return reverse("invitation", args=[token])


def test_opening_an_invitation_says_what_is_offered_and_uses_nothing(client, path):
    page = client.get(path).content.decode()

    assert "Finnish" in page
    assert "nea@example.org" in page
    assert Invitation.objects.open().count() == 1


def test_invited_person_makes_an_account_and_is_signed_in(client, path, finnish):
    response = client.post(path, ANSWER)

    nea = User.objects.get(email="nea@example.org")
    assert response.status_code == 302
    assert client.session[SESSION_KEY] == str(nea.pk)
    assert nea.check_password(ANSWER["password"])
    assert nea.has_role(finnish, Role.ANNOTATOR)
    assert not nea.has_role(finnish, Role.LINGUIST)


def test_invitation_works_once(client, path):
    client.post(path, ANSWER)

    again = Client().post(path, ANSWER | {"display_name": "Other"})

    assert again.status_code == 410
    assert User.objects.count() == 1


def test_two_who_accept_at_once_become_one(path, aino, finnish):
    offer = Invitation.objects.get()
    inviting.join_as_new(offer, "Nea", ANSWER["password"])
    User.objects.filter(email="nea@example.org").update(email="nea2@example.org")

    with pytest.raises(inviting.InvitationGone):
        inviting.join_as_new(offer, "Nea", ANSWER["password"])

    assert not User.objects.filter(email="nea@example.org").exists()


def test_expired_invitation_is_gone(client, path):
    Invitation.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    assert client.get(path).status_code == 410
    assert client.post(path, ANSWER).status_code == 410
    assert not User.objects.exists()


def test_withdrawn_invitation_is_gone(client, path):
    Invitation.objects.update(withdrawn_at=timezone.now())

    assert client.post(path, ANSWER).status_code == 410


def test_unknown_token_is_gone(client):
    assert client.get(reverse("invitation", args=["no-such-token"])).status_code == 410


def test_weak_password_is_refused_with_a_reason_and_the_name_kept(client, path):
    response = client.post(path, ANSWER | {"password": "short"})

    page = response.content.decode()
    assert response.status_code == 422
    assert "at least 10 characters" in page
    assert 'value="Nea"' in page
    assert not User.objects.exists()


def test_owner_of_the_address_signs_in_first_and_then_gets_the_role(client, finnish, zara):
    _, token = inviting.invite(zara.email, Role.LINGUIST, finnish)
    path = reverse("invitation", args=[token])

    anonymous = client.post(path, ANSWER)
    client.force_login(zara)
    accepted = client.post(path)

    assert anonymous.status_code == 422
    assert reverse("account_login") in anonymous.content.decode()
    assert accepted.status_code == 302
    assert User.objects.get(pk=zara.pk).has_role(finnish, Role.LINGUIST)


def test_another_person_cannot_take_the_invitation(client, path, zara, finnish):
    client.force_login(zara)

    response = client.post(path)

    assert response.status_code == 409
    assert "another e-mail address" in response.content.decode()
    assert not User.objects.get(pk=zara.pk).has_role(finnish, Role.ANNOTATOR)
    assert Invitation.objects.open().count() == 1


def test_token_is_stored_as_a_digest_only(path):
    token = path.rstrip("/").rpartition("/")[2]

    assert token not in str(Invitation.objects.values().get())


def test_role_in_the_form_is_ignored(client, path, finnish):
    client.post(path, ANSWER | {"role": "maintainer", "language": "", "email": "root@example.org", "is_superuser": "1"})

    membership = Membership.objects.get()
    assert (membership.role, membership.language, membership.user.email) == ("annotator", finnish, "nea@example.org")
    assert not membership.user.is_superuser


def test_command_prints_a_link_that_works(client, finnish, capsys):
    call_command(
        "invite", "New@Example.org", "--role", "annotator", "--language", "fi", "--base-url", "https://x.example"
    )

    link = re.search(r"https://x\.example(/\S+)", capsys.readouterr().out)
    assert link
    assert client.post(link[1], ANSWER).status_code == 302
    assert User.objects.get().email == "new@example.org"


def test_inviting_again_ends_the_earlier_link(client, path, finnish):
    call_command("invite", "nea@example.org", "--role", "annotator", "--language", "fi")

    assert client.get(path).status_code == 410
    assert Invitation.objects.open().count() == 1


def test_who_has_the_role_is_not_invited_again(aino, capsys):
    call_command("invite", "aino@example.org", "--role", "annotator", "--language", "fi")

    assert "no invitation is needed" in capsys.readouterr().out
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "--role", "annotator", "--language", "fi"], "not an e-mail address"),
        (["a@example.org", "--role", "annotator", "--language", "xx"], "no language xx"),
        (["a@example.org", "--role", "annotator"], "--language"),
    ],
)
def test_command_says_what_is_wrong(finnish, arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("invite", *arguments)


def test_command_refuses_unknown_roles_as_a_bad_argument(finnish):
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("invite", "a@example.org", "--role", "king", "--language", "fi")
