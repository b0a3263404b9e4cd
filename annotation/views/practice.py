"""`/practice/<code>/`: a few items with known answers before the first real one, and the page where leads make them."""

from dataclasses import asdict

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import practice as practising
from annotation import screening
from annotation.cards import RUBRIC
from annotation.models import Item, ItemKind, ItemState, Lesson
from annotation.screening_forms import LessonForm, PracticeForm
from annotation.views.access import language_for, person
from xinstruct_site.people.agreements import agreement_first
from xinstruct_site.people.markdown import render
from xinstruct_site.people.models import Language, Role

DECIDED_SHOWN = 20


def practice_first(request: HttpRequest, language: Language) -> HttpResponse | None:
    """The way to the practice, for people who have never worked in the language and not passed it over."""
    if practising.is_due(person(request), language):
        return redirect("practice", code=language.code)
    return None


# For people who begin


@require_safe
@never_cache
@login_required
def practice(request: HttpRequest, code: str) -> HttpResponse:
    """The next practice item; after the last one, how it went; where there is none, work."""
    user, language = person(request), language_for(request, code)
    if first := agreement_first(request, user):
        return first
    if user.is_paused(language):
        return redirect("paused", code=language.code)
    course = practising.course(user, language)
    if not course.lessons:
        return redirect("review", code=language.code)
    if course.next:
        return lesson_page(request, course, course.next, PracticeForm())
    practising.end(user, language, course)  # the last one that was left may have been retired
    if screening.of(user, language):
        return redirect("paused", code=language.code)
    return TemplateResponse(request, "annotation/practice_end.html", {"language": language, "course": course})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def practise(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    """One practice item: the question, or once answered what we expected and why."""
    user, language = person(request), language_for(request, code)
    course = practising.course(user, language)
    lesson = next((lesson for lesson in course.lessons if lesson.item.public_id == public_id), None)
    if lesson is None:
        get_object_or_404(Item, language=language, public_id=public_id, kind=ItemKind.PRACTICE)
        return redirect("practice", code=language.code)  # retired while somebody was at it
    if request.method != "POST" or lesson.item_id in course.answers:
        return lesson_page(request, course, lesson, PracticeForm())
    form = PracticeForm(request.POST)
    if not form.is_valid():
        return lesson_page(request, course, lesson, form, status=422)
    practising.answer(user, lesson, **form.cleaned_data)
    return redirect(f"{request.path}#answer")  # on a phone the answer lies below the text


@require_POST
@login_required
def finish(request: HttpRequest, code: str) -> HttpResponse:
    """To work, be it through or not."""
    user, language = person(request), language_for(request, code)
    if not practising.may_pass_over(user, language):
        return redirect("practice", code=language.code)
    practising.finish(user, language)
    return redirect("review", code=language.code)


@require_POST
@login_required
def start_over(request: HttpRequest, code: str) -> HttpResponse:
    user, language = person(request), language_for(request, code)
    if practising.may_pass_over(user, language):
        practising.start_over(user, language)
    return redirect("practice", code=language.code)


def lesson_page(
    request: HttpRequest, course: practising.Course, lesson: Lesson, form: PracticeForm, *, status: int = 200
) -> HttpResponse:
    question, levels = RUBRIC["overall"]
    answer = course.answers.get(lesson.item_id)
    context = {
        "language": lesson.item.language,
        "lesson": lesson,
        "text": lesson.item.text,
        "form": form,
        "question": question,
        "levels": [(str(level), meaning) for level, meaning in enumerate(levels, 1)],
        "number": [one.pk for one in course.lessons].index(lesson.pk) + 1,
        "total": len(course.lessons),
        "answer": answer,
        "may_pass_over": practising.may_pass_over(person(request), lesson.item.language),
        "explanation": render(lesson.explanation) if answer else "",
    }
    return TemplateResponse(request, "annotation/practice.html", context, status=status)


# For a language's leads


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def lessons(request: HttpRequest, code: str) -> HttpResponse:
    """The language's practice items, and the form of a new one: from a decided item (`?item=`), or written here."""
    language = language_for(request, code, Role.LINGUIST)
    like = get_object_or_404(decided(language), public_id=request.GET["item"]) if request.GET.get("item") else None
    initial = asdict(practising.sketch_of(like)) if like else {"overall": "4"}
    form = LessonForm(request.POST or None, language=language, from_item=like, initial=initial)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                practising.make_lesson(
                    language, practising.Sketch(**form.cleaned_data), made_by=person(request), like=like
                )
            except practising.PracticeError as exc:
                form.add_error(None, str(exc))
            else:
                messages.success(request, _("The practice item is in use."))
                return redirect("lessons", code=language.code)
    context = {
        "language": language,
        "lessons": practising.lessons_of(language),
        "form": form,
        "like": like,
        "decided": [] if like else decided(language).order_by("-decided_at")[:DECIDED_SHOWN],
    }
    return TemplateResponse(request, "annotation/practice_items.html", context, status=status)


@require_POST
@login_required
def retire(request: HttpRequest, code: str, public_id: str) -> HttpResponse:
    language = language_for(request, code, Role.LINGUIST)
    lesson = get_object_or_404(
        Lesson.objects.select_related("item__language"), item__language=language, item__public_id=public_id
    )
    if practising.retire(lesson, by=person(request)):
        messages.success(request, _("The item is out of practice."))
    return redirect("lessons", code=language.code)


def decided(language: Language) -> QuerySet[Item]:
    """Items whose answer is known and not waited for by anybody."""
    return Item.objects.filter(
        language=language,
        kind=ItemKind.NORMAL,
        state__in=[ItemState.ACCEPTED, ItemState.REJECTED],
        decided_at__isnull=False,
        text__withdrawn_at=None,
    ).select_related("text")
