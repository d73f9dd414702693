"""A process that runs dbt commands one after the other: the real dbtRunner, imported once for all tests.

Each line on stdin is {"args": [...], "env": {...}, "project": path}; each line on stdout answers with the outcome.
Every command gets a DuckDB of its own and a project parsed at most once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any


def main() -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    from lakehouse.processes import collect_less_often

    collect_less_often()
    inherited = dict(os.environ)
    manifests: dict[str, Any] = {}
    answers = sys.stdout
    for line in sys.stdin:
        order = json.loads(line)
        project = order["project"]
        os.environ.clear()
        os.environ.update(inherited | order["env"])
        DuckDBConnectionManager.close_all_connections()
        places = ["--project-dir", project, "--profiles-dir", project]
        with contextlib.redirect_stdout(sys.stderr):
            if project not in manifests:
                parsed = dbtRunner().invoke(["--quiet", "parse", *places])
                if not parsed.success:
                    raise RuntimeError(f"dbt cannot parse {project}: {parsed.exception}")
                manifests[project] = parsed.result
            result = dbtRunner(manifest=manifests[project]).invoke(["--quiet", *order["args"], *places])
        nodes = {
            node.node.name: [str(node.status), str(node.message or "")]
            for node in getattr(result.result, "results", None) or []
            if hasattr(node, "node")
        }
        answer = {"success": result.success, "error": str(result.exception or ""), "nodes": nodes}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
