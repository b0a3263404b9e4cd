"""`/`: what this is for visitors, the next item for annotators, the whole pipeline for maintainers."""

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from annotation import attention, comments, queues, voting
from annotation.overview import pipelines
from generation.queueing import live_workers
from xinstruct_site.people import agreements, guidelines
from xinstruct_site.people.models import Language, Role, User


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    user = request.user
    if not isinstance(user, User):
        return TemplateResponse(request, "annotation/welcome.html")
    own = waiting_for(user)
    to_compare = voting.waiting(user, [language for language, _waiting in own])
    context: dict[str, object] = {
        "notices": list(guidelines.unseen(user, [language for language, _waiting in own]).values()),
        "cards": [
            {
                "language": language,
                "progress": queues.progress(user, language),
                "waiting": waiting,
                "to_compare": to_compare.get(language.pk, 0),
                "to_decide": for_linguists(user, language),
                "questions": comments.news(user, language),
            }
            for language, waiting in own
        ],
    }
    if user.has_role(None, Role.MAINTAINER):
        workers = live_workers("cpu")
        context |= {
            "pipelines": pipelines(Language.objects.for_roles(user, {Role.MAINTAINER})),
            "queue_unreachable": workers is None,
            "no_worker": workers == [],
            "has_newer_agreement": user.is_maintainer_of_all and agreements.has_newer(),
        }
    return TemplateResponse(request, "annotation/home.html", context)


def waiting_for(user: User) -> list[tuple[Language, int]]:
    """The languages in which the person reviews by role (a maintainer of all sees them in the pipeline instead)."""
    own = [m.language for m in user.current_memberships() if m.language and m.role != Role.MAINTAINER]
    languages = list(dict.fromkeys(own))
    return [(language, queues.free_items(user, language)) for language in languages]


def for_linguists(user: User, language: Language) -> dict[str, str] | None:
    """How much of what waits for this person's decision; None where they are no linguist there."""
    return attention.waiting(user, language) if user.has_role(language, Role.LINGUIST) else None
