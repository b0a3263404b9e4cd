"""The contributor agreement: which version counts, who has accepted it, and the gate before what needs it."""

import hashlib
from pathlib import Path
from urllib.parse import urlencode

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from xinstruct_site.people.models import Acceptance, ContributorAgreement, Event, EventKind, User

OURS = Path(__file__).with_name("agreement.md")
# Of every text that was ours, the newest last: who changes the text adds its hash.
OURS_SHA256 = (
    "911c8bc3adc17d247578b423a3c8ae03ea53d1be6f40e3f66630e607e5f2bfee",
    "894e29698366dd1341842e2fe0ac893e4e86abe78e9ed6892e0b3aa9a83d09c4",
)


def current_agreement() -> ContributorAgreement:
    """The newest version; an installation that published none starts with ours."""
    if agreement := ContributorAgreement.current():
        return agreement
    return ContributorAgreement.objects.get_or_create(version=1, defaults={"body": our_text()})[0]


def our_text() -> str:
    return OURS.read_text(encoding="utf-8")


def has_newer() -> bool:
    """Whether what people agree to here was our text once, and ours has changed. A house's own text is its own."""
    published = ContributorAgreement.current()
    return published is not None and digest(published.body) in OURS_SHA256[:-1]


def digest(body: str) -> str:
    return hashlib.sha256(body.replace("\r\n", "\n").encode()).hexdigest()


def publish_ours(by: User) -> ContributorAgreement | None:
    """Have people agree to our newest text from now on; None where they do, or the house has a text of its own."""
    with transaction.atomic():
        published = ContributorAgreement.objects.select_for_update().order_by("-version").first()
        if published is None or not has_newer():
            return None
        agreement = ContributorAgreement.objects.create(
            version=published.version + 1, body=our_text(), licence_id=published.licence_id
        )
        Event.record(EventKind.AGREEMENT_PUBLISHED, agreement, actor=by, version=agreement.version)
    return agreement


NEWEST_IF_ACCEPTED = """
    SELECT agreement_id FROM people_acceptance
     WHERE user_id = %(user)s
       AND agreement_id = (SELECT id FROM people_contributoragreement ORDER BY version DESC LIMIT 1)
"""


def newest_if_accepted(user: User) -> int | None:
    """The key of the newest version that there is, if the person has accepted it. Every submit asks."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST_IF_ACCEPTED, {"user": user.pk})
        row = cursor.fetchone()
    return row[0] if row else None


def accept(user: User, agreement: ContributorAgreement) -> None:
    """Record that the person accepted; accepting twice is accepting once."""
    with transaction.atomic():
        acceptance, is_new = Acceptance.objects.get_or_create(user=user, agreement=agreement)
        if is_new:
            Event.record(EventKind.AGREED, acceptance, actor=user, version=agreement.version)


def agreement_first(request: HttpRequest, user: User) -> HttpResponse | None:
    """The way to the agreement and back here, for people who have not accepted it. For pages that show work, not for
    those that take it: what somebody typed must not be lost to a new version."""
    if newest_if_accepted(user):
        return None
    return redirect(f"{reverse('agreement')}?{urlencode({'next': request.get_full_path()})}")
