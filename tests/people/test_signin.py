"""One-time sign-in links, and who may come in without one."""

import datetime as dt
import re

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_user
from xinstruct_site.people.signin import sign_in_link

pytestmark = pytest.mark.django_db


def signed_in(client: Client) -> bool:
    return SESSION_KEY in client.session


def path_for(user) -> str:
    return sign_in_link(user, "http://testserver/").removeprefix("http://testserver")


def test_opening_a_link_signs_nobody_in_and_keeps_it_alive(client, aino):
    path = path_for(aino)

    first, second = client.get(path), client.get(path)

    assert first.status_code == second.status_code == 200
    assert not signed_in(client)


def test_pressing_the_button_signs_in_once(client, aino):
    path = path_for(aino)

    response = client.post(path)

    assert response.status_code == 302
    assert client.session[SESSION_KEY] == str(aino.pk)
    again = Client()
    assert again.post(path).status_code == 410
    assert again.get(path).status_code == 410
    assert not signed_in(again)


def test_link_made_in_the_second_of_a_sign_in_dies_with_its_use_too(client, aino):
    now = timezone.now()
    aino.last_login = now.replace(microsecond=1)
    aino.save(update_fields=["last_login"])
    path = path_for(aino)

    aino.last_login = now.replace(microsecond=2)
    aino.save(update_fields=["last_login"])

    assert client.post(path).status_code == 410


def test_link_ends_after_some_days(client, aino, monkeypatch):
    path = path_for(aino)
    later = dt.datetime.now() + dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT + 60)
    monkeypatch.setattr("django.contrib.auth.tokens.PasswordResetTokenGenerator._now", lambda self: later)

    assert client.post(path).status_code == 410


def test_link_of_one_person_opens_nobody_else(client, aino, zara):
    path = path_for(aino).replace(aino.public_id, zara.public_id)

    assert client.post(path).status_code == 410
    assert not signed_in(client)


def test_closed_account_gets_in_by_no_link(client, aino):
    path = path_for(aino)
    aino.is_active = False
    aino.save(update_fields=["is_active"])

    assert client.post(path).status_code == 410
    assert not signed_in(client)


def test_link_does_not_go_around_the_second_step(client, aino):
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    TOTP.activate(aino, generate_totp_secret())

    response = client.post(path_for(aino))

    assert response.url.startswith(reverse("mfa_authenticate"))
    assert not signed_in(client)


def test_signing_in_by_address_and_password(client, aino):
    response = client.post(reverse("account_login"), {"login": "Aino@Example.org", "password": "a long password"})

    assert response.status_code == 302
    assert signed_in(client)


def test_nobody_signs_up(client):
    page = client.get(reverse("account_signup"))
    sent = client.post(
        reverse("account_signup"),
        {"email": "new@example.org", "password1": "a very long password", "password2": "a very long password"},
    )

    assert "invitation" in page.content.decode()
    assert not signed_in(client)
    assert sent.status_code == 200
    assert "invitation" in sent.content.decode()


def test_every_account_page_has_our_frame(client, aino):
    client.force_login(aino)

    for name in ("profile", "agreement", "account_change_password", "account_email", "mfa_index", "account_logout"):
        response = client.get(reverse(name), follow=True)

        assert response.status_code == 200, name
        assert 'class="brand"' in response.content.decode(), name


def test_interface_language_is_kept_on_the_account_and_in_the_browser(client, aino):
    client.force_login(aino)

    response = client.post(reverse("interface_language"), {"code": "ur", "next": "/account/"})

    aino.refresh_from_db()
    assert aino.interface_language == "ur"
    assert response.cookies[settings.LANGUAGE_COOKIE_NAME].value == "ur"
    assert response.url == "/account/"
    page = client.get("/account/").content.decode()
    assert re.search(r'<html lang="ur"\s+dir="rtl">', page)


def test_signing_in_brings_the_interface_language_along(client, finnish):
    user = make_user("far@example.org", finnish)
    user.interface_language = "fi"
    user.save(update_fields=["interface_language"])

    response = client.post(reverse("account_login"), {"login": user.email, "password": "a long password"})

    assert response.cookies[settings.LANGUAGE_COOKIE_NAME].value == "fi"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_nobody_is_sent_to_another_site(client, target):
    assert client.post(reverse("interface_language"), {"code": "fi", "next": target}).url == "/"


def test_name_shown_to_others_is_escaped_everywhere(client, aino):
    client.force_login(aino)
    client.post(reverse("profile"), {"display_name": "<script>x</script>", "interface_language": "en"})

    for path in ("/", "/account/"):
        assert "<script>x" not in client.get(path).content.decode()
