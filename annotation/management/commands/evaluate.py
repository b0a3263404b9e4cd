"""`manage.py evaluate ...`: questions and answers in, models asked and measured, duels opened and reported."""

from collections.abc import Callable
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from annotation import duel_figures, duels
from annotation.models import Duel
from generation import questions
from generation.management.reading import (
    demand_language,
    demand_length,
    demand_sources,
    demand_whole,
    print_tally,
    progress,
)
from generation.models import ModelVersion, Question, QuestionSet, Task


class Command(BaseCommand):
    help = (
        "Compare models. `questions` and `answers` import what models are asked and what they answered elsewhere; "
        "`duel` puts two models' answers before native speakers, blind; `report` says what came of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")

        ask = steps.add_parser("questions", help="import questions from JSONL (id, prompt, lang, source, license)")
        ask.add_argument("files", nargs="+", metavar="FILE", help="JSONL, plain or gzipped; - is standard input")
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

        duel = steps.add_parser("duel", help="open a blind comparison of two models' answers")
        duel.add_argument("set", metavar="SET")
        duel.add_argument("--base", required=True, metavar="MODEL", help="public id, or name where it is the only one")
        duel.add_argument("--rival", required=True, metavar="MODEL", help="whose wins are counted")
        duel.add_argument("--language", required=True, nargs="+", metavar="CODE")
        duel.add_argument("--overlap", type=int, default=2, metavar="N", help="votes for each pair of answers (2)")

        report = steps.add_parser("report", help="win rates with intervals, position bias and agreement of duels")
        report.add_argument("duels", nargs="*", metavar="DUEL", help="public ids; all without")

    def handle(self, *args: str, **options: Any) -> None:
        steps: dict[str, Callable[..., None]] = {
            "questions": self.import_questions,
            "answers": self.import_answers,
            "duel": self.open_duels,
            "report": self.report,
        }
        steps[options["step"]](**options)

    @property
    def console(self) -> Console:
        return Console(file=cast("TextIO", self.stdout), highlight=False)

    def import_questions(self, files: list[str], **options: Any) -> None:
        language = demand_language(options["language"]) if options["language"] else None
        name = demand_set_name(options["set"])
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

    def print_import(self, title: str, done: questions.Imported) -> None:
        print_tally(self.console, title, done.tally)
        if done.rejected_path:
            self.console.print(f"Rejected rows: {done.rejected_path}", soft_wrap=True)
        demand_whole(done.tally)

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

    def report(self, **options: Any) -> None:
        wanted = options["duels"]
        found = Duel.objects.select_related("language", "base", "rival", "question_set").order_by("pk")
        if wanted:
            found = found.filter(public_id__in=wanted)
            if missing := set(wanted) - set(found.values_list("public_id", flat=True)):
                raise CommandError(f"There is no duel {', '.join(sorted(missing))}.")
        if not found.exists():
            raise CommandError("There is no duel yet: manage.py evaluate duel SET --base M --rival M --language CODE")
        table = Table(
            "duel", "language", "rival against base", "votes", "wins", "ties", "losses", "win rate", "first wins",
            "people agree",
        )  # fmt: skip
        for duel in found:
            said = duel_figures.figures(duels.ballots(duel))
            table.add_row(
                duel.public_id, duel.language.code, f"{duel.rival.name} against {duel.base.name}",
                *map(str, (said.votes, said.wins, said.ties, said.losses)),
                *map(spelt, (said.win_rate, said.first_wins, said.same)),
            )  # fmt: skip
        self.console.print(table)


def spelt(rate: duel_figures.Rate | None) -> str:
    if rate is None:
        return "–"
    if rate.low is None or rate.high is None:
        return f"{rate.value:.2f} (too few for an interval)"
    return f"{rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f})"


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
