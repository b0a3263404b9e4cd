"""`manage.py evaluate ...`: questions and answers in, models asked and measured, duels opened and reported."""

from collections.abc import Callable, Iterable
from typing import Any, TextIO, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from annotation import duel_figures, duels, judging_duels
from annotation.models import Duel, JudgeRun
from generation import evaluation, loading, questions
from generation.backends import BACKENDS
from generation.backends.base import BackendError
from generation.intervals import Rate
from generation.management.reading import (
    demand_language,
    demand_length,
    demand_sources,
    demand_whole,
    print_tally,
    progress,
)
from generation.models import (
    IMPORTED,
    Evaluation,
    JobState,
    ModelVersion,
    Question,
    QuestionSet,
    Release,
    Task,
)

WIDTH = 200


class Command(BaseCommand):
    help = (
        "Compare models. `questions` imports what models are asked, or takes it from a release's test split; `answers` "
        "imports what a model answered elsewhere, `run` has one answer here and counts: share in the language, chrF, "
        "held-out loss, length, repetition; `duel` puts two models' answers before native speakers, blind; `report` "
        "says what came of all that."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")

        ask = steps.add_parser("questions", help="import questions from JSONL (id, prompt, lang, source, license)")
        ask.add_argument("files", nargs="*", metavar="FILE", help="JSONL, plain or gzipped; - is standard input")
        ask.add_argument("--release", default="", metavar="NAME", help="in place of files: its test split")
        ask.add_argument("--set", required=True, metavar="NAME", dest="set", help="made where it is new")
        ask.add_argument("--language", default="", metavar="CODE", help="of the answers, for rows that name none")
        ask.add_argument(
            "--written-in", default="", metavar="CODE", help="language of the prompts; that of the answer otherwise"
        )
        ask.add_argument("--source", default="", metavar="NAME", help="for rows that name none")
        ask.add_argument("--license", default="", metavar="ID", help="SPDX id, for rows that carry none")

        said = steps.add_parser("answers", help="import a model's answers from JSONL (id, answer, lang)")
        said.add_argument("files", nargs="+", metavar="FILE", help="JSONL, plain or gzipped; - is standard input")
        said.add_argument("--set", required=True, metavar="NAME", dest="set")
        said.add_argument("--model", required=True, metavar="NAME", help="the model's name, as reports will say it")
        said.add_argument("--revision", default="", help="which state of the model it was")
        said.add_argument("--language", default="", metavar="CODE", help="for rows that name none")
        said.add_argument("--license", default="", metavar="ID", help="of the model")

        run = steps.add_parser("run", help="have a model answer the questions that it has not, and count")
        run.add_argument("set", metavar="SET")
        run.add_argument(
            "--model", default="", metavar="MODEL", help="public id, folder, hub id or name at an endpoint"
        )
        run.add_argument("--backend", default="", choices=["", *BACKENDS], help="where it is asked; XI_BACKEND without")

        duel = steps.add_parser("duel", help="open a blind comparison of two models' answers")
        duel.add_argument("set", metavar="SET")
        duel.add_argument("--base", required=True, metavar="MODEL", help="public id, or name where it is the only one")
        duel.add_argument("--rival", required=True, metavar="MODEL", help="whose wins are counted")
        duel.add_argument("--language", required=True, nargs="+", metavar="CODE")
        duel.add_argument("--overlap", type=int, default=2, metavar="N", help="votes for each pair of answers (2)")

        judge = steps.add_parser("judge", help="have a model judge a duel; shown only beside its agreement with people")
        judge.add_argument("duel", metavar="DUEL", help="public id")
        judge.add_argument("--model", default="", metavar="MODEL", help="public id, folder, hub id, or name")
        judge.add_argument("--backend", default="", choices=["", *BACKENDS], help="where it is asked")

        report = steps.add_parser("report", help="win rates with intervals, position bias and agreement of duels")
        report.add_argument("--set", default="", metavar="NAME", dest="set", help="of that question set alone")

    def handle(self, *args: str, **options: Any) -> None:
        steps: dict[str, Callable[..., None]] = {
            "questions": self.import_questions,
            "answers": self.import_answers,
            "run": self.run_model,
            "duel": self.open_duels,
            "judge": self.judge,
            "report": self.report,
        }
        steps[options["step"]](**options)

    @property
    def console(self) -> Console:
        # Into a file or a pipe a table goes whole, and not folded to the width of a terminal that is not there.
        width = None if self.stdout.isatty() else WIDTH
        return Console(file=cast("TextIO", self.stdout), highlight=False, width=width)

    def import_questions(self, files: list[str], **options: Any) -> None:
        language = demand_language(options["language"]) if options["language"] else None
        name = demand_set_name(options["set"])
        if bool(files) == bool(options["release"]):
            raise CommandError("name files or --release, and not both", returncode=2)
        if options["release"]:
            self.split_questions(options["release"], name)
            return
        sources = demand_sources(files)
        with progress("questions: reading") as show:
            _, done = questions.import_questions(
                sources,
                name,
                language=language,
                source=demand_length("--source", options["source"], Question, "source"),
                licence=demand_length("--license", options["license"], Question, "licence_id"),
                written_in=demand_length("--written-in", options["written_in"], Question, "written_in"),
                on_progress=show,
            )
        self.print_import(f"Questions of {name}", done)

    def split_questions(self, release_name: str, name: str) -> None:
        release = Release.objects.filter(name=release_name).first()
        if release is None:
            raise CommandError(f"There is no release '{release_name}'.")
        try:
            question_set, new = questions.from_release(release, name)
        except questions.QuestionError as exc:
            raise CommandError(str(exc)) from exc
        self.console.print(f"Questions of {name}: {question_set.questions.count():,}, {new:,} of them new")

    def import_answers(self, files: list[str], **options: Any) -> None:
        question_set = demand_set(options["set"])
        language = demand_language(options["language"]) if options["language"] else None
        model = demand_length("--model", options["model"], ModelVersion, "name")
        if not model:
            raise CommandError("--model takes the model's name", returncode=2)
        sources = demand_sources(files)
        with progress("answers: reading") as show:
            version, done = questions.import_answers(
                sources,
                question_set,
                model,
                revision=demand_length("--revision", options["revision"], ModelVersion, "revision"),
                licence=demand_length("--license", options["license"], ModelVersion, "licence_id"),
                language=language,
                on_progress=show,
            )
        self.print_import(f"Answers of {version.name} ({version.public_id}) to {question_set.name}", done)
        if version.answers.filter(question__question_set=question_set).exists():
            self.count(question_set, version)

    def print_import(self, title: str, done: questions.Imported) -> None:
        print_tally(self.console, title, done.tally)
        if done.rejected_path:
            self.console.print(f"Rejected rows: {done.rejected_path}", soft_wrap=True)
        demand_whole(done.tally)

    def run_model(self, **options: Any) -> None:
        question_set = demand_set(options["set"])
        version = self.demand_model(options["backend"], options["model"])
        self.count(question_set, version)

    def count(self, question_set: QuestionSet, version: ModelVersion) -> None:
        """Ask what is missing, take the figures and print them."""
        try:
            row = evaluation.open_evaluation(question_set, version)
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("answering", total=None)
                evaluation.evaluate(row, lambda done, total: bar.update(task, completed=done, total=total))
        except evaluation.EvaluationError as exc:
            raise CommandError(str(exc)) from exc
        row.refresh_from_db()
        if row.state != JobState.DONE:
            raise CommandError(f"The evaluation is {row.state}: somebody else is at it, or it was stopped.")
        self.console.print(self.counted([row]))

    def demand_model(self, backend: str, model: str) -> ModelVersion:
        """The model that is to answer: one that is known to answer here, or whatever the backend finds."""
        answering = ModelVersion.objects.filter(task=Task.ANSWER)
        if known := answering.filter(Q(public_id=model) | Q(name=model, backend=IMPORTED)).first():
            return known
        try:
            return loading.model_version(backend or settings.BACKEND, model or settings.MODEL, task=Task.ANSWER)[0]
        except BackendError as exc:
            raise CommandError(str(exc)) from exc

    def counted(self, rows: list[Evaluation]) -> Table:
        table = Table(
            "set", "model", "language", "answers", "in the language", "in circles", "median length", "chrF", "loss",
            "empty", "cut",
        )  # fmt: skip
        for row in rows:
            for code, said in row.figures.items():
                table.add_row(
                    row.question_set.name, f"{row.model_version.name} ({row.model_version.public_id})", code,
                    str(said["answers"]), listed(said["in_language"]), listed(said["repeated"]),
                    f"{said['chars']['median']:g}", "–" if said["chrf"] is None else f"{said['chrf']:.1f}",
                    listed(said.get("loss")), str(said["empty"]), str(said["cut"]),
                )  # fmt: skip
        return table

    def open_duels(self, **options: Any) -> None:
        question_set = demand_set(options["set"])
        base, rival = demand_answerer(options["base"]), demand_answerer(options["rival"])
        if not 1 <= options["overlap"] <= 99:
            raise CommandError("--overlap takes a number from 1 to 99", returncode=2)
        table = Table("duel", "language", "base", "rival", "bouts", "same words", "page")
        for language in map(demand_language, options["language"]):
            try:
                duel = duels.open_duel(question_set, language, base, rival, overlap=options["overlap"])
            except duels.DuelError as exc:
                raise CommandError(str(exc)) from exc
            bouts = str(duel.bouts.count())
            names = (duel.base.name, duel.rival.name)
            table.add_row(duel.public_id, language.code, *names, bouts, str(duel.left_out), f"/duels/{language.code}/")
        self.console.print(table)

    def judge(self, **options: Any) -> None:
        duel = Duel.objects.select_related("base", "rival").filter(public_id=options["duel"]).first()
        if duel is None:
            raise CommandError(f"There is no duel '{options['duel']}': manage.py evaluate report lists them.")
        version = self.demand_model(options["backend"], options["model"])
        try:
            run = judging_duels.open_run(duel, version)
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("judging", total=None)
                judging_duels.judge(run, lambda done, total: bar.update(task, completed=done, total=total))
        except judging_duels.JudgeError as exc:
            raise CommandError(str(exc)) from exc
        run.refresh_from_db()
        if run.state != JobState.DONE:
            raise CommandError(f"The judge run is {run.state}: somebody else is at it, or it was stopped.")
        self.console.print(judgements([run]))

    def report(self, **options: Any) -> None:
        sets = [demand_set(options["set"])] if options["set"] else list(QuestionSet.objects.all())
        measured = Evaluation.objects.filter(question_set__in=sets, state=JobState.DONE)
        held = Duel.objects.filter(question_set__in=sets).select_related("language", "base", "rival", "question_set")
        rows = list(measured.select_related("question_set", "model_version").order_by("question_set", "pk"))
        if rows:
            self.console.print(self.counted(rows))
        table = Table(
            "duel", "set", "language", "rival against base", "votes", "wins", "ties", "losses", "win rate",
            "first wins", "people agree",
        )  # fmt: skip
        for duel in held.order_by("pk"):
            said = duel_figures.figures(duels.ballots(duel))
            table.add_row(
                duel.public_id, duel.question_set.name, duel.language.code,
                f"{duel.rival.name} against {duel.base.name}",
                *map(str, (said.votes, said.wins, said.ties, said.losses)),
                *map(spelt, (said.win_rate, said.first_wins, said.same)),
            )  # fmt: skip
        if not rows and not table.row_count:
            raise CommandError("Nothing was evaluated yet: manage.py evaluate run SET --model M")
        if table.row_count:
            self.console.print(table)
        runs = JudgeRun.objects.filter(duel__in=held).select_related("duel", "judge").order_by("pk")
        if runs:
            self.console.print(judgements(runs))


def judgements(runs: Iterable[JudgeRun]) -> Table:
    """What judges said, never without how far they agree with people."""
    table = Table("duel", "judge", "bouts voted on", "agrees with people", "alpha", "win rate", "unstable", "unparsed")
    for run in runs:
        said = judging_duels.judged(run, duels.ballots(run.duel))
        row = [run.duel.public_id, run.judge.name, str(said.voted)]
        if said.figures is None:
            row.append(f"not shown: people voted on too few ({said.voted} of at least {said.fewest})")
        else:
            known = said.figures
            row += [spelt(known.same), "–" if known.alpha is None else f"{known.alpha.value:.2f}"]
            row += [spelt(known.win_rate), f"{known.unstable} of {known.rulings}", str(known.unparsed)]
        table.add_row(*row)
    return table


def spelt(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    if rate.low is None or rate.high is None:
        return f"{rate.value:.2f} (too few for an interval)"
    return f"{rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f})"


def listed(value: list[float] | None) -> str:
    if value is None:
        return "–"
    return "{:.2f}".format(*value) if value[1] is None else "{:.2f} ({:.2f}–{:.2f})".format(*value)


def demand_set_name(name: str) -> str:
    if not questions.NAME.fullmatch(name):
        raise CommandError(f"“{name}” cannot be a set's name: letters, digits, - and _, at most 100", returncode=2)
    return name


def demand_set(name: str) -> QuestionSet:
    found = QuestionSet.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(QuestionSet.objects.values_list("name", flat=True)[:10]) or "none yet"
        raise CommandError(f"There is no question set '{name}' ({known}).")
    return found


def demand_answerer(named: str) -> ModelVersion:
    """A model version that answers, by public id or by name where one alone has it."""
    answering = ModelVersion.objects.filter(task=Task.ANSWER)
    found = list(answering.filter(public_id=named)) or list(answering.filter(name=named)[:2])
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{one.public_id} ({one.name})" for one in answering.order_by("-pk")[:8]) or "none yet"
    problem = "Several models are" if found else "No model that answers is"
    raise CommandError(f"{problem} called '{named}': {known}")
