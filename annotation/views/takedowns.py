"""`/take-down/`: what has to go, from everywhere."""

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import taking_down
from annotation.release_forms import CONTRIBUTOR, TakeDownForm
from generation.models import TakeDown, TakeDownKind
from generation.views.access import MaintainerRequest, maintainers_only

SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def take_down(request: MaintainerRequest) -> HttpResponse:
    """The form, what it did, and what was taken down before. For maintainers of all: an address knows no languages."""
    if not request.user.is_maintainer_of_all:
        raise PermissionDenied
    form, done = TakeDownForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        about = {"reason": asked["reason"], "by": request.user}
        if asked["kind"] == CONTRIBUTOR:
            done = taking_down.take_down_contributor(asked["person"], **about)
        else:
            done = taking_down.take_down(TakeDownKind(asked["kind"]), asked["given"], **about)
    context = {
        "form": TakeDownForm() if done else form,
        "done": done,
        "counts": [(name, done.counts[name]) for name in taking_down.COUNTED] if done else [],
        "entries": TakeDown.objects.filter(because_of=None)[:SHOWN],
    }
    return TemplateResponse(request, "annotation/take_down.html", context, status=422 if form.errors else 200)
