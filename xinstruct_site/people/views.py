"""Pages about people: signing in with a link, joining by invitation, the agreement, one's profile."""

from typing import cast

from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from xinstruct_site.people import agreements, inviting, signin
from xinstruct_site.people.forms import ApiTokenForm, DemographicsForm, InterfaceLanguageForm, JoinForm, ProfileForm
from xinstruct_site.people.interface import language_cookie
from xinstruct_site.people.markdown import render
from xinstruct_site.people.models import ApiToken, Demographics, Event, EventKind, Invitation, User


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def sign_in_link(request: HttpRequest, public_id: str, token: str) -> HttpResponse:
    user = User.objects.filter(public_id=public_id, is_active=True).first()
    if request.method == "POST" and user:
        # The row is locked so that of two presses at once only one finds the token alive.
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=user.pk)
            if signin.tokens.check_token(user, token):
                return perform_login(request, user)
    if not user or not signin.tokens.check_token(user, token):
        return TemplateResponse(request, "account/link_gone.html", status=410)
    return TemplateResponse(request, "account/sign_in_link.html", {"person": user})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("password")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    offer = Invitation.objects.for_token(token).select_related("language", "invited_by").first()
    if not offer:
        return TemplateResponse(request, "account/invitation_gone.html", status=410)
    user = request.user if isinstance(request.user, User) else None
    form = JoinForm(request.POST or None, email=offer.email)
    context = {"offer": offer, "form": form, "has_account": inviting.account_for(offer) is not None}
    status = 200
    if request.method == "POST":
        try:
            if user:
                inviting.join_as(offer, user)
                return redirect("home")
            if not context["has_account"] and form.is_valid():
                user = inviting.join_as_new(offer, form.cleaned_data["display_name"], form.cleaned_data["password"])
                return perform_login(request, user)
            status = 422
        except inviting.InvitationGone:
            return TemplateResponse(request, "account/invitation_gone.html", status=410)
        except inviting.WrongAddress as exc:
            messages.error(request, str(exc))
            status = 409
    context["other_address"] = bool(user and user.email.lower() != offer.email)
    return TemplateResponse(request, "account/invitation.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def agreement(request: HttpRequest) -> HttpResponse:
    user = cast("User", request.user)
    current = agreements.current_agreement()
    if request.method == "POST":
        version = request.POST.get("version", "")
        if version != str(current.version):
            messages.warning(request, _("The text has changed since you opened it. Please read the new version."))
        else:
            agreements.accept(user, current)
            return redirect(safe_next(request))
    context = {
        "agreement": current,
        "body": render(current.body),
        "accepted": user.acceptances.filter(agreement=current).first(),
        "next": safe_next(request),
    }
    return TemplateResponse(request, "account/agreement.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def newer_agreement(request: HttpRequest) -> HttpResponse:
    """Our text where it is newer than the one that people agree to here. For maintainers of all, to publish."""
    user = cast("User", request.user)
    if not user.is_maintainer_of_all:
        raise PermissionDenied
    if request.method == "POST":
        if published := agreements.publish_ours(user):
            messages.success(request, _("Version %(number)s is published.") % {"number": published.version})
        return redirect("agreement")
    context = {
        "agreement": agreements.current_agreement(),
        "body": render(agreements.our_text()),
        "has_newer": agreements.has_newer(),
    }
    return TemplateResponse(request, "account/newer_agreement.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    user = cast("User", request.user)
    shown = {"interface_language": user.interface_language or get_language()}
    form = ProfileForm(request.POST or None, instance=user, initial=shown)
    if request.method == "POST" and form.is_valid():
        form.save()
        code = form.cleaned_data["interface_language"]
        with override(code):
            messages.success(request, _("Saved."))
        return language_cookie(redirect("profile"), code)
    about = DemographicsForm(instance=Demographics.objects.filter(user=user).first())
    return _profile_page(request, form, about)


@require_POST
@login_required
def demographics(request: HttpRequest) -> HttpResponse:
    """What one says of oneself, kept or deleted."""
    user = cast("User", request.user)
    known = Demographics.objects.filter(user=user)
    if "delete" in request.POST:
        known.delete()
        messages.success(request, _("What you said about yourself is deleted."))
        return redirect("profile")
    about = DemographicsForm(request.POST, instance=known.first())
    if not about.is_valid():
        shown = {"interface_language": user.interface_language or get_language()}
        return _profile_page(request, ProfileForm(instance=user, initial=shown), about)
    Demographics.objects.update_or_create(user=user, defaults=about.cleaned_data)
    messages.success(request, _("Saved."))
    return redirect("profile")


def _profile_page(request: HttpRequest, form: ProfileForm, about: DemographicsForm) -> HttpResponse:
    status = 422 if form.errors or about.errors else 200
    return TemplateResponse(request, "account/profile.html", {"form": form, "about": about}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """The tokens that a person's programs use; a new one's secret is on this answer and nowhere else."""
    user = cast("User", request.user)
    form = ApiTokenForm(request.POST or None)
    made, secret = None, ""
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            made, secret = ApiToken.issue(user, form.cleaned_data["name"], may_write=form.cleaned_data["may_write"])
            Event.record(EventKind.TOKEN_MADE, made, actor=user)
        form = ApiTokenForm()
    context = {"form": form, "made": made, "secret": secret, "tokens": user.api_tokens.filter(revoked_at=None)}
    return TemplateResponse(request, "account/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    user = cast("User", request.user)
    token = get_object_or_404(ApiToken, pk=pk, user=user)
    if token.revoke():
        Event.record(EventKind.TOKEN_REVOKED, token, actor=user)
    messages.success(request, _("“%(name)s” opens nothing any more.") % {"name": token.name})
    return redirect("tokens")


@require_POST
def interface_language(request: HttpRequest) -> HttpResponse:
    response = redirect(safe_next(request))
    form = InterfaceLanguageForm(request.POST)
    if form.is_valid():
        code = form.cleaned_data["code"]
        if isinstance(request.user, User):
            User.objects.filter(pk=request.user.pk).update(interface_language=code)
        return language_cookie(response, code)
    return response


def safe_next(request: HttpRequest) -> str:
    """Where the person came from, if that is a page of ours."""
    target = request.POST.get("next") or request.GET.get("next") or "/"
    ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if ours else "/"
