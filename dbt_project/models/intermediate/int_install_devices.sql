-- Whether two installs are one device can only be told from all installs ever, so this model is built whole each time;
-- it reads the ids alone, and only ids that occur more than once go further.
{% set ids = ['gaid', 'idfa', 'oaid', 'idfv', 'app_set_id', 'android_id'] %}

with recursive

ids as (
    {% for name in ids -%}
        select app_id, install_id, install_at, '{{ name }}' as id_kind, {{ name }} as id_value
        from {{ ref('int_installs') }}
        where {{ name }} is not null
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- An id that very many installs share is a farm's or a broken SDK's and says nothing about a device.
shared_ids as (
    select app_id, id_kind, id_value
    from ids
    group by app_id, id_kind, id_value
    having count(*) between 2 and {{ var('max_installs_per_device_id') }}
),

hubs as (
    select
        ids.app_id,
        ids.install_id,
        first_value(ids.install_id) over (
            partition by ids.app_id, ids.id_kind, ids.id_value order by ids.install_at, ids.install_id
        ) as hub_id
    from ids
    inner join shared_ids
        on ids.app_id = shared_ids.app_id and ids.id_kind = shared_ids.id_kind and ids.id_value = shared_ids.id_value
),

links as (
    select app_id, install_id as from_id, hub_id as to_id from hubs where install_id != hub_id
    union
    select app_id, hub_id as from_id, install_id as to_id from hubs where install_id != hub_id
),

-- Everything that can be reached over shared ids is one device.
reached as (
    select app_id, from_id, to_id from links
    union
    select reached.app_id, reached.from_id, links.to_id
    from reached
    inner join links on reached.app_id = links.app_id and reached.to_id = links.from_id
),

members as (
    select distinct app_id, from_id as install_id, to_id as member_id from reached
    union
    select app_id, install_id, install_id as member_id from hubs
),

ranked as (
    select
        members.app_id,
        members.install_id,
        members.member_id as device_id,
        row_number() over (
            partition by members.app_id, members.install_id order by other.install_at, members.member_id
        ) as place,
        count(*) over (partition by members.app_id, members.install_id) as device_installs
    from members
    inner join {{ ref('int_installs') }} as other
        on members.app_id = other.app_id and members.member_id = other.install_id
)

select app_id, install_id, device_id, device_installs
from ranked
where place = 1
