select
    app_id,
    vendor,
    install_date,
    difference_class,
    coalesce(partner, '') as partner,
    coalesce(vendor_partner, '') as vendor_partner,
    max(explanation) as explanation,
    count(*) as installs
from {{ ref('mmp_reconciliation') }}
group by all
