"""`manage.py build_release NAME --language CODE...`: freezes accepted pairs, or people's ratings, under a name."""

import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from annotation import freezing, labels
from annotation.filtering import EXCLUDE, MARK, Filters, variety
from annotation.models import Flag
from annotation.splitting import SHARES, SPLIT_FROM
from generation import licences
from generation.management.reading import demand_language
from generation.models import Release, Split
from xinstruct_site.people.models import VarietyKind


class Command(BaseCommand):
    help = (
        "Freeze the accepted pairs of the languages as a release: hashed and immutable. The same name and content "
        "again changes nothing; other content needs another name. --ratings freezes what people said of decided items, "
        "to train evaluators on; --gold N draws so many items per language for measuring them, which then take part in "
        "no other release and in no training."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--language", required=True, nargs="+", action="extend", metavar="CODE")
        parser.add_argument(
            "--candidate", action="store_true", help="for audit: not exported or learnt from until publish_release"
        )
        parser.add_argument("--previous", metavar="NAME", help="the release it follows: splits stay, versions count on")
        parser.add_argument(
            "--release-version", default="", metavar="X.Y.Z", help="default: what follows from what changed"
        )

        other = parser.add_mutually_exclusive_group()
        other.add_argument("--ratings", action="store_true", help="ratings of decided items in place of pairs")
        other.add_argument(
            "--preferences", action="store_true", help="pairs with the drafts that people did not want, for DPO"
        )
        other.add_argument("--gold", type=int, metavar="N", help="a gold set of N decided items per language")

        wanted = parser.add_argument_group("which pairs")
        wanted.add_argument(
            "--license",
            choices=licences.TARGETS,
            default="",
            help="publish under it; pairs that cannot be are left out",
        )
        wanted.add_argument("--text-license", nargs="+", action="extend", default=[], metavar="ID", help="of the texts")
        wanted.add_argument("--source", nargs="+", action="extend", default=[], metavar="NAME")
        wanted.add_argument("--overall-min", type=int, choices=[4, 5], help="from everybody who accepted")
        wanted.add_argument("--agreement-min", type=_percent, metavar="PERCENT", help="of the reviews accepted")
        wanted.add_argument("--reviews-min", type=_positive, metavar="N", help="people who ended with these words")
        wanted.add_argument("--policy-min", type=_positive, metavar="N", help="version of the language's review policy")
        for kind in VarietyKind.values:
            wanted.add_argument(
                f"--{kind}", nargs="+", action="extend", default=[], type=_of_a_language, metavar="CODE:NAME",
                help="such as sw:Kenyan; a language of which none is named is taken whole",
            )  # fmt: skip
        wanted.add_argument("--without-flag", nargs="+", action="extend", default=[], choices=Flag.values)
        wanted.add_argument("--rows-min", type=_positive, metavar="N", help="of a language, such as Aya's 50")
        wanted.add_argument("--small", choices=[MARK, EXCLUDE], default=MARK, help="languages with fewer")
        wanted.add_argument(
            "--splits",
            type=_shares,
            metavar="90/5/5",
            help=f"training/validation/test (default: {'/'.join(map(str, SHARES))} from {SPLIT_FROM} pairs up)",
        )
        wanted.add_argument("--split-seed", type=int, default=0, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        languages = list({language.pk: language for language in map(demand_language, options["language"])}.values())
        name = options["name"]
        if options["gold"] is not None and options["gold"] < 1:
            raise CommandError("--gold takes a number from 1 up", returncode=2)
        of_ratings = bool(options["ratings"] or options["gold"])
        filters = _filters(options)
        if of_ratings and (filters != Filters() or options["candidate"] or options["previous"]):
            raise CommandError("--ratings and --gold take no filters, and know no candidates", returncode=2)
        previous = _previous(options["previous"])
        standing = Release.objects.filter(name=name).first()
        stood = standing is not None and standing.is_frozen
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"freezing {name}", total=None)
            try:
                if of_ratings:
                    release = labels.build(name, languages, gold=options["gold"] or 0)
                else:
                    release = freezing.build_release(
                        name,
                        languages,
                        on_progress=lambda done, total: bar.update(task, completed=done, total=total),
                        filters=filters,
                        version=options["release_version"],
                        previous=previous,
                        candidate=options["candidate"],
                    )
            except freezing.ReleaseError as exc:
                raise CommandError(str(exc)) from exc
        self._tell(release, "stands already with this content; nothing changed" if stood else "")

    def _tell(self, release: Release, said: str) -> None:
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        said = said or ("is a candidate, frozen for audit" if release.is_candidate else "is ready")
        console.print(f"Release {release.name} {said}")
        columns = ["rated items"] if release.holds_ratings else ["pairs", *Split.values]
        columns += list(release.changelog)
        table = Table("language", *columns)
        for column in table.columns[1:]:
            column.justify = "right"
        parts = [release.counts, *(release.splits.get(split, {}) for split in Split.values if release.splits)]
        parts += release.changelog.values()
        for code in sorted({code for part in parts for code in part}):
            table.add_row(code, *(f"{part.get(code, 0):,}" for part in parts))
        console.print(table)
        if not release.holds_ratings:
            console.print(f"version {release.version}, {release.licence}")
        if small := release.small_languages:
            console.print(f"fewer than {release.query['rows_min']}: {', '.join(small)}")
        console.print(f"sha256 {release.sha256}", soft_wrap=True)


def _filters(options: dict[str, Any]) -> Filters:
    return Filters(
        preferences=options["preferences"],
        overall_min=options["overall_min"],
        agreement_min=options["agreement_min"],
        reviews_min=options["reviews_min"],
        policy_min=options["policy_min"],
        sources=tuple(sorted(set(options["source"]))),
        licences=tuple(sorted(set(options["text_license"]))),
        varieties=tuple(
            sorted({variety(code, kind, name) for kind in VarietyKind.values for code, name in options[kind]})
        ),
        without_flags=tuple(sorted(set(options["without_flag"]))),
        licence=options["license"],
        rows_min=options["rows_min"],
        small_languages=options["small"],
        shares=options["splits"] or SHARES,
        seed=options["split_seed"],
        split_from=0 if options["splits"] else SPLIT_FROM,
    )


def _previous(name: str | None) -> Release | None:
    if not name:
        return None
    found = Release.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"There is no release '{name}'.")
    return found


def _positive(given: str) -> int:
    number = int(given)
    if not 0 < number < 2**31:
        raise ValueError
    return number


def _of_a_language(given: str) -> tuple[str, str]:
    code, _, name = given.partition(":")
    if not code or not name.strip():
        raise ValueError
    return code, name.strip()


def _percent(given: str) -> int:
    number = int(given)
    if not 0 < number <= 100:
        raise ValueError
    return number


def _shares(given: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,6}/\d{1,6}/\d{1,6}", given) or given.startswith("0/"):
        raise ValueError
    return tuple(map(int, given.split("/")))
