"""`/api/v1/`: what a maintainer's programs use. The same rooms as the pages, a token in place of a session.

Its description is at /api/v1/openapi.json, to be read and tried at /api/v1/docs.
"""

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.security import HttpBearer

from annotation.api import router as people_router
from generation.api import router as machine_router
from xinstruct_site.people.models import ApiToken

READS = {"GET", "HEAD", "OPTIONS"}


class Token(HttpBearer):
    """A person's token, as made under /account/tokens/. From here on the request is that person's."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = ApiToken.of(token)
        if found is None:
            return None
        if request.method not in READS and not found.may_write:
            raise HttpError(403, "This token may only read. Make one that may change things, too.")
        request.user = found.user
        return found


api = NinjaAPI(
    title="xinstruct",
    version="1",
    description=(
        "Texts in, work and releases out. Send a token of yours (`/account/tokens/`) as `Authorization: Bearer …`: it "
        "sees what you see. Lists are newest first and go on after the `id` that is given as `after`."
    ),
    auth=Token(),
)
api.add_router("", people_router)
api.add_router("", machine_router)
