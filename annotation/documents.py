"""Documents that come with a release's files, all from one set of facts: a dataset card for the Hub, a data statement,
and Croissant metadata (croissant.py).

They are written in English, for whoever uses the data. Numbers follow from the frozen rows alone, so the documents of
a release are the same wherever they are written.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from annotation.croissant import metadata
from annotation.facts import (
    AGREED,
    AGREED_ON_ALL,
    ANNOTATORS,
    BIASES,
    LIMITS,
    MAINTAINED,
    MASKED,
    NOT_HERE,
    PREPARED,
    PROCESS,
    UNTOLD,
    WHAT,
    Facts,
    answers_of,
)
from annotation.formats import FORMATS, RATINGS, kind_of
from annotation.surveying import RATED_MIN, Survey
from generation.models import Release, Split

CARD, STATEMENT, CROISSANT = DOCUMENTS = ("README.md", "DATA_STATEMENT.md", "croissant.json")
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
# As the Hub spells the licences that a release can have.
ON_THE_HUB = {
    "CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "CC-BY-SA-4.0": "cc-by-sa-4.0", "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0", "ODbL-1.0": "odbl", "GFDL-1.3": "gfdl",
}  # fmt: skip


MARKUP = re.compile(r"[\\`*_\[\]~]")


class Code(str):
    """A cell of ours that is set as it stands: a file's name, a hash."""

    __slots__ = ()


def written(facts: Facts) -> dict[str, bytes]:
    """Every document by its file's name."""
    with translation.override("en"):
        said = _said(facts)
        card = f"---\n{_card_data(facts)}\n---\n\n{render_to_string('annotation/documents/card.md', said)}"
        statement = render_to_string("annotation/documents/data_statement.md", said)
    croissant = json.dumps(metadata(facts, said), ensure_ascii=False, indent=2)
    texts = {CARD: card, STATEMENT: statement, CROISSANT: croissant}
    return {name: f"{text.strip()}\n".encode() for name, text in texts.items()}


# Words and tables


def _said(facts: Facts) -> dict[str, Any]:
    """What the templates are filled with: words and finished tables, so that no number is formatted twice."""
    release, survey = facts.release, facts.survey
    kind, models = kind_of(release), facts.models()
    sources = survey.by("source", "licence")
    crawled = sorted(filter(None, survey.by("crawled")))
    return {
        "facts": facts,
        "release": release,
        "kind": kind,
        "what": WHAT[kind],
        "rows": f"{survey.rows:,}",
        "publisher": settings.PUBLISHER or "a publisher who is not named",
        "published_at": settings.PUBLISHED_AT or "not said",
        "tells_drafts": kind != RATINGS,  # where the instruction comes from
        "contact": settings.PUBLISHER_CONTACT,
        "languages": _languages(survey),
        "splits": _splits(survey),
        "files": _files(facts),
        "lengths": _table(
            ("Language", "Instruction, characters", "Response, characters"),
            ((name, *survey.chars(code)) for code, name in sorted(survey.names.items())),
        ),
        "sources": _table(
            ("Source", "Licence of its texts", "Rows"),
            ((source or "not recorded", licence, f"{rows:,}") for (source, licence), rows in _most(sources)),
        ),
        "models": _table(
            ("Model", "Revision", "Licence", "Rows"),
            (
                (name, revision, licence or "not recorded", f"{rows:,}")
                for (name, revision, licence), rows in _most(models)
            ),
        ),
        "own_words": f"{survey.rows - models.total():,}",
        "edited": _share(survey.by("is_edited")[True], survey.rows),
        "audited": _share(survey.by("is_audited")[True], survey.rows),
        "masked": _share(survey.by("is_masked")[True], survey.rows),
        "given": _share(survey.by("has_input")[True], survey.rows),
        "origins": ", ".join(f"{origin}: {rows:,}" for origin, rows in _most(survey.by("origin")) if origin),
        "prompts": ", ".join(release.versions.get("prompts") or ()),
        "guidelines": _by_language(survey.guidelines()),
        "policies": release.versions.get("policies") or {},
        "agreements": ", ".join(str(version) for version in sorted(survey.agreements())),
        "crawled": f"{crawled[0]} to {crawled[-1]}" if crawled else "",
        "raters": "; ".join(f"{people}: {rows:,} rows" for people, rows in sorted(survey.raters().items())),
        "agreement": _agreement(survey),
        "rated_min": RATED_MIN,
        "changes": _changes(release),
        "query": json.dumps(release.query, ensure_ascii=False, sort_keys=True),
        "prepared": PREPARED,
        "process": PROCESS,
        "masked_words": MASKED,
        "annotators": ANNOTATORS if release.contributors else NOT_HERE,
        "demographics": release.contributors and (_demographics(facts) or UNTOLD),
        "credited": _credited(release),
        "limits": LIMITS,
        "biases": BIASES,
        "maintained": MAINTAINED,
        "agreed": AGREED_ON_ALL if kind == RATINGS else AGREED,
    }


def _languages(survey: Survey) -> str:
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind in ("variety", "orthography"):
        for (code, name), rows in _most(survey.by("language", kind)):
            if name:
                named[code, kind].append(f"{name} ({rows:,})")
    return _table(
        ("Language", "BCP 47", "Varieties that people named", "Orthographies that people named", "Rows"),
        (
            (
                survey.names[code],
                code,
                ", ".join(named[code, "variety"]) or "none named",
                ", ".join(named[code, "orthography"]) or "none named",
                f"{rows:,}",
            )
            for code, rows in sorted(survey.by("language").items())
        ),
    )


