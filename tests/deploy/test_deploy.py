"""What lies in deploy/ can be read by its tools, names settings that exist, and holds no secret."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from lakehouse.settings import Settings, load_settings, setting_names

FOLDER = Path(__file__).parents[2] / "deploy"
ROOT = FOLDER.parent
SECRETS = {f"UNMOGROWP_{n.upper()}" for n, f in Settings.model_fields.items() if f.annotation == SecretStr | None}


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8")))


class _Repeating(dict[str, Any]):
    """systemd lists a name more than once."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self and isinstance(value, list):
            self[name].extend(value)
        else:
            super().__setitem__(name, value)


def unit() -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False, dict_type=_Repeating, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / "unmogrowp-ingest.service", encoding="utf-8")
    return {name: dict(parser[name]) for name in parser.sections()}


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (FOLDER / "Containerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_every_setting_exists_and_no_secret_has_a_value() -> None:
    assert len(SECRETS) == 3
    for file in sorted(FOLDER.iterdir()):
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"UNMOGROWP_[A-Z_]+[A-Z]", text)) <= set(setting_names()), file.name
        for name in SECRETS:
            values = re.findall(rf"{name}[:=]\s*(\S.*)", text)
            assert all(value.startswith(f"${{{name}:?") for value in values), f"{file.name} gives {name} a value"
        assert not re.search(r"[A-Za-z0-9+/_-]{32,}={0,2}$", text, flags=re.MULTILINE), file.name


def test_images_run_without_rights_and_the_endpoint_is_the_base_install() -> None:
    stages: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            stages[rest.rpartition(" ")[2]] = []
            source = rest.split()[0]
            assert source in stages or re.fullmatch(r"python:3\.\d+-slim", source), "a short official name only"
        else:
            stages[list(stages)[-1]].append((word, rest))
    assert list(stages)[-1] == "endpoint", "what is built without a target is the small image"
    assert ("USER", "10001") in stages["runtime"]
    assert not any(word == "USER" for stage in ("platform", "endpoint") for word, _ in stages[stage])
    installs = [rest for word, rest in stages["build"] if word == "RUN"]
    assert len(installs) == 1
    assert "[" not in installs[0]
    assert ("COPY", "--from=build /opt/unmogrowp /opt/unmogrowp") in stages["endpoint"]
    copied = {rest.split()[0] for word, rest in stages["build"] if word == "COPY"}
    packaged = set(
        re.findall(r'"(\w+)"', (ROOT / "pyproject.toml").read_text().partition("packages = [")[2].split("]")[0])
    )
    assert packaged <= copied
    assert all((ROOT / name).exists() for name in copied)


def test_compose_is_closed_by_default() -> None:
    services = compose()["services"]
    assert set(services) == {"endpoint", "platform"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["healthcheck"]["test"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["volumes"] == ["home:/var/lib/unmogrowp"]
        assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert not any(word in json.dumps(service).lower() for word in ('privileged": true', "docker.sock"))


def test_the_environment_of_compose_makes_a_valid_endpoint(tmp_path: Path) -> None:
    from ingestion.transport import check_transport

    variables = {n: str(v) for n, v in compose()["services"]["endpoint"]["environment"].items()}
    filled = {n: re.sub(r"^\$\{(\w+):?[?-].*\}$", "", v) for n, v in variables.items()}
    settings = load_settings(filled | {"UNMOGROWP_HOME": str(tmp_path), "UNMOGROWP_SALT": "s" * 40})
    assert not check_transport(settings)
    grace = int(compose()["services"]["endpoint"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.ingest_drain_seconds + 10 + 120, "a stop lands what was acknowledged"


def test_the_unit_is_hardened_and_gives_the_drain_its_time() -> None:
    sections = unit()
    service = sections["Service"]
    for name, value in (
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("DynamicUser", "yes"),
        ("UMask", "0077"),
        ("CapabilityBoundingSet", ""),
        ("KillSignal", "SIGTERM"),
        ("StateDirectory", "unmogrowp"),
        ("StateDirectoryMode", "0700"),
    ):
        assert service[name] == value, name
    assert int(service["TimeoutStopSec"]) >= 135
    assert service["ExecStart"].endswith("unmogrowp ingest")
    assert sections["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # What it starts must exist for the check; everything else is checked as it stands.
    text = (FOLDER / "unmogrowp-ingest.service").read_text(encoding="utf-8")
    copy = tmp_path / "unmogrowp-ingest.service"
    copy.write_text(text.replace("/opt/unmogrowp/bin/unmogrowp", "/bin/true"), encoding="utf-8")
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    about_it = [text for text in result.stderr.splitlines() if "unmogrowp-ingest.service" in text]
    assert (result.returncode, about_it) == (0, [])
