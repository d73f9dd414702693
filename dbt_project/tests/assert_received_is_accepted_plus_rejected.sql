select *
from {{ ref('ingestion_daily') }}
where received != accepted + rejected or duplicates < 0 or duplicates > landed
