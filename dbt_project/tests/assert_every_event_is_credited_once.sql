-- Copies that a policy adds are not primary, so what is credited sums to what was earned.
select
    revenue.app_id,
    revenue.record_id,
    sum(case when credited.is_primary then 1 else 0 end) as primary_rows
from {{ ref('int_revenue_events') }} as revenue
inner join {{ ref('int_installs') }} as install
    on revenue.app_id = install.app_id and revenue.install_id = install.install_id
left join {{ ref('attributed_events') }} as credited
    on revenue.app_id = credited.app_id and revenue.record_id = credited.record_id
where revenue.revenue_kind in ('purchase', 'ad')
group by revenue.app_id, revenue.record_id
having
    coalesce(sum(case when credited.is_primary then 1 else 0 end), 0) != 1
    or sum(case when credited.is_primary then credited.revenue_usd else 0 end) != max(revenue.revenue_usd)
