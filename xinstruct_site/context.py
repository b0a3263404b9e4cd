"""What every page needs to know: whether a worker listens, and which roles the person has."""

from django.http import HttpRequest

from xinstruct_site.people.models import User


def site(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {"memberships": []}
    return {"memberships": user.current_memberships()}
