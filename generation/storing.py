"""One batch of judged texts into the database: what is there is left out, near-duplicates are counted, the rest copied.

Two imports of one language take turns, so what this finds out about the language's texts stays true to the commit.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from django.db import connection

from generation import blocklist, near_duplicates
from generation.measuring import Hashes
from generation.models import Band, Import, NearDuplicate, Text
from generation.rejections import Reason, Rejected
from xinstruct_site.people.ids import new_public_id

# With what each holds where nothing is said of it.
COLUMNS = {column.attname: column.get_default for column in Text._meta.local_concrete_fields}
# What only the process that stores can know.
ID, IMPORT, CLUSTER_SIZE = map(list(COLUMNS).index, ("id", "imported_in_id", "dedup_cluster_size"))
URL = list(COLUMNS).index("url")


@dataclass(slots=True)
class Incoming:
    """A text that passed the gates, as a row of its table. `number` is its place in the batch of lines."""

    number: int
    sha256: str
    public_id: str
    body: str
    bands: list[int]
    row: list[Any]
    instruction: str = ""
    input: str = ""
    id: int = 0

    @classmethod
    def of(cls, number: int, columns: dict[str, Any], bands: list[int]) -> Self:
        columns["public_id"] = new_public_id()
        row = [columns[name] if name in columns else default() for name, default in COLUMNS.items()]
        row = [json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value for value in row]
        return cls(
            number, columns["sha256"], columns["public_id"], columns["body"], bands, row,
            columns["instruction"], columns["input"],
        )  # fmt: skip


@dataclass(slots=True)
class Stored:
    """What became of a batch: the texts, how many were there already, and which were nearly there or taken down."""

    texts: list[Incoming] = field(default_factory=list)
    duplicates: int = 0
    turned_away: list[tuple[int, Rejected]] = field(default_factory=list)


@dataclass(slots=True)
class _Kept:
    """A text of the language that another may be near to."""

    id: int
    public_id: str
    grams: Hashes


def store(batch: Import, incoming: Sequence[Incoming]) -> Stored:
    """Called within a transaction that holds the language's row."""
    done = Stored()
    refused = blocklist.refused([(each.sha256, each.row[URL]) for each in incoming])
    for place, entry in refused.items():
        done.turned_away.append((incoming[place].number, Rejected(Reason.TAKEN_DOWN, str(entry))))
    allowed = [each for place, each in enumerate(incoming) if place not in refused]
    fresh = _without_known(batch.language_id, allowed)
    done.duplicates = len(allowed) - len(fresh)
    near: list[NearDuplicate] = []
    more: Counter[int] = Counter()
    for each, kept, jaccard in _nearest(fresh):
        if kept is None:
            each.row[ID], each.row[IMPORT] = each.id, batch.pk
            done.texts.append(each)
            continue
        more[kept.id] += each.row[CLUSTER_SIZE]
        near.append(
            NearDuplicate(
                language_id=batch.language_id, sha256=each.sha256, text_id=kept.id, jaccard=jaccard, imported_in=batch
            )
        )
        found = Rejected(Reason.NEAR_DUPLICATE, f"text {kept.public_id}, Jaccard {jaccard:.2f}")
        done.turned_away.append((each.number, found))
    _copy(Text._meta.db_table, list(COLUMNS), (each.row for each in done.texts))
    _copy(Band._meta.db_table, ["hash", "text_id"], ((hash, each.id) for each in done.texts for hash in each.bands))
    NearDuplicate.objects.bulk_create(near)
    _grow(more)
    return done


def _without_known(language_id: int, incoming: Sequence[Incoming]) -> list[Incoming]:
    """Of equal bodies the first, and none that the language has or that was too near to one that it has."""
    hashes = [each.sha256 for each in incoming]
    texts = Text.objects.filter(language=language_id, sha256__in=hashes).values_list("sha256", flat=True)
    near = NearDuplicate.objects.filter(language=language_id, sha256__in=hashes).values_list("sha256", flat=True)
    known = {*texts, *near}
    fresh = []
    for each in incoming:
        if each.sha256 not in known:
            known.add(each.sha256)
            fresh.append(each)
    return fresh


def _nearest(fresh: Sequence[Incoming]) -> Iterator[tuple[Incoming, _Kept | None, float]]:
    """Each with the kept text that it is nearest to, or with None, and is kept itself. In order, so that an import
    that is called again keeps the same ones."""
    stored = _stored_by_band({hash for each in fresh for hash in each.bands})
    new: dict[int, list[Incoming]] = {}
    for each, pk in zip(fresh, _new_ids(len(fresh)), strict=True):
        each.id = pk
        candidates = {kept.id: kept for hash in each.bands for kept in stored.get(hash, ())}
        for other in {id(other): other for hash in each.bands for other in new.get(hash, ())}.values():
            candidates[other.id] = _Kept(other.id, other.public_id, near_duplicates.grams(other.body))
        nearest, best = None, 0.0
        if candidates:
            grams = near_duplicates.grams(each.body)
            for _, kept in sorted(candidates.items()):
                if (jaccard := near_duplicates.jaccard(grams, kept.grams)) > best:
                    nearest, best = kept, jaccard
        if best >= near_duplicates.JACCARD_MIN:
            yield each, nearest, best
            continue
        for hash in each.bands:
            new.setdefault(hash, []).append(each)
        yield each, None, 0.0


def _new_ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [Text._meta.db_table, count],
        )
        return [pk for (pk,) in cursor.fetchall()]


def _stored_by_band(hashes: set[int]) -> dict[int, list[_Kept]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT hash, text_id FROM {Band._meta.db_table} WHERE hash = ANY(%s)", [list(hashes)])  # noqa: S608
        found = cursor.fetchall()
    texts = Text.objects.filter(pk__in={pk for _, pk in found}).values_list("pk", "public_id", "body")
    kept = {pk: _Kept(pk, public_id, near_duplicates.grams(body)) for pk, public_id, body in texts}
    by_band: dict[int, list[_Kept]] = {}
    for hash, pk in found:
        if pk in kept:
            by_band.setdefault(hash, []).append(kept[pk])
    return by_band


def _copy(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _grow(more: Counter[int]) -> None:
    """Near-duplicates count towards the text that was kept, in the order of keys: two imports never wait crosswise."""
    if not more:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Text._meta.db_table} t SET dedup_cluster_size = dedup_cluster_size + m.size "  # noqa: S608
            "FROM unnest(%s::bigint[], %s::int[]) m(id, size) WHERE t.id = m.id",
            [list(more), list(more.values())],
        )
