"""What every page needs to know: which roles the person has, and whether the machine's pages are for them."""

from django.http import HttpRequest

from xinstruct_site.people.models import Role, User


def site(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {"memberships": [], "is_maintainer": False}
    return {"memberships": user.current_memberships(), "is_maintainer": user.has_role(None, Role.MAINTAINER)}
