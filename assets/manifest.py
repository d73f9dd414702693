"""The parsed dbt project: made once for each state of its files, and shared by all homes.

Without Dagster, as it also runs where loading that would cost more than the work. Parsing needs no data and no network.
The manifest lies in the home, as the project's folder may be read-only; where it is not, what was parsed is kept there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from lakehouse.settings import Settings, load_settings

MANIFEST: Final = "manifest.json"
DBT_EXECUTABLE: Final = str(Path(sys.executable).with_name("unmogrowp-dbt"))
_PARTIAL: Final = "partial_parse.msgpack"
_STAMP: Final = "manifest.sha256"


class ProjectError(Exception):
    """dbt cannot read the project; the message is dbt's own."""


def parsed(settings: Settings) -> Path:
    """The folder of the home with an up-to-date manifest; the project is parsed again when a file of it changed."""
    target = settings.home / "dbt" / "target"
    with _parsing(target):
        state = _project_hash(settings.dbt_project)
        if not _is_parsed(target, state):
            kept = settings.dbt_project / "target" / "parsed"
            if not _take(kept, target, state):
                _parse(settings, target)
                (target / _STAMP).write_text(state, encoding="utf-8")
                with suppress(OSError):
                    _take(target, kept, state)
    return target


def start_parse(settings: Settings) -> None:
    """Begin parsing in a process of its own; `parsed` then waits for it or finds its manifest."""
    subprocess.Popen(
        [sys.executable, "-m", "assets.manifest"],
        env=dict(os.environ) | {"UNMOGROWP_HOME": str(settings.home)},
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # an error shows again when the run parses
    )


def _is_parsed(folder: Path, state: str) -> bool:
    stamp = folder / _STAMP
    return (folder / MANIFEST).is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == state


def _take(source: Path, target: Path, state: str) -> bool:
    """Copy what was parsed from the project in this state; False if `source` has another one.

    The stamp goes last, and is looked at again, so that two processes at once leave nothing mixed.
    """
    if not _is_parsed(source, state):
        return False
    target.mkdir(parents=True, exist_ok=True)
    for name in (_PARTIAL, MANIFEST, _STAMP):
        copy = target / f".{name}.{os.getpid()}"
        shutil.copyfile(source / name, copy)
        copy.replace(target / name)
    return _is_parsed(source, state)


@contextmanager
def _parsing(target: Path) -> Iterator[None]:
    """One parse of a home at a time."""
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".parsing.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _parse(settings: Settings, target: Path) -> None:
    environment = dict(os.environ) | {"DBT_LOG_PATH": str(settings.home / "dbt" / "logs")}
    arguments = [DBT_EXECUTABLE, "--quiet", "parse", "--target-path", str(target)]
    arguments += ["--project-dir", str(settings.dbt_project), "--profiles-dir", str(settings.dbt_project)]
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ProjectError(f"dbt cannot parse {settings.dbt_project}:\n{result.stdout}{result.stderr}")


def _project_hash(folder: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    kept = (p for p in folder.rglob("*") if p.suffix in {".sql", ".csv", ".yml", ".md"} and p.is_file())
    for file in sorted(kept):
        relative = file.relative_to(folder)
        if relative.parts[0] not in {"target", "logs", "dbt_packages"}:
            digest.update(str(relative).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    parsed(load_settings())
