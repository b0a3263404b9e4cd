"""What differs between two releases, and which version number says so.

Rows are known across releases by their item: one item has one current pair. A row is edited where what a trainer reads
of it changed, or where it may be used; a rating more is no edit.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from django.db import connection
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from annotation.diffing import Piece, shortened, word_diff
from generation.models import Release, ReleaseRow
from xinstruct_site.people.models import Language

ADDED, EDITED, WITHDRAWN = "added", "edited", "withdrawn"
KINDS = (ADDED, EDITED, WITHDRAWN)
READ = ("instruction", "input", "response", "licence", "rejected")  # fields of a row whose change is an edit
FIRST = "1.0.0"
BEGINNING = 280  # characters of a response that is the same, new or gone as a whole
VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")

# Of both releases only the rows after an item, in its order, which their index gives.
BETWEEN = """
    SELECT CASE WHEN old.id IS NULL THEN 'added' WHEN new.id IS NULL THEN 'withdrawn' ELSE 'edited' END AS kind,
           coalesce(new.language_code, old.language_code) AS language,
           coalesce(new.item_public_id, old.item_public_id) AS item, old.id AS before, new.id AS after
      FROM (SELECT * FROM generation_releaserow WHERE release_id = %(old)s AND item_public_id > %(after)s) old
      FULL JOIN (SELECT * FROM generation_releaserow WHERE release_id = %(new)s AND item_public_id > %(after)s) new
        ON old.item_public_id = new.item_public_id
     WHERE old.id IS NULL OR new.id IS NULL
        OR old.row_sha256 <> new.row_sha256 AND (old.split <> new.split OR {read_differs})
""".format(read_differs=" OR ".join(f"old.row->'{name}' IS DISTINCT FROM new.row->'{name}'" for name in READ))  # noqa: S608


class Change(NamedTuple):
    """One row that differs: keys of the rows before and after, the missing one None."""

    kind: str
    language: str
    item: str
    before: int | None
    after: int | None


def changelog(old: Release, new: Release) -> dict[str, dict[str, int]]:
    """How many rows were added, edited and withdrawn, by language."""
    counted: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT kind, language, count(*) FROM ({BETWEEN}) AS change GROUP BY 1, 2 ORDER BY 1, 2",  # noqa: S608
            {"old": old.pk, "new": new.pk, "after": ""},
        )
        for kind, language, number in cursor.fetchall():
            counted[kind][language] = number
    return counted


def changes(
    old: Release, new: Release, *, kinds: Sequence[str] = KINDS, language: str = "", after: str = "", limit: int = 20
) -> list[Change]:
    """The rows that differ, by item; `after` is the last item that was seen."""
    sql = f"""SELECT kind, language, item, before, after FROM ({BETWEEN}) AS change
               WHERE kind = ANY(%(kinds)s) AND (%(language)s = '' OR language = %(language)s)
               ORDER BY item LIMIT %(limit)s"""  # noqa: S608
    values: dict[str, Any] = {"old": old.pk, "new": new.pk, "after": after, "language": language}
    with connection.cursor() as cursor:
        cursor.execute(sql, values | {"kinds": list(kinds), "limit": limit})
        return [Change(*found) for found in cursor.fetchall()]


class Shown(NamedTuple):
    """A change as it is read: the row as it is now, or was, and word by word what differs in it."""

    kind: str
    language: Language | None
    row: ReleaseRow
    instruction: list[Piece]
    input: list[Piece]
    response: list[Piece]
    moved: tuple[str, str] | None  # from one split to another


def shown(found: Sequence[Change]) -> list[Shown]:
    rows = ReleaseRow.objects.in_bulk([key for change in found for key in (change.before, change.after) if key])
    languages = {
        language.code: language for language in Language.objects.filter(code__in={each.language for each in found})
    }
    return [
        _shown(change, languages.get(change.language), rows.get(change.before or 0), rows.get(change.after or 0))
        for change in found
    ]


def _shown(change: Change, language: Language | None, before: ReleaseRow | None, after: ReleaseRow | None) -> Shown:
    was, now = (each.row if each else {} for each in (before, after))
    row = after or before
    assert row  # noqa: S101 - a change has one side at least
    instruction, given = (word_diff(was.get(name, ""), now.get(name, "")) for name in ("instruction", "input"))
    if not (before and after) or was.get("response") == now.get("response"):
        kind: Literal["same", "gone", "new"] = "same" if before and after else "new" if after else "gone"
        response = [Piece(kind, Truncator(row.row.get("response", "")).chars(BEGINNING))]
    else:
        response = shortened(word_diff(was.get("response", ""), now.get("response", "")))
    moved = (before.split, after.split) if before and after and before.split != after.split else None
    return Shown(change.kind, language, row, instruction, given, response, moved)


class WrongVersion(ValueError):
    """A version that is none, or that says less than what changed. The message says what it may be."""


def parsed(version: str) -> tuple[int, int, int]:
    """
    Raises:
        WrongVersion: it is not MAJOR.MINOR.PATCH.
    """
    found = VERSION.fullmatch(version)
    if not found:
        raise WrongVersion(_("“%(version)s” is no version: three numbers, such as 1.0.0.") % {"version": version[:40]})
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def next_version(previous: str, changed: dict[str, dict[str, int]], *, is_new_format: bool = False) -> str:
    """Rows edited or withdrawn, or rows of another form, are a major step: who trained on the old ones should know.
    Rows added are a minor one, and the same rows with other documents a patch.

    >>> next_version("1.2.3", {"added": {"fi": 4}, "edited": {}, "withdrawn": {}})
    '1.3.0'
    """
    major, minor, patch = parsed(previous)
    if changed[EDITED] or changed[WITHDRAWN] or is_new_format:
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if changed[ADDED] else f"{major}.{minor}.{patch + 1}"


def demand_step(asked: str, least: str) -> str:
    """The version that was asked for, where it says at least what changed.

    Raises:
        WrongVersion: it does not.
    """
    if parsed(asked) < parsed(least):
        raise WrongVersion(
            _("Version %(asked)s says too little: what changed since the previous release makes it %(least)s or more.")
            % {"asked": asked, "least": least}
        )
    return asked
