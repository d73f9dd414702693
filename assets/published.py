"""Marts as BI sees them: each gold mart published to ClickHouse, reconciled and switched in."""

import json
from collections.abc import Iterator

import dagster as dg
from dagster_dbt import DbtProject

from assets.lineage import OWNERS
from assets.resources import HomeResource

DATABASE = "marts"


def build_published(project: DbtProject) -> list[dg.AssetsDefinition]:
    """One asset for each model of the gold layer, `marts/<name>`, published together."""
    manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model" and n["schema"] == "gold"]
    marts = {model["name"]: model["description"] for model in models if not model["name"].startswith("_")}

    @dg.multi_asset(
        name="publish",
        can_subset=True,
        specs=[
            dg.AssetSpec(
                [DATABASE, name],
                deps=[name],
                group_name="published",
                description=f"ClickHouse table {DATABASE}.{name}. {description}",
                owners=OWNERS,
                kinds={"clickhouse"},
                skippable=True,
            )
            for name, description in sorted(marts.items())
        ],
    )
    def publish(context: dg.AssetExecutionContext, home: HomeResource) -> Iterator[dg.MaterializeResult[None]]:
        """Publish the selected marts at the versions this run has built."""
        from serving.publish import publish_marts

        snapshot = home.repin(context.run_id, "silver", "gold", "rules", "ml").snapshot
        names = sorted(key.path[-1] for key in context.selected_asset_keys)
        built = [name for name in names if f"gold/{name}" in snapshot]
        for published in publish_marts(
            home.settings(), home.lake(), snapshot, built, run_id=context.run_id, manifest_path=project.manifest_path
        ):
            yield dg.MaterializeResult(
                asset_key=[DATABASE, published.mart],
                metadata={
                    "dagster/row_count": published.rows,
                    "delta_version": published.delta_version,
                    "checksum": published.checksum,
                    "published_at": dg.MetadataValue.timestamp(published.published_at),
                    "unchanged": published.is_unchanged,
                },
            )

    return [publish]
