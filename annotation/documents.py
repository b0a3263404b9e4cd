"""Documents that come with a release's files, all from one set of facts: a dataset card for the Hub, a data statement,
and Croissant metadata with its part for responsible AI.

They are written in English, for whoever uses the data. Numbers follow from the frozen rows alone, so the documents of
a release are the same wherever they are written. What is not known is said to be not known.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from annotation.files import FLAG, NUMBER, TEXT
from annotation.formats import FORMATS, PAIRS, RATINGS, kind_of
from annotation.surveying import RATED_MIN, Survey
from generation.models import PREFERENCES, Release, Split

CARD, STATEMENT, CROISSANT = DOCUMENTS = ("README.md", "DATA_STATEMENT.md", "croissant.json")
SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")
# As the Hub spells the licences that a release can have.
ON_THE_HUB = {
    "CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0", "CC-BY-SA-4.0": "cc-by-sa-4.0", "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "CC-BY-NC-SA-4.0": "cc-by-nc-sa-4.0", "ODbL-1.0": "odbl", "GFDL-1.3": "gfdl",
}  # fmt: skip
WHAT = {
    PAIRS: "an English instruction, written or checked by native speakers, with a natural text that answers it",
    PREFERENCES: "an English instruction that native speakers wanted for a text, and a draft that they did not",
    RATINGS: "what native speakers said of an English instruction for a natural text",
}


MARKUP = re.compile(r"[\\`*_\[\]~]")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the documents say is said from here. `files`: what the manifest says of each file."""

    release: Release
    survey: Survey
    files: Mapping[str, Mapping[str, Any]]

    @property
    def licence(self) -> str:
        return self.release.licence or "unknown"

    @property
    def licence_url(self) -> str:
        return f"https://spdx.org/licenses/{self.release.licence}.html" if self.release.licence else ""

    @property
    def url(self) -> str:
        """Where the data are published; a name and no address where nobody has said."""
        return settings.PUBLISHED_AT or f"urn:sha256:{self.release.sha256}"

    @property
    def published(self) -> str:
        return self.release.ready_at.date().isoformat() if self.release.ready_at else ""

    @property
    def description(self) -> str:
        languages = ", ".join(self.survey.names[code] for code in sorted(self.survey.names))
        return f"{self.survey.rows:,} rows in {languages}: each {WHAT[kind_of(self.release)]}."

    def by_format(self) -> dict[str, dict[str, list[str]]]:
        """Names of files by format and split. Where a release has no splits, all of it is for training."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name, said in sorted(self.files.items()):
            found[said["format"]][said["split"] or Split.TRAIN.value].append(name)
        order = list(Split)
        return {
            format: dict(sorted(found[format].items(), key=lambda part: order.index(Split(part[0]))))
            for format in FORMATS
            if format in found
        }


def written(facts: Facts) -> dict[str, bytes]:
    """Every document by its file's name."""
    with translation.override("en"):
        said = _said(facts)
        card = f"---\n{_card_data(facts)}\n---\n\n{render_to_string('annotation/documents/card.md', said)}"
        statement = render_to_string("annotation/documents/data_statement.md", said)
    croissant = json.dumps(_croissant(facts, said), ensure_ascii=False, indent=2)
    texts = {CARD: card, STATEMENT: statement, CROISSANT: croissant}
    return {name: f"{text.strip()}\n".encode() for name, text in texts.items()}


# Words and tables


def _said(facts: Facts) -> dict[str, Any]:
    """What the templates are filled with: words and finished tables, so that no number is formatted twice."""
    release, survey = facts.release, facts.survey
    kind, models = kind_of(release), _models(survey)
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


def _models(survey: Survey) -> Counter[tuple[str, str, str]]:
    """Who drafted how many of the instructions that people began with."""
    return Counter({model: rows for model, rows in survey.by("model").items() if model})


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
                f"`{name}`",
                said["format"],
                said["split"] or "all",
                f"{said['rows']:,}",
                f"`{said['sha256']}`",
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
            for said, people in (("(all)", told["people"]), *_answers(told))
        ),
    )


