"""`/evaluations/`: question sets, what models made of them, and the report of one model. For maintainers.

Files are read within the request, so they are small; the command takes any size. Models answer in a worker.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import acceptance, duels
from annotation.evaluation_forms import AnswersForm, DuelForm, LicenceForm, ModelForm, QuestionsForm, SplitForm
from annotation.models import Duel
from generation import evaluation, jobs, jsonl, loading, questions, queueing
from generation.backends.base import BackendError
from generation.charts import IntervalChart, interval_chart
from generation.intervals import Rate
from generation.models import Evaluation, JobState, ModelVersion, QuestionSet, Task
from generation.views.access import MaintainerRequest, maintained_languages, maintainers_only
from generation.views.banner import worker_banner
from xinstruct_site.people.models import Event, EventKind, Language

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One model in one language as a table shows it; `gained`: by how much its loss is below its base's."""

    evaluation: Evaluation
    language: Language
    figures: dict[str, Any]
    gained: Rate | None


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def evaluations(request: MaintainerRequest) -> HttpResponse:
    """The question sets, and the forms that make one of a file or of a release's test split."""
    languages = maintained_languages(request.user)
    sent = request.POST if request.method == "POST" else None
    of_release = "release" in request.POST
    form = QuestionsForm(None if of_release else sent, request.FILES or None, languages=languages)
    split = SplitForm(sent if of_release else None, languages=languages, auto_id="split_%s")
    status, refusal = 200, ""
    if request.method == "POST":
        status, asked = 422, split if of_release else form
        taken = QuestionSet.objects.exclude(pk__in=QuestionSet.objects.within(languages))
        if asked.is_valid():
            cleaned = asked.cleaned_data
            if taken.filter(name=cleaned["name"]).exists():
                asked.add_error("name", _("There is a question set of this name already. Choose another."))
            elif not of_release:
                return import_questions(request, cleaned, languages)
            else:
                try:
                    made, _new = questions.from_release(cleaned["release"], cleaned["name"], request.user)
                    return redirect("question_set", made.public_id)
                except questions.QuestionError as exc:
                    status, refusal = 409, str(exc)
    found = QuestionSet.objects.within(languages).annotate(number=Count("questions"))
    context = {"form": form, "split": split, "refusal": refusal, "sets": found[:SHOWN]}
    return TemplateResponse(request, "generation/evaluations.html", context, status=status)


def import_questions(request: MaintainerRequest, asked: dict[str, Any], languages: Any) -> HttpResponse:
    made, done = questions.import_questions(
        [source_of(asked["file"])],
        asked["name"],
        language=asked["language"],
        source=asked["source"],
        licence=asked["licence"],
        written_in=asked["written_in"],
        within=languages,
        created_by=request.user,
    )
    say(request, done)
    return redirect("question_set", made.public_id)


def source_of(file: Any) -> jsonl.Source:
    return jsonl.stream_source(file.name, file.file)


def say(request: MaintainerRequest, done: questions.Imported) -> None:
    """What became of the rows of a file."""
    tally = done.tally
    counts = {"read": tally.read, "stored": tally.stored, "duplicate": tally.duplicate}
    messages.success(
        request, _("%(read)s rows read: %(stored)s stored, %(duplicate)s there already.") % counts
    )  # fmt: skip
    for reason, number in tally.rejected.most_common():
        messages.warning(request, f"{number} × {questions.Reason(reason).label}")


