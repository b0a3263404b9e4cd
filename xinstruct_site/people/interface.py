"""The language that the pages speak to a person: kept on the account, carried by the browser."""

from django.conf import settings
from django.http import HttpResponse


def language_cookie(response: HttpResponse, code: str) -> HttpResponse:
    """Let the browser carry the choice, so that pages speak it before and after sign-in."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=365 * 24 * 3600,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return response