def _demographics_in_words(facts: Facts) -> list[str]:
    """A sentence for each language."""
    if not facts.release.contributors:
        return []
    return [
        f"{facts.survey.names.get(code, code)}, {told['people']} people. "
        + "; ".join(f"{said}: {people}" for said, people in _answers(told))
        for code, told in sorted(facts.release.contributors["demographics"].items())
    ] or [UNTOLD]


def _answers(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    answers = sorted(told["answers"].items())
    return [
        (f"{question}: {answer}", people) for question, cells in answers for answer, people in sorted(cells.items())
    ]


def _credited(release: Release) -> str:
    """Names as their owners typed them, as text that marks up nothing."""
    names = sorted(set(release.contributors.get("credited", {}).values()), key=lambda name: (name.casefold(), name))
    return _table(("Contributors who asked to be named",), ((MARKUP.sub(r"\\\g<0>", name),) for name in names))


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
    return " ".join(str(said).split()).replace("|", "\\|").replace("<", "&lt;")


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
    drafted = ["machine-generated"] if _models(survey) or release.holds_ratings else []
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


# Croissant

# The context of the 1.1 specification.
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
TYPES = {TEXT: "sc:Text", FLAG: "sc:Boolean", NUMBER: "sc:Integer"}


def _croissant(facts: Facts, said: Mapping[str, Any]) -> dict[str, Any]:
    release, survey = facts.release, facts.survey
    publisher = {"@type": "sc:Organization", "name": said["publisher"], "email": said["contact"] or None}
    about = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": release.name,
        "description": facts.description,
        "license": facts.licence_url or facts.licence,
        "url": facts.url,
        "version": release.version,
        "datePublished": facts.published,
        "inLanguage": ["en", *sorted(survey.names)],
        "keywords": ["instruction tuning", "low-resource languages", kind_of(release)],
        "creator": publisher,
        "publisher": publisher,
        "citeAs": f"{said['publisher']}: {release.name} {release.version}, {facts.published}. sha256 {release.sha256}",
        "isLiveDataset": False,
        "prov:wasDerivedFrom": sorted(filter(None, survey.by("source"))),
        "rai:dataCollection": "Texts of the web, imported with their source, address and licence; people turn them "
        "into instruction data by writing or checking the English instruction that each text answers.",
        "rai:dataCollectionType": ["Web Scraping", "Manual Human Curator", "Crowdsourcing"],
        "rai:dataCollectionRawData": "Untouched texts stay with the publisher and are not part of the files.",
        "rai:dataPreprocessingProtocol": [PREPARED],
        "rai:dataAnnotationProtocol": [PROCESS],
        "rai:dataAnnotationPlatform": ["xinstruct " + str(release.versions.get("xinstruct", ""))],
        "rai:dataAnnotationAnalysis": [said["agreement"] or f"Fewer than {RATED_MIN} rows were rated by two people."],
        "rai:annotationsPerItem": f"People behind a row: {said['raters']}",
        "rai:annotatorDemographics": [said["annotators"], *_demographics_in_words(facts)],
        "rai:machineAnnotationTools": [f"{name} ({revision})" for name, revision, _ in sorted(_models(survey))],
        "rai:personalSensitiveInformation": [f"{MASKED} This is so in {said['masked']} of the rows."],
        "rai:dataUseCases": ["Training and evaluating models that follow instructions and answer in these languages."],
        "rai:dataLimitations": LIMITS,
        "rai:dataBiases": BIASES,
        "rai:dataReleaseMaintenancePlan": MAINTAINED,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{file['bytes']} B",
                "encodingFormat": FORMATS[file["format"]].file.mime,
                "sha256": file["sha256"],
            }
            for name, file in sorted(facts.files.items())
        ],
        "recordSet": [_record_set(name, file) for name, file in sorted(facts.files.items())],
    }
    return {key: value for key, value in about.items() if value}