@require_http_methods(["GET", "HEAD", "POST"])
@maintainers_only
def question_set(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """One set: what was answered and counted, its duels, and the forms for more of each."""
    languages = maintained_languages(request.user)
    one = get_object_or_404(QuestionSet.objects.within(languages), public_id=public_id)
    asked = request.POST.get("do", "")
    forms = set_forms(request, one, languages, asked)
    status, refusal = 200, ""
    if request.method == "POST":
        status, form = 422, forms.get(asked)
        if form is not None and form.is_valid():
            try:
                return act(request, one, asked, form.cleaned_data)
            except (queueing.NoWorker, evaluation.EvaluationError, BackendError, duels.DuelError) as exc:
                status, refusal = 409, str(exc)
    rows = one.evaluations.select_related("model_version__fine_tune_run").order_by("pk")
    lines = table(rows, languages)
    context = {
        "set": one,
        "forms": forms,
        "asked": asked,
        "refusal": refusal,
        "counts": one.questions.values_list("language__name").annotate(n=Count("pk")).order_by("language__name"),
        "evaluations": rows,
        "is_going_on": any(row.state in {JobState.QUEUED, JobState.RUNNING} for row in rows),
        "lines": lines,
        "chart": language_chart(lines),
        "duels": one.duels.filter(language__in=languages).select_related("language", "base", "rival"),
        **worker_banner(jobs.EVALUATION_QUEUE),
    }
    return TemplateResponse(request, "generation/question_set.html", context, status=status)


def set_forms(request: MaintainerRequest, one: QuestionSet, languages: Any, asked: str) -> dict[str, Any]:
    """The forms of the page; what was posted goes to the one that it is for."""

    def sent(name: str) -> tuple[Any, Any]:
        return (request.POST, request.FILES) if request.method == "POST" and asked == name else (None, None)

    here = languages.filter(pk__in=one.questions.values("language"))
    models = ModelVersion.objects.within(languages).filter(task=Task.ANSWER)
    answering = models.filter(pk__in=models.filter(answers__question__question_set=one))
    return {
        "answers": AnswersForm(*sent("answers"), languages=here, auto_id="answers_%s"),
        "run": ModelForm(sent("run")[0], models=models.runnable()[:SHOWN], auto_id="run_%s"),
        "duel": DuelForm(sent("duel")[0], languages=here, answering=answering, auto_id="duel_%s"),
    }


def act(request: MaintainerRequest, one: QuestionSet, asked: str, cleaned: dict[str, Any]) -> HttpResponse:
    """Do what a valid form asks for."""
    if asked == "answers":
        model, done = questions.import_answers(
            [source_of(cleaned["file"])],
            one,
            cleaned["model"],
            licence=cleaned["licence"],
            language=cleaned["language"],
        )
        say(request, done)
        if done.tally.stored:  # nothing to ask: counting them takes a moment
            evaluation.evaluate(evaluation.open_evaluation(one, model, request.user))
    elif asked == "run":
        start_evaluation(request, one, cleaned["model"])
    else:
        duel = duels.open_duel(
            one, cleaned["language"], cleaned["base"], cleaned["rival"], overlap=cleaned["overlap"],
            created_by=request.user,
        )  # fmt: skip
        return redirect("duel_report", duel.language.code, duel.public_id)
    return redirect("question_set", one.public_id)


def start_evaluation(request: MaintainerRequest, one: QuestionSet, model: ModelVersion | None) -> None:
    queueing.demand_worker(jobs.EVALUATION_QUEUE)
    version = model or loading.model_version(settings.BACKEND, settings.MODEL, task=Task.ANSWER)[0]
    with transaction.atomic():
        row = evaluation.open_evaluation(one, version, request.user)
        if row.state == JobState.QUEUED and not queueing.is_waiting(row):
            queueing.ring(jobs.evaluate_model, row, jobs.EVALUATION_QUEUE)
    if row.state == JobState.DONE:
        messages.info(request, _("This model has answered every question already."))


@require_POST
@maintainers_only
def stop(request: MaintainerRequest, public_id: str, row_id: str) -> HttpResponse:
    if evaluation.stop(get_evaluation(request, public_id, row_id), request.user):
        messages.success(request, _("Stopped. What was answered is kept."))
    return redirect("question_set", public_id)


@require_POST
@maintainers_only
def go_on(request: MaintainerRequest, public_id: str, row_id: str) -> HttpResponse:
    row = get_evaluation(request, public_id, row_id)
    try:
        start_evaluation(request, row.question_set, row.model_version)
    except (queueing.NoWorker, evaluation.EvaluationError) as exc:
        messages.error(request, str(exc))
    return redirect("question_set", public_id)


def get_evaluation(request: MaintainerRequest, public_id: str, row_id: str) -> Evaluation:
    sets = QuestionSet.objects.within(maintained_languages(request.user)).filter(public_id=public_id)
    return get_object_or_404(Evaluation, public_id=row_id, question_set__in=sets)


def table(rows: Any, languages: Any) -> list[Line]:
    """Models side by side per language, each beside the model that it was trained from where both were evaluated."""
    by_code = {language.code: language for language in languages}
    of_model = {(row.question_set_id, row.model_version_id): row for row in rows}
    lines = []
    for row in rows:
        base = of_model.get((row.question_set_id, base_of(row.model_version)))
        for code, said in row.figures.items():
            if code in by_code:
                gained = evaluation.gained(base.figures.get(code, {}), said) if base else None
                lines.append(Line(row, by_code[code], said, gained))
    return sorted(lines, key=lambda line: line.language.name)


def base_of(model: ModelVersion) -> int | None:
    """The answering model that this one was trained from, whatever task its row is known for."""
    if model.fine_tune_run is None:
        return None
    base = model.fine_tune_run.base_model
    same = {"backend": base.backend, "location": base.location, "revision": base.revision}
    return ModelVersion.objects.filter(task=Task.ANSWER, **same).values_list("pk", flat=True).first()


def language_chart(lines: list[Line]) -> IntervalChart | None:
    bars = [
        (f"{line.evaluation.model_version.name}, {line.language.name}", *line.figures["in_language"])
        for line in lines
        if line.figures.get("in_language")
    ]
    return interval_chart(bars)


@require_safe
@maintainers_only
def model(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """What is known of one model: figures beside its base's, its duels, and how often its drafts are taken as is."""
    return TemplateResponse(request, "generation/model.html", model_context(request, get_model(request, public_id)))


def get_model(request: MaintainerRequest, public_id: str) -> ModelVersion:
    found = ModelVersion.objects.within(maintained_languages(request.user))
    return get_object_or_404(found.select_related("fine_tune_run__base_model"), public_id=public_id)


@require_POST
@maintainers_only
def state_licence(request: MaintainerRequest, public_id: str) -> HttpResponse:
    """What a model asks of releases, by somebody who answers for it. For maintainers of all: it is so everywhere."""
    if not request.user.is_maintainer_of_all:
        raise PermissionDenied
    one, form = get_model(request, public_id), LicenceForm(request.POST)
    if not form.is_valid():
        context = model_context(request, one) | {"licence_form": form}
        return TemplateResponse(request, "generation/model.html", context, status=422)
    one.state_licence(form.cleaned_data["licence"], form.cleaned_data["terms"], request.user)
    return redirect("model", public_id)


def model_context(request: MaintainerRequest, one: ModelVersion) -> dict[str, Any]:
    languages = maintained_languages(request.user)
    wanted = [pk for pk in (one.pk, base_of(one)) if pk]
    sets = QuestionSet.objects.within(languages)
    rows = Evaluation.objects.filter(model_version__in=wanted, question_set__in=sets, state=JobState.DONE)
    lines = table(list(rows.select_related("model_version__fine_tune_run__base_model", "question_set")), languages)
    stated = Event.objects.filter(kind=EventKind.LICENCE_STATED, subject_type="modelversion", subject_id=one.pk)
    is_open = one.task == Task.DRAFT and (not one.has_known_licence or stated.exists())
    return {
        "model": one,
        "stated": stated.select_related("actor").order_by("-at", "-pk").first(),
        "licence_form": LicenceForm() if is_open and request.user.is_maintainer_of_all else None,
        "base": one.fine_tune_run.base_model if one.fine_tune_run else None,
        "lines": lines,
        "chart": language_chart(lines),
        "duels": model_duels(one, languages),
        "accepted": accepted(one, languages) if one.task == Task.DRAFT else [],
    }


def model_duels(one: ModelVersion, languages: Any) -> list[duels.Standing]:
    held = Duel.objects.filter(Q(base=one) | Q(rival=one), language__in=languages)
    return duels.standings(held.select_related("language", "base", "rival", "question_set")[:SHOWN])


def accepted(one: ModelVersion, languages: Any) -> list[tuple[Language, list[acceptance.Acceptance]]]:
    """By language, this model's drafts against those of the models that people reviewed beside it."""
    found: dict[Language, list[acceptance.Acceptance]] = defaultdict(list)
    for language in languages.filter(runs__model_version=one).distinct():
        found[language] = acceptance.acceptances(language)
    return list(found.items())
