"""`/languages/<code>/policy/`: how many reviews an item asks for and whose, what a choice means here, and versions."""

from dataclasses import asdict

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from annotation import policies
from annotation.policies import Policy
from annotation.policy_forms import PolicyForm
from annotation.views.access import language_for, person
from xinstruct_site.people.models import Role

VERSIONS_SHOWN = 50
# What most languages choose among; others can be typed in.
COMMON = [
    Policy(2, 2), Policy(3, 2), Policy(2, 1), Policy(1, 1), Policy(2, 2, recheck_days=14),
    Policy(1, 1, linguists_only=True),
]  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def policy(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code, Role.LINGUIST)
    standing = policies.of(language)
    start = asdict(standing) | {"alone": policies.alone_in(language), "based_on": language.policy_version}
    form = PolicyForm(request.POST or None, language=language, initial=start)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            data = form.cleaned_data
            try:
                policies.change(
                    language, data["policy"], data["alone"], note=data["note"], author=user, based_on=data["based_on"]
                )
            except policies.PolicyError as exc:
                form.add_error(None, str(exc))
                status = 409
            else:
                messages.success(request, _("Changed. It holds for items opened from now on."))
                return redirect("policy", code=language.code)
    found = policies.numbers(language)
    by_version = policies.open_by_version(language)
    context = {
        "language": language,
        "form": form,
        "standing": standing,
        "numbers": found,
        "days": policies.DAYS,
        "forecasts": [policies.forecast(each, found) for each in dict.fromkeys([standing, *COMMON])],
        "open": by_version,
        "open_under_old": sum(row[-1] for row in by_version if row[0] != language.policy_version),
        "versions": language.policy_versions.select_related("author").prefetch_related("alone")[:VERSIONS_SHOWN],
    }
    return TemplateResponse(request, "annotation/policy.html", context, status=status)
