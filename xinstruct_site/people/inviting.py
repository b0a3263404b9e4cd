"""Who comes in, and how: an invitation becomes an account, or a further role of an account that is there already."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from xinstruct_site.people.models import Event, EventKind, Invitation, Language, Membership, User


class InvitationGone(Exception):
    """Used, withdrawn or expired, perhaps a moment ago."""


class WrongAddress(Exception):
    """Somebody else's invitation. The message is for the person who opened it."""


def invite(email: str, role: str, language: Language | None, invited_by: User | None = None) -> tuple[Invitation, str]:
    """Offer a role; an open invitation for the same ends, since its link cannot be shown again."""
    address = email.strip().lower()
    with transaction.atomic():
        Invitation.objects.open().filter(email=address, role=role, language=language).update(
            withdrawn_at=timezone.now()
        )
        invitation, token = Invitation.issue(email=address, role=role, language=language, invited_by=invited_by)
        Event.record(EventKind.INVITED, invitation, actor=invited_by, language=language, role=role)
    return invitation, token


def withdraw(invitation: Invitation, by: User) -> bool:
    """Take an open offer back. False where it was used, withdrawn or expired meanwhile."""
    with transaction.atomic():
        won = Invitation.objects.open().filter(pk=invitation.pk).update(withdrawn_at=timezone.now())
        if won:
            Event.record(EventKind.INVITATION_WITHDRAWN, invitation, actor=by, language=invitation.language)
    return bool(won)


def join_as_new(invitation: Invitation, display_name: str, password: str) -> User:
    """Make the account that the invitation is for.

    Raises:
        InvitationGone: somebody was faster.
        WrongAddress: the address has an account by now, whose owner should sign in.
    """
    with transaction.atomic():
        if account_for(invitation):
            raise WrongAddress(_("This address has an account already. Sign in, then open the link again."))
        user = User.objects.create_user(invitation.email, password, display_name=display_name)
        _use(invitation, user)
    return user


def join_as(invitation: Invitation, user: User) -> None:
    """Give the invited role to an account that exists.

    Raises:
        InvitationGone: somebody was faster.
        WrongAddress: the invitation is for another address.
    """
    if user.email.lower() != invitation.email:
        raise WrongAddress(_("This invitation is for another e-mail address."))
    with transaction.atomic():
        _use(invitation, user)


def account_for(invitation: Invitation) -> User | None:
    return User.objects.filter(email__iexact=invitation.email).first()


def _use(invitation: Invitation, user: User) -> None:
    won = Invitation.objects.open().filter(pk=invitation.pk).update(used_at=timezone.now(), used_by=user)
    if not won:
        raise InvitationGone
    membership, _is_new = Membership.objects.get_or_create(
        user=user,
        language=invitation.language,
        role=invitation.role,
        defaults={"granted_by": invitation.invited_by},
    )
    Event.record(EventKind.JOINED, membership, actor=user, language=invitation.language, role=invitation.role)
