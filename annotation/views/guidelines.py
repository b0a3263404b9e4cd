"""`/languages/<code>/guidelines/`: read by everybody of the language, written by its linguists, version by version."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation import auditing
from annotation.diffing import word_diff
from annotation.forms import GuidelinesForm
from annotation.models import Audit
from annotation.views.access import language_for, person
from xinstruct_site.people import guidelines as writing
from xinstruct_site.people.markdown import render
from xinstruct_site.people.models import Direction, GuidelinesVersion, Language, Role

VERSIONS_SHOWN = 100


@require_safe
@login_required
def guidelines(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code)
    if request.method == "GET":
        writing.mark_seen(user, language)
    context = shown(language.guidelines, language.guidelines_language, language)
    context |= {"language": language, "may_edit": user.has_role(language, Role.LINGUIST)}
    return TemplateResponse(request, "annotation/guidelines.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit(request: HttpRequest, code: str) -> HttpResponse:
    """Write, look at it, publish. Asked for a preview by HTMX, it answers with that alone."""
    language = language_for(request, code, Role.LINGUIST)
    form = GuidelinesForm(request.POST or None, language=language, initial=start(request, language))
    rule = suggested_rule(request, language)
    context: dict[str, Any] = {"language": language, "form": form, "rule": rule}
    if request.method != "POST":
        return TemplateResponse(request, "annotation/guidelines_edit.html", context)
    status = 200 if form.is_valid() else 422
    if status == 200:
        data = form.cleaned_data
        context |= {"preview": shown(data["body"], data["written_in"], language)}
        if "preview" not in request.POST:
            try:
                version = writing.publish(language, author=person(request), **data)
            except writing.Outdated as exc:
                status = 409
                context |= {"outdated": exc, "diff": word_diff(exc.current.guidelines, data["body"])}
            except writing.NothingChanged as exc:
                messages.info(request, str(exc))
                return redirect("guidelines", code=language.code)
            else:
                if rule:
                    auditing.close_rule(rule, version=version)
                messages.success(request, _("Published. Annotators are told until they have opened it."))
                return redirect("guidelines", code=language.code)
    wants_preview_only = request.htmx and "preview" in request.POST  # type: ignore[attr-defined]
    template = "annotation/guidelines_edit.html#preview" if wants_preview_only else "annotation/guidelines_edit.html"
    return TemplateResponse(request, template, context, status=status)


@require_safe
@login_required
def history(request: HttpRequest, code: str) -> HttpResponse:
    language = language_for(request, code)
    versions = language.guidelines_versions.select_related("author").defer("body")[:VERSIONS_SHOWN]
    context = {"language": language, "versions": versions, "may_edit": may_edit(request, language)}
    return TemplateResponse(request, "annotation/guidelines_history.html", context)


@require_safe
@login_required
def version(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """One version: what it changed, and what it says."""
    language = language_for(request, code)
    versions = language.guidelines_versions.select_related("author", "language")
    one = get_object_or_404(versions, version=min(number, 2**31 - 1))
    before = writing.former(one)
    context = shown(one.body, one.written_in, language)
    context |= {
        "language": language,
        "version": one,
        "before": before,
        "diff": word_diff(before.body, one.body) if before else [],
        "may_edit": may_edit(request, language),
    }
    return TemplateResponse(request, "annotation/guidelines_version.html", context)


def may_edit(request: HttpRequest, language: Language) -> bool:
    return person(request).has_role(language, Role.LINGUIST)


def start(request: HttpRequest, language: Language) -> dict[str, Any]:
    """What the form opens with: the guidelines as they are, or an old version that is to be taken up again."""
    fresh = {
        "body": language.guidelines,
        "written_in": language.guidelines_language,
        "based_on": language.guidelines_version,
    }
    if rule := suggested_rule(request, language):
        longest_note = GuidelinesVersion._meta.get_field("note").max_length
        body = f"{language.guidelines.rstrip()}\n\n{auditing.as_guideline(rule)}\n".lstrip("\n")
        return fresh | {"body": body, "note": " ".join(rule.rule.split())[:longest_note]}
    taken_up = request.GET.get("from", "")
    if not (taken_up.isascii() and taken_up.isdecimal() and len(taken_up) < 9):
        return fresh
    old = get_object_or_404(language.guidelines_versions, version=int(taken_up))
    return fresh | {"body": old.body, "written_in": old.written_in}


def suggested_rule(request: HttpRequest, language: Language) -> Audit | None:
    """The audit whose suggested rule is about to become part of the guidelines, if it still waits."""
    try:
        asked = uuid.UUID(request.GET.get("rule", ""))
    except ValueError:
        return None
    return auditing.with_open_rules(language).filter(pk=asked).first()


def shown(body: str, written_in: str, language: Language) -> dict[str, Any]:
    """Guidelines as HTML, and the language and direction to show them in."""
    is_own = not written_in or written_in == language.code
    return {
        "guidelines": render(body) if body.strip() else "",
        "guidelines_lang": language.code if is_own else written_in,
        "guidelines_dir": language.direction if is_own else Direction.LTR,
    }
