"""Croissant 1.1 metadata of a release's files, with its part for responsible AI: what a machine reads of a release."""

from collections.abc import Mapping
from typing import Any

from annotation.facts import BIASES, LIMITS, MAINTAINED, MASKED, PREPARED, PROCESS, UNTOLD, Facts, answers_of
from annotation.files import FLAG, NUMBER, TEXT
from annotation.formats import FORMATS, kind_of
from annotation.surveying import RATED_MIN

# As the specification gives it.
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


def metadata(facts: Facts, said: Mapping[str, Any]) -> dict[str, Any]:
    """All of it; `said` is what the other documents are filled with, so that they agree."""
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
        "rai:machineAnnotationTools": [f"{name} ({revision})" for name, revision, _ in sorted(facts.models())],
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


def _demographics_in_words(facts: Facts) -> list[str]:
    """A sentence for each language."""
    if not facts.release.contributors:
        return []
    return [
        f"{facts.survey.names.get(code, code)}, {told['people']} people. "
        + "; ".join(f"{said}: {people}" for said, people in answers_of(told))
        for code, told in sorted(facts.release.contributors["demographics"].items())
    ] or [UNTOLD]
