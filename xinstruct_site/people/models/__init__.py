"""Users, languages, roles, invitations, agreements and events. All else points at these; these point at nothing."""

from xinstruct_site.people.models.agreements import Acceptance, ContributorAgreement
from xinstruct_site.people.models.events import Event, EventKind
from xinstruct_site.people.models.invitations import Invitation, InvitationQuerySet, invitation_expiry, token_digest
from xinstruct_site.people.models.languages import Direction, Language, LanguageQuerySet
from xinstruct_site.people.models.roles import Membership, Role
from xinstruct_site.people.models.rules import GuidelinesSeen, GuidelinesVersion, PolicyVersion
from xinstruct_site.people.models.tokens import ApiToken
from xinstruct_site.people.models.users import AgeRange, Credit, Demographics, Gender, User, UserManager
from xinstruct_site.people.models.varieties import Variety, VarietyKind

__all__ = [
    "Acceptance",
    "AgeRange",
    "ApiToken",
    "ContributorAgreement",
    "Credit",
    "Demographics",
    "Direction",
    "Event",
    "EventKind",
    "Gender",
    "GuidelinesSeen",
    "GuidelinesVersion",
    "Invitation",
    "InvitationQuerySet",
    "Language",
    "LanguageQuerySet",
    "Membership",
    "PolicyVersion",
    "Role",
    "User",
    "UserManager",
    "Variety",
    "VarietyKind",
    "invitation_expiry",
    "token_digest",
]
