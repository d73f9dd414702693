"""Installs that turn out to be internal: a part of the date sets of a plan.

One record with a listed id makes all records of its install internal, also those of other days that are known already.
"""

from __future__ import annotations

from typing import Final

import duckdb

_HIT: Final = """
    r.app_id in (e.app_id, '*') and case r.filter_kind
        when 'install_id' then r.filter_value = e.install_id
        when 'user_id' then r.filter_value = e.user_id
        when 'device_id' then r.filter_value in (e.idfa, e.gaid, e.oaid, e.idfv, e.app_set_id, e.android_id)
        when 'ip_prefix' then e.record_type = 'install' and r.filter_value = e.ip_prefix
        when 'app_version' then e.record_type = 'install' and r.filter_value = e.app_version
        else false end
"""


def find_internal_installs(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `internal_installs` of those that no known record gives away, but a new one does."""
    hit = f"""
        select distinct e.app_id, e.install_id from {{0}} e join rules.rule_internal_traffic r on {_HIT}
        where e.install_id is not null
    """
    connection.execute(
        f"""
        create temp table internal_installs as
            with hit as ({hit.format("bronze_new.bronze_app_events")})
            select * from hit anti join (
                {hit.format("(select s.* from silver.stg_app_events s semi join hit using (app_id, install_id))")}
            ) using (app_id, install_id)
        """
    )
