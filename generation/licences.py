"""What licences ask of who publishes what was made under them, and which licence a release can have.

A release is an adaptation of its texts, so its licence must ask at least what that of every text asks, and what the
terms of the models and of the contributors ask. Which goes with which is Creative Commons' own chart of adapters'
licences; no library knows it for data. Pure: no Django, no rows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Terms:
    """What one licence asks. `share_alike`: the licences that an adaptation may be under; empty: any."""

    id: str
    attribution: bool = False
    non_commercial: bool = False
    no_derivatives: bool = False
    share_alike: frozenset[str] = frozenset()


class Source(NamedTuple):
    """What a row was made from, and under which licence: `what` is text, model or contributor."""

    what: str
    licence: str


class Clash(NamedTuple):
    """Why rows cannot be published under a licence. `why`: unknown, no derivatives, share-alike, ..."""

    source: Source
    why: str
    rows: int


def _terms(
    ids: str, *, attribution: bool = False, non_commercial: bool = False, no_derivatives: bool = False
) -> dict[str, Terms]:
    return {id: Terms(id, attribution, non_commercial, no_derivatives) for id in ids.split()}


def _share_alike(ids: str, *under: str, non_commercial: bool = False) -> dict[str, Terms]:
    return {
        id: Terms(id, attribution=True, non_commercial=non_commercial, share_alike=frozenset({id, *under}))
        for id in ids.split()
    }


TABLE: dict[str, Terms] = {
    **_terms("CC0-1.0 PDDL-1.0 CC-PDDC Unlicense 0BSD"),
    **_terms("CC-BY-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 ODC-By-1.0 CDLA-Permissive-2.0", attribution=True),
    **_terms("OGL-UK-3.0 etalab-2.0 NLOD-2.0 MIT Apache-2.0 BSD-2-Clause BSD-3-Clause", attribution=True),
    **_share_alike("CC-BY-SA-1.0"),  # the one version that knows no later one
    **_share_alike("CC-BY-SA-2.0 CC-BY-SA-2.5 CC-BY-SA-3.0 CC-BY-SA-4.0", "CC-BY-SA-4.0"),
    **_share_alike("ODbL-1.0"),
    **_share_alike("GFDL-1.2 GFDL-1.3", "GFDL-1.3"),
    **_terms("CC-BY-NC-1.0 CC-BY-NC-2.0 CC-BY-NC-2.5 CC-BY-NC-3.0 CC-BY-NC-4.0", attribution=True, non_commercial=True),
    **_share_alike("CC-BY-NC-SA-1.0", non_commercial=True),
    **_share_alike(
        "CC-BY-NC-SA-2.0 CC-BY-NC-SA-2.5 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0", non_commercial=True
    ),
    **_terms("CC-BY-ND-2.0 CC-BY-ND-2.5 CC-BY-ND-3.0 CC-BY-ND-4.0", attribution=True, no_derivatives=True),
    **_terms(
        "CC-BY-NC-ND-2.0 CC-BY-NC-ND-2.5 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0",
        attribution=True,
        non_commercial=True,
        no_derivatives=True,
    ),
}
# What releases are published under, the least that is asked first.
TARGETS = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "ODbL-1.0", "GFDL-1.3", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0")
# Licences of software ask for their notice beside copies of the model, and nothing of what it writes.
SOFTWARE = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Unlicense"}
# As data sets spell them; a version that is not named is taken for the newest.
ALIASES = {
    "cc0": "CC0-1.0", "cc-zero": "CC0-1.0", "public-domain": "CC-PDDC", "pd": "CC-PDDC", "cc-by": "CC-BY-4.0",
    "cc-by-sa": "CC-BY-SA-4.0", "cc-by-nc": "CC-BY-NC-4.0", "cc-by-nc-sa": "CC-BY-NC-SA-4.0",
    "cc-by-nd": "CC-BY-ND-4.0", "cc-by-nc-nd": "CC-BY-NC-ND-4.0", "odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0", "gfdl": "GFDL-1.3", "apache": "Apache-2.0", "apache-2": "Apache-2.0",
}  # fmt: skip
BY_SPELLING = {id.lower(): id for id in TABLE} | ALIASES
ADDRESS = re.compile(
    r"https?://creativecommons\.org/(?:licenses/([a-z-]+)/([\d.]+)|publicdomain/(zero|mark)/)\S*", re.I
)


def spdx(licence: str) -> str:
    """The SPDX id of one licence however a source spelt it; empty where it is none of the table.

    >>> spdx("CC BY-SA 4.0"), spdx("https://creativecommons.org/licenses/by/3.0/"), spdx("ask us")
    ('CC-BY-SA-4.0', 'CC-BY-3.0', '')
    """
    if address := ADDRESS.fullmatch(licence.strip()):
        kind, version, domain = address.groups()
        named = f"cc-{kind}-{version}" if kind else ("cc0" if domain.lower() == "zero" else "pd")
    else:
        named = re.sub(r"\s*\(.*\)$", "", licence.strip(), flags=re.DOTALL)  # a remark behind it
    return BY_SPELLING.get(re.sub(r"[\s_]+", "-", named.lower()), "")


def clash(source: Source, target: str) -> str:
    """Why what was made from that cannot be published under `target`; empty where it can.

    "A OR B" is whichever fits, "A AND B" both. Of a model that tells no licence we know nothing, so nothing fits.
    """
    choices = [_clash(source._replace(licence=one), target) for one in re.split(r"\s+OR\s+", source.licence)]
    return "" if "" in choices else choices[0]


def _clash(source: Source, target: str) -> str:
    found = [_clash_of_one(source.what, one, TABLE[target]) for one in re.split(r"\s+AND\s+", source.licence)]
    return next(filter(None, found), "")


def _clash_of_one(what: str, licence: str, target: Terms) -> str:
    terms = TABLE.get(spdx(licence))
    if terms is None:
        return "unknown"
    if what == "model" and terms.id in SOFTWARE:
        return ""
    if terms.no_derivatives:
        return "no derivatives"
    if terms.share_alike and target.id not in terms.share_alike:
        return "share-alike"
    if terms.non_commercial and not target.non_commercial:
        return "non-commercial"
    if terms.attribution and not target.attribution:
        return "attribution"
    return ""


def clashes(rows: Mapping[Source, int], target: str) -> list[Clash]:
    """What stands against publishing rows of these sources under `target`, with the number of rows of each."""
    against = [Clash(source, why, number) for source, number in rows.items() if (why := clash(source, target))]
    return sorted(against, key=lambda found: (-found.rows, found.source))


def least(sources: Iterable[Source]) -> str:
    """The licence that asks least of all that every source can be published under; empty where there is none."""
    sources = list(sources)
    return next((target for target in TARGETS if not any(clash(each, target) for each in sources)), "")


def nearest(rows: Mapping[Source, int]) -> tuple[str, list[Clash]]:
    """The licence under which the fewest rows stand in the way, and those."""
    tried = [(target, clashes(rows, target)) for target in TARGETS]
    return min(tried, key=lambda each: sum(found.rows for found in each[1]))
