"""The repository's own conventions: what a reader may rely on without being told."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "assets", "decisions", "ingestion", "lakehouse", "models_ml", "orchestration", "quality", "serving", "simulator",
)  # fmt: skip
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
MAX_LINES = 400
MAX_README_LINES = 40


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def modules() -> list[Path]:
    return [path for package in (*PACKAGES, "bench") for path in tracked(f"{package}/*.py")]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_belongs_in_it_and_stays_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), "the module opens without a docstring"
    assert len(source.splitlines()) <= MAX_LINES
    assert path.stem not in BANNED_NAMES, "name a module by its domain"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_ours_and_has_a_short_readme(package: str) -> None:
    located = subprocess.run(
        [sys.executable, "-c", f"import {package}; print({package}.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(located.stdout.strip()).is_relative_to(ROOT), "another distribution shadows the package"
    readme = ROOT / package / "README.md"
    assert readme.is_file()
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES


def test_settings_named_in_documents_exist() -> None:
    from lakehouse.settings import INTERNAL_VARIABLES, PREFIX, setting_names

    known = set(setting_names()) | INTERNAL_VARIABLES
    for path in tracked("*.md", ".env.example", "deploy/*"):
        named = set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8")))
        assert named <= known, f"{path.relative_to(ROOT)} names settings that do not exist"


def test_commands_named_in_documents_exist() -> None:
    from orchestration.cli import COMMANDS

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for path in tracked("*.md"):
        text = path.read_text(encoding="utf-8")
        commands = set(re.findall(r"(?:`|^ {4})unmogrowp ([a-z]+)", text, flags=re.MULTILINE))
        assert commands <= set(COMMANDS), f"{path.relative_to(ROOT)} names commands that do not exist"
        made = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, flags=re.MULTILINE))
        assert made <= targets, f"{path.relative_to(ROOT)} names make targets that do not exist"


def test_links_between_documents_lead_somewhere() -> None:
    for path in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_no_large_or_generated_file_is_committed() -> None:
    for path in tracked():
        assert path.stat().st_size < 512 * 1024 or path.name == "requirements.lock", path
        assert path.suffix not in {".pyc", ".duckdb", ".parquet", ".db", ".pkl"}, path


def test_the_lock_has_what_the_project_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(item for items in project["optional-dependencies"].values() for item in items)]
    locked = set(
        re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    names = {re.split(r"[<>=~! ;\[]", item)[0].lower().replace("_", "-") for item in asked}
    assert names <= locked
