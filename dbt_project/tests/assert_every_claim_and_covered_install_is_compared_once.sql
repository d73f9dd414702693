-- Every claim of a vendor, and every install of the days it covers, is in the reconciliation once.
with

claims as (
    select app_id, vendor, count(*) as claim_count, min(install_date) as first_date, max(install_date) as last_date
    from {{ ref('stg_mmp_claims') }}
    group by app_id, vendor
),

installs as (
    select claims.app_id, claims.vendor, count(*) as install_count
    from {{ ref('attributed_installs') }} as install
    inner join claims
        on install.app_id = claims.app_id and install.install_date between claims.first_date and claims.last_date
    where install.is_primary
    group by claims.app_id, claims.vendor
),

compared as (
    select
        app_id,
        vendor,
        sum(case when difference_class != 'install_unknown_to_them' then 1 else 0 end) as claim_count,
        sum(case when install_id is not null then 1 else 0 end) as install_count
    from {{ ref('mmp_reconciliation') }}
    group by app_id, vendor
)

select claims.app_id, claims.vendor
from claims
left join installs on claims.app_id = installs.app_id and claims.vendor = installs.vendor
left join compared on claims.app_id = compared.app_id and claims.vendor = compared.vendor
where
    coalesce(compared.claim_count, 0) != claims.claim_count
    or coalesce(compared.install_count, 0) != coalesce(installs.install_count, 0)
