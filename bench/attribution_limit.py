"""The limit of the section `attribution`: the joins on all keys and nothing else, in one query.

No rule, no rank, no copy dropped, but the same rows are found (several times if by several ids) and carry the same
columns. `bench.attribution_designs` compares the ways to find them; the fastest one is the limit.
"""

from __future__ import annotations

from typing import Final

DESIGNS: Final = {
    "one_pass": "one pass keeps the touches that share a key, then a join per key on these few",
    "scans": "a join per key, each with a scan of all touches",
    "whole": "all touches as one shared relation, then a join per key",
    "carried": "as one_pass in two tables: matches with what candidates need of the touch, then candidates",
    "looked_up": "as one_pass in two tables: matches with keys alone, then candidates look the touches up again",
}
_TOUCH: Final = (
    "touch_type, touch_at, partner, campaign_id, campaign_name, adset_id, creative_id, site_id, is_retargeting, "
    "elapsed_s"
)
KEYS: Final = (
    ("referrer", "referrer_click_id", "click_id"),
    ("click_id", "click_id", "click_id"),
    ("ad_id", "gaid", "gaid"),
    ("ad_id", "idfa", "idfa"),
    ("ad_id", "oaid", "oaid"),
    ("vendor_id", "idfv", "idfv"),
    ("vendor_id", "app_set_id", "app_set_id"),
    ("vendor_id", "android_id", "android_id"),
    ("user_id", "user_id", "user_id"),
)
_CONVERSION: Final = (
    "conversion_id",
    "conversion_type",
    "install_id",
    "install_at",
    "install_date",
    "conversion_at",
    "conversion_date",
    "ruleset_id",
)
_ALIKE: Final = ("app_id", "ip_prefix", "os_name", "device_model", "language")


def steps(design: str) -> list[tuple[str, str]]:
    """The tables that a design writes, in order, with their queries."""
    candidates, matches = "gold/limit_candidates", "silver/limit_matches"
    if design == "carried":
        return [(matches, limit_sql("one_pass")), (candidates, "select * from silver.limit_matches")]
    if design == "looked_up":
        looked_up = """
            select m.*, t.record_type as touch_type, t.event_at as touch_at, t.partner, t.campaign_id, t.campaign_name,
                t.adset_id, t.creative_id, t.site_id, coalesce(t.is_retargeting, false) as is_retargeting,
                date_sub('second', t.event_at, m.conversion_at) as elapsed_s
            from silver.limit_matches m
            join silver.stg_touchpoints t on m.app_id = t.app_id and m.touch_id = t.record_id"""
        return [(matches, f"select * exclude ({_TOUCH}) from ({limit_sql('one_pass')})"), (candidates, looked_up)]
    return [(candidates, limit_sql(design))]


def limit_sql(design: str = "one_pass") -> str:
    """All candidates in the columns of the model, from one of `DESIGNS`."""
    near = {"scans": "silver.stg_touchpoints", "one_pass": "near", "whole": "near"}[design]
    alike = ", ".join(_ALIKE)
    same = " and ".join(f"c.c_{name} = t.{name}" for name in _ALIKE)
    ids = [mine for _, mine, _ in KEYS] + ["ip_prefix", "os_name", "device_model"]
    touch = (
        "t.app_id, t.record_id, t.record_type, t.event_at, t.partner, t.campaign_id, t.campaign_name, t.adset_id, "
        "t.creative_id, t.site_id, t.is_retargeting"
    )
    conversion = ", ".join(f"c.{name}" for name in _CONVERSION)
    by_id = " union all ".join(
        f"""select {conversion}, {touch}, '{method}' as match_method, 1::double as match_confidence
        from conversions c join {near} t on c.c_app_id = t.app_id and c.c_{mine} = t.{theirs}
        where t.event_date between c.conversion_date - 7 and c.conversion_date"""
        for method, mine, theirs in KEYS
    )
    picked = " or ".join(
        f"{theirs} in (select c_{mine} from conversions where c_{mine} is not null)" for _, mine, theirs in KEYS
    )
    alike_picked = (
        "(t.ip_prefix, t.os_name, t.device_model) in"
        " (select (c_ip_prefix, c_os_name, c_device_model) from conversions where platform = 'android')"
    )
    picking = f"({picked} or {alike_picked})" if design == "one_pass" else "true"
    return f"""
    with conversions as (
        select c.app_id as c_app_id, {conversion}, c.platform,
            split_part(i.locale, '-', 1) as c_language, {", ".join(f"i.{name} as c_{name}" for name in ids)}
        from silver.int_conversions c join silver.int_installs i on c.app_id = i.app_id and c.install_id = i.install_id
    ),
    near as (
        select {touch}, t.event_date, {", ".join(sorted({f"t.{theirs}" for _, _, theirs in KEYS}))},
            t.ip_prefix, t.os_name, t.device_model, t.locale
        from silver.stg_touchpoints t
        where {picking}
    ),
    likenesses as (
        select distinct c_app_id, c_ip_prefix, c_os_name, c_device_model, c_language from conversions
        where platform = 'android'
    ),
    likely as (
        select {touch}, t.event_date, t.ip_prefix, t.os_name, t.device_model,
            split_part(t.locale, '-', 1) as language
        from {near} t
        semi join likenesses c on {same.replace("t.language", "split_part(t.locale, '-', 1)")}
    ),
    alike as (select {alike}, event_date, count(*) as n from likely group by all having count(*) <= 50),
    joined as (
        {by_id}
        union all
        select {conversion}, {touch}, 'probabilistic' as match_method, 1 / a.n::double as match_confidence
        from conversions c join likely t on {same} join alike a using ({alike}, event_date)
        where c.platform = 'android' and t.event_at between c.conversion_at - interval 6 hours and c.conversion_at
    )
    select app_id, conversion_id, conversion_type, record_id as touch_id, install_id, install_at,
        install_date, conversion_at, conversion_date, record_type as touch_type, event_at as touch_at, partner,
        campaign_id, campaign_name, adset_id, creative_id, site_id, coalesce(is_retargeting, false) as is_retargeting,
        match_method, case when match_confidence < 1 then 'probabilistic' else 'deterministic' end as match_class,
        match_confidence, date_sub('second', event_at, conversion_at) as elapsed_s, 0::bigint as window_s,
        true as is_eligible, 1::integer as candidate_rank, false as is_winner, 'won' as reason_code, ruleset_id
    from joined"""
