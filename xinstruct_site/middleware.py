"""What every response needs: the person's interface language, what HTMX expects of redirects, a word on NULs."""

from collections.abc import Callable

from django.contrib.messages import get_messages
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseRedirectBase
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.defaults import bad_request
from django_htmx.http import HttpResponseClientRedirect

GetResponse = Callable[[HttpRequest], HttpResponse]


class InterfaceLanguageMiddleware:
    """Speaks the language the person chose (on the account, mirrored in a cookie), else the browser's, else English."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        code = translation.get_language_from_request(request)
        with translation.override(code):
            request.LANGUAGE_CODE = code
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", code)
        patch_vary_headers(response, ["Accept-Language"])
        return response


class HtmxResponseMiddleware:
    """Keeps fragments and full pages apart in caches, turns redirects into full-page ones, adds pending messages."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        if not request.headers.get("HX-Request"):
            return response
        if isinstance(response, HttpResponseRedirectBase) and response.status_code in {301, 302, 303}:
            # A login form must not land inside the editor: the browser goes to the page instead.
            redirect = HttpResponseClientRedirect(response.url)
            redirect.cookies = response.cookies
            return redirect
        is_html = response.headers.get("Content-Type", "").startswith("text/html")
        if is_html and not response.streaming and response.content and (messages := list(get_messages(request))):
            response.write(render_to_string("partials/messages.html", {"messages": messages, "out_of_band": True}))
        return response


class NulMiddleware:
    """Nothing that we keep has a NUL in it, so whoever asks for an id with one asks wrongly, and nothing broke."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        is_nul = isinstance(exception, DataError) and "NUL (0x00)" in str(exception)
        return bad_request(request, exception) if is_nul else None
