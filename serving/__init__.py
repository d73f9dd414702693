"""Published marts: writing them to ClickHouse, and the HTTP front of the embedded engine.

The only package that imports `clickhouse_connect` and `chdb`, and only inside functions: importing `serving` is cheap.
Start at `serving.publish.publish_marts`, `serving.query.run_query` or `serving.http.serve`.
"""
