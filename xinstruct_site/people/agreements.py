"""The contributor agreement: which version counts, who has accepted it, and the gate before what needs it."""

from pathlib import Path
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from xinstruct_site.people.models import Acceptance, ContributorAgreement, Event, EventKind, User

FIRST_VERSION = Path(__file__).with_name("agreement.md")


def current_agreement() -> ContributorAgreement:
    """The newest version; an installation that published none starts with ours."""
    if agreement := ContributorAgreement.current():
        return agreement
    body = FIRST_VERSION.read_text(encoding="utf-8")
    return ContributorAgreement.objects.get_or_create(version=1, defaults={"body": body})[0]


def accepted_agreement(user: User) -> ContributorAgreement | None:
    """The newest version that there is, if the person has accepted it."""
    has_accepted = Exists(Acceptance.objects.filter(agreement=OuterRef("pk"), user=user))
    newest = ContributorAgreement.objects.annotate(is_accepted=has_accepted).order_by("-version").defer("body").first()
    return newest if newest and newest.is_accepted else None


def accept(user: User, agreement: ContributorAgreement) -> None:
    """Record that the person accepted; accepting twice is accepting once."""
    with transaction.atomic():
        acceptance, is_new = Acceptance.objects.get_or_create(user=user, agreement=agreement)
        if is_new:
            Event.record(EventKind.AGREED, acceptance, actor=user, version=agreement.version)


def agreement_first(request: HttpRequest, user: User) -> HttpResponse | None:
    """The way to the agreement and back here, for people who have not accepted it. For pages that show work, not for
    those that take it: what somebody typed must not be lost to a new version."""
    if accepted_agreement(user):
        return None
    return redirect(f"{reverse('agreement')}?{urlencode({'next': request.get_full_path()})}")
