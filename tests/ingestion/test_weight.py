"""The endpoint stays light: a process that took and landed records has loaded neither dagster nor pandas."""

from __future__ import annotations

import os
import subprocess
import sys

from lakehouse.settings import Settings
from tests.ingestion.rig import APP, SALT, bronze, register_apps

CODE = """
import http.client, json, sys, threading, time
from ingestion.server import serve
from lakehouse.settings import load_settings

stop = threading.Event()

def send(address):
    def work():
        connection = http.client.HTTPConnection(address.host, address.port)
        click = {"app_id": "APP", "record_id": "r1", "record_type": "click", "partner": "x"}
        for body in (json.dumps(click), json.dumps(click | {"ip": "203.0.113.9", "idfa": "0"}) + "\\nbad"):
            headers = {"x-write-key": "KEY", "content-type": "application/x-ndjson"}
            connection.request("POST", "/v1/events", body, headers)
            response = connection.getresponse()
            print(response.status, len(response.read()) > 0)
            time.sleep(0.5)  # so that each is a batch of its own
        stop.set()
    threading.Thread(target=work).start()

settings = load_settings()
serve(settings, on_ready=send, stop=stop)
# What the lander does in a process of its own, the importer does in this one.
import pathlib
from ingestion.importer import import_file
file = pathlib.Path(settings.home, "clicks.ndjson")
click = {"app_id": "APP", "record_id": "r2", "record_type": "click", "partner": "x", "ip": "203.0.113.9"}
file.write_text(json.dumps(click))
print(import_file(settings, file, "native").accepted)
heavy = ("dagster", "pandas", "polars", "mlflow", "dbt", "chdb", "lightgbm", "starlette", "great_expectations")
print([name for name in heavy if name in sys.modules])
"""


def test_serving_and_landing_load_neither_dagster_nor_pandas(settings: Settings) -> None:
    keys = register_apps(settings)
    environment = {"PATH": os.environ["PATH"], "UNMOGROWP_HOME": str(settings.home), "UNMOGROWP_SALT": SALT}
    code = CODE.replace("KEY", keys["game"]).replace("APP", APP)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"UNMOGROWP_INGEST_PORT": "0", "UNMOGROWP_INGEST_COMMIT_SECONDS": "0.05"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout.split("\n")[:4]) == (0, ["200 True", "207 True", "1", "[]"]), result.stderr
    assert (len(bronze(settings, "bronze_touchpoints")), len(bronze(settings, "bronze_network"))) == (3, 2)
