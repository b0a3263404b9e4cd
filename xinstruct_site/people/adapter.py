"""How allauth behaves here: nobody signs up, people are invited; signing in brings one's interface language along."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest, HttpResponse

from xinstruct_site.people.interface import language_cookie
from xinstruct_site.people.models import User


class ClosedRegistrationAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response = super().post_login(request, user, **kwargs)
        if user.interface_language:
            language_cookie(response, user.interface_language)
        return response