def _splits(survey: Survey) -> str:
    counts = survey.by("language", "split")
    names = [split for split in Split.values if split in survey.by("split")]
    return _table(
        ("Language", *names),
        ((survey.names[code], *(f"{counts[code, split]:,}" for split in names)) for code in sorted(survey.names)),
    )


def _files(facts: Facts) -> str:
    return _table(
        ("File", "Format", "Split", "Rows", "SHA-256", "Columns of the release that it does not hold"),
        (
            (
                Code(name),
                said["format"],
                said["split"] or "all",
                f"{said['rows']:,}",
                Code(said["sha256"]),
                ", ".join(said["drops"]) or "none: it holds all",
            )
            for name, said in sorted(facts.files.items())
        ),
    )


def _agreement(survey: Survey) -> str:
    found = {code: survey.agreement(code) for code in sorted(survey.names)}
    return _table(
        (
            "Language",
            "Rows that two people or more rated",
            "All gave the same level",
            "Krippendorff's α (95 % interval)",
        ),
        (
            (
                survey.names[code],
                f"{told[0]:,}",
                f"{100 * told[1]:.1f} %",
                f"{told[2].value:.2f} ({told[2].low:.2f} to {told[2].high:.2f})" if told[2] else "not defined",
            )
            for code, told in found.items()
            if told
        ),
    )


def _demographics(facts: Facts) -> str:
    return _table(
        ("Language", "What they said", "People"),
        (
            (facts.survey.names.get(code, code), said, people)
            for code, told in sorted(facts.release.contributors.get("demographics", {}).items())
            for said, people in (("(all)", told["people"]), *answers_of(told))
        ),
    )


def _credited(release: Release) -> str:
    """Names as their owners typed them."""
    names = sorted(set(release.contributors.get("credited", {}).values()), key=lambda name: (name.casefold(), name))
    return _table(("Contributors who asked to be named",), ((name,) for name in names))


def _changes(release: Release) -> str:
    return _table(
        ("Language", *release.changelog),
        (
            (code, *(f"{changed.get(code, 0):,}" for changed in release.changelog.values()))
            for code in sorted({code for changed in release.changelog.values() for code in changed})
        ),
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table of Markdown; nothing where there are no rows. What stands in a cell stays in it and marks up nothing."""
    lines = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    heads = list(heads)
    return "\n".join((f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines)) if lines else ""


def _cell(said: object) -> str:
    if isinstance(said, Code):
        return f"`{said}`"
    return MARKUP.sub(r"\\\g<0>", " ".join(str(said).split())).replace("|", "\\|").replace("<", "&lt;")


def _most(counted: Mapping[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counted.items(), key=lambda each: (-each[1], each[0]))


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / max(whole, 1):.1f} %)"


def _by_language(versions: Iterable[tuple[str, int | None]]) -> str:
    found: dict[str, list[str]] = defaultdict(list)
    for code, version in sorted(versions, key=lambda said: (said[0], said[1] or 0)):
        found[code].append(str(version) if version else "none in force")
    return "; ".join(f"{code}: {', '.join(said)}" for code, said in found.items())


# The card's head


def _card_data(facts: Facts) -> str:
    from huggingface_hub import DatasetCardData

    survey, release = facts.survey, facts.release
    codes = sorted(survey.names)
    by_format = _loadable(facts.by_format())
    hub_licence = ON_THE_HUB.get(release.licence, "other" if release.licence else "unknown")
    drafted = ["machine-generated"] if facts.models() or release.holds_ratings else []
    named: dict[str, Any] = {}
    if hub_licence == "other":
        named = {"license_name": release.licence, "license_link": facts.licence_url}
    data = DatasetCardData(
        language=sorted({code.split("-")[0].lower() for code in codes} | {"en"}),
        license=hub_licence,
        annotations_creators=["crowdsourced", *drafted],
        language_creators=["found", "crowdsourced", *drafted],
        multilinguality=["multilingual"],
        size_categories=[SIZES[min(max(len(str(survey.rows)) - 3, 0), len(SIZES) - 1)]],
        source_datasets=sorted({f"extended|other-{source}" for source in survey.by("source") if source}),
        task_categories=["text-generation"],
        pretty_name=f"{release.name} {release.version}",
        config_names=list(by_format),
        **named,
        language_details=", ".join(["en", *codes]),
        version=release.version,
        tags=["instruction-tuning", "x-instruction", "human-reviewed", kind_of(release)],
        configs=[
            {
                "config_name": format,
                "data_files": [{"split": split, "path": names} for split, names in parts.items()],
                **({"default": True} if format == next(iter(by_format)) else {}),
            }
            for format, parts in by_format.items()
        ],
        dataset_info=[
            {
                "config_name": format,
                "splits": [
                    {
                        "name": split,
                        "num_bytes": sum(facts.files[name]["bytes"] for name in names),
                        "num_examples": sum(facts.files[name]["rows"] for name in names),
                    }
                    for split, names in parts.items()
                ],
            }
            for format, parts in by_format.items()
        ],
    )
    return data.to_yaml()


def _loadable(by_format: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """The formats of one kind of file: `load_dataset` reads a folder with one reader, so the card names those that go
    with most of the formats. The others are read by the names of their files."""
    readers = {format: FORMATS[format].file.reader for format in by_format}
    one = max(readers.values(), key=list(readers.values()).count)
    return {format: parts for format, parts in by_format.items() if readers[format] == one}
