"""Deals the texts of a release out to training, validation and test.

What belongs together is never parted: texts of one document, of one address, of one body in two languages, and those
that share a band of MinHash. A group's place follows from a seed and the group alone, so it is the same wherever it is
asked; what an earlier release of the line has placed stays where it was, or a model would be tested on what it learnt.
"""

import hashlib
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from django.db import connection
from django.db.models import QuerySet

from annotation.models import Pair
from generation.blocklist import PLAIN_URL
from generation.models import Release, Split, Text

SHARES = (90, 5, 5)
SPLIT_FROM = 100  # pairs; of fewer, a twentieth measures nothing
LOOKED_UP = 5000

# One number for everything that two texts may share; equal numbers of different things would only join two groups.
SHARED = """
    WITH wanted AS MATERIALIZED (SELECT DISTINCT item__text_id AS id FROM ({pairs}) AS pair (item__text_id)),
    shared AS (
        SELECT id, hashtextextended('document ' || source_dataset || ' ' || source_doc_id, 0) AS what
          FROM generation_text JOIN wanted USING (id) WHERE source_doc_id <> ''
        UNION ALL
        SELECT id, hashtextextended('address ' || {plain_url}, 0)
          FROM generation_text JOIN wanted USING (id) WHERE url <> ''
        UNION ALL
        SELECT id, hashtextextended('body ' || sha256, 0) FROM generation_text JOIN wanted USING (id)
        UNION ALL
        SELECT near.text_id, hashtextextended('near ' || near.sha256, 0)
          FROM generation_nearduplicate near JOIN wanted ON near.text_id = wanted.id
        UNION ALL
        SELECT band.text_id, band.hash FROM generation_band band JOIN wanted ON band.text_id = wanted.id
    )
    SELECT array_agg(DISTINCT id) FROM shared GROUP BY what HAVING count(DISTINCT id) > 1
"""


class Place(NamedTuple):
    """Where a text stands, and the group that stands there with it: the least body hash among its texts."""

    split: Split
    group: str


class Splitter:
    """Places the texts of the pairs. `previous`: the release whose places are kept."""

    def __init__(
        self,
        pairs: QuerySet[Pair],
        shares: Sequence[int] = SHARES,
        seed: int = 0,
        previous: Release | None = None,
    ) -> None:
        self.shares, self.seed, self.previous = shares, seed, previous
        self.groups = groups(pairs)  # of texts that are not alone
        self.kept = self._kept_groups()

    def splits(self, texts: Sequence[Text]) -> list[Place]:
        """The places of a batch of texts, in their order."""
        named = [self.groups.name(text.pk) for text in texts]
        alone = self._placed([text.sha256 for text, name in zip(texts, named, strict=True) if not name])
        places = []
        for text, name in zip(texts, named, strict=True):
            kept = self.kept.get(name) if name else alone.get(text.sha256)
            group = name or text.sha256
            places.append(Place(kept or place(group, self.shares, self.seed), group))
        return places

    def _kept_groups(self) -> dict[str, Split]:
        """Places of groups that the previous release has texts of. Two that have grown together go where a model may
        have learnt from either."""
        kept: dict[str, Split] = {}
        if not self.previous:
            return kept
        for start in range(0, len(self.groups.ids), LOOKED_UP):
            names = {sha256: self.groups.name(pk) for pk, sha256 in self.groups.hashes(start)}
            for sha256, split in self._placed(list(names)).items():
                group = names[sha256]
                kept[group] = min(kept.get(group, split), split, key=list(Split).index)
        return kept

    def _placed(self, hashes: Sequence[str]) -> dict[str, Split]:
        if not self.previous or not hashes:
            return {}
        rows = self.previous.rows.filter(text_sha256__in=hashes).values_list("text_sha256", "split")
        return {sha256: Split(split) for sha256, split in rows}


def place(group: str, shares: Sequence[int], seed: int) -> Split:
    """Where the group falls: of many groups about so many of each hundred as the shares say."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    point = int.from_bytes(digest[:8]) * sum(shares) / 2**64
    for split, share in zip(Split, shares, strict=True):
        if point < share:
            return split
        point -= share
    return Split.TRAIN


class Groups:
    """The texts that share something with another, and the name of each one's group. As arrays: there may be many."""

    def __init__(self, first: Sequence[int], second: Sequence[int]) -> None:
        from scipy.sparse import coo_array  # type: ignore[import-untyped]
        from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

        self.ids, places = np.unique(np.concatenate([first, second]).astype(np.int64), return_inverse=True)
        edges = (np.ones(len(first), dtype=bool), (places[: len(first)], places[len(first) :]))
        graph = coo_array(edges, shape=(len(self.ids), len(self.ids)))
        number, self.labels = connected_components(graph, directed=False)
        self.names = np.full(number, "~", dtype="S64")
        for start in range(0, len(self.ids), LOOKED_UP):
            for pk, sha256 in self.hashes(start):
                place = self._place(pk)
                self.names[place] = min(self.names[place], sha256.encode())

    def hashes(self, start: int) -> list[tuple[int, str]]:
        """Keys and body hashes of so many of the texts, from the start-th on."""
        keys = self.ids[start : start + LOOKED_UP].tolist()
        return list(Text.objects.filter(pk__in=keys).values_list("pk", "sha256"))

    def name(self, text: int) -> str:
        """The least body hash among the text's group; empty where the text is alone."""
        place = self._place(text)
        return self.names[place].decode() if place is not None else ""

    def _place(self, text: int) -> int | None:
        at = int(np.searchsorted(self.ids, text))
        return int(self.labels[at]) if at < len(self.ids) and self.ids[at] == text else None


def groups(pairs: QuerySet[Pair]) -> Groups:
    """The groups among the texts of the pairs."""
    wanted, values = pairs.order_by().values("item__text_id").query.sql_with_params()
    first, second = array("q"), array("q")
    with connection.chunked_cursor() as cursor:
        cursor.execute(SHARED.format(pairs=wanted, plain_url=PLAIN_URL), values)
        for (texts,) in cursor:
            first.extend([texts[0]] * (len(texts) - 1))
            second.extend(texts[1:])
    return Groups(first, second)