def _record_set(name: str, file: Mapping[str, Any]) -> dict[str, Any]:
    """What one file's rows look like. Lists of turns are told with their two parts; other nested columns are left to
    the reader of the file."""
    fields = []
    for column, holds in file["columns"].items():
        id = f"{name}#rows/{column}"
        if isinstance(holds, list):
            parts = [
                _field(name, f"{id}/{part}", column, file, dataType="sc:Text", transform={"jsonPath": part})
                for part in holds
            ]
            fields.append({"@type": "cr:Field", "@id": id, "name": column, "repeated": True, "subField": parts})
        elif holds in TYPES or FORMATS[file["format"]].file.is_table:
            fields.append(_field(name, id, column, file, dataType=TYPES.get(holds, "sc:Text")))
    return {
        "@type": "cr:RecordSet",
        "@id": f"{name}#rows",
        "name": f"{name}: rows",
        "description": f"{file['rows']} rows in the format {file['format']}, split {file['split'] or 'all'}.",
        "field": fields,
    }


def _field(
    name: str, id: str, column: str, file: Mapping[str, Any], *, transform: dict[str, str] | None = None, **said: str
) -> dict[str, Any]:
    in_array = FORMATS[file["format"]].file.suffix == "json"
    source: dict[str, Any] = {
        "fileObject": {"@id": name},
        "extract": {"jsonPath": f"$[*].{column}"} if in_array else {"column": column},
    }
    if transform:
        source["transform"] = transform
    return {"@type": "cr:Field", "@id": id, "name": id.rpartition("/")[2], **said, "source": source}


# What is true of every release, said once

PREPARED = (
    "Texts were repaired (mojibake) and normalised (NFC) once, at import; judged by length, repetition, script and "
    "language; and cut at paragraphs where a page was long. Exact and near duplicates were left out. Passages that "
    "people marked as not belonging, such as menus and footers, were cut."
)
PROCESS = (
    "A model drafts English instructions for a text; native speakers of the text's language choose, edit or write one "
    "and rate alignment, instruction and text from 1 to 5. A pair is accepted when as many people as the language's "
    "policy asks for accept the same words and their overall ratings differ by less than 2; a policy may let an accept "
    "of experienced people count alone. What people dispute is decided by a linguist, or stays out."
)
MASKED = (
    "E-mail and IP addresses, telephone numbers, and numbers of identity papers, cards and accounts are masked where "
    "they were recognised; names are not."
)
ANNOTATORS = (
    "Reviewers were invited by those who lead the language. What follows is what some of them chose to say of "
    "themselves, counted per language; everything else about them is kept apart from the data. Counts are told in "
    "steps of five: none of fewer than five people, nor one from which such a count would follow."
)
UNTOLD = "Too few people, or too few answers, to tell any of it."
NOT_HERE = (
    "Not part of these files. Reviewers were invited by those who lead the language; who they are, and anything about "
    "them, is kept apart from the data."
)
AGREED = (
    "Figures of agreement are of the people who decided for a row, and a row is accepted only where they are close: on "
    "all texts the share of equal levels is lower, and α, which asks how far people tell rows apart, may be higher."
)
AGREED_ON_ALL = "Figures of agreement are of everybody who rated an item, whether it was accepted or not."
LIMITS = [
    "Responses are texts of the web and were not written as answers; facts in them were not verified.",
    "Recognising personal data misses some of it.",
]
BIASES = [
    "What the web holds in a language is not what its speakers say: some genres, regions and ages write more of it.",
    "Reviewers chose to take part, and few of them may stand behind many rows of a language.",
]
MAINTAINED = (
    "A release never changes. Corrections come as a new version, with the number of rows added, edited and withdrawn. "
    "Rows that are taken down are emptied where they are kept, and the release is withdrawn."
)
