"""Who may see which language. What a person may not see does not exist for them: 404, whatever the headers."""

from typing import cast

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from xinstruct_site.people.models import Language, Role, User


def person(request: HttpRequest) -> User:
    """The signed-in person; for views behind login_required."""
    return cast("User", request.user)


def language_for(request: HttpRequest, code: str, *roles: Role) -> Language:
    """The language, if the person holds one of the roles in it; without roles named, any role will do."""
    allowed = set(roles) or {Role.ANNOTATOR, Role.LINGUIST, Role.MAINTAINER}
    for membership in person(request).current_memberships():  # read with the roles already, for most people
        if membership.language and membership.language.code == code and membership.role in {*allowed, Role.MAINTAINER}:
            return membership.language
    return get_object_or_404(Language.objects.for_roles(person(request), {*allowed, Role.MAINTAINER}), code=code)
