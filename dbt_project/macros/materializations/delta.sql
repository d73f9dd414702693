{#
  A model becomes the Delta table `<schema>/<name>`: contract check, one streamed query, one commit, a view over it.
  Config: `partition_by` (one date column) and `meta.plan` (the date set of the run's plan that the model follows).
  With an incremental plan only the partitions of those dates are replaced, each whole. A small table, of a few rows a
  day, names its date column in `meta.plan_column` instead: a file a day would cost more than to write its rows again.
  A failure at any point leaves the last version of the table in place.
#}
{% materialization delta, adapter='duckdb' %}
    {%- if pre_hooks or post_hooks -%}
        {{ exceptions.raise_compiler_error("the delta materialization runs no hooks; put the statement into a model") }}
    {%- endif -%}

    {%- set partition_by = config.get('partition_by', []) -%}
    {%- set partition_by = [partition_by] if partition_by is string else partition_by -%}
    {%- set plan_column = config.get('meta', {}).get('plan_column') -%}
    {%- if config.get('meta', {}).get('plan') and (partition_by + ([plan_column] if plan_column else [])) | length != 1 -%}
        {{ exceptions.raise_compiler_error(
            "a model that follows a plan is partitioned by exactly one date column, or names it in meta.plan_column"
        ) }}
    {%- endif -%}

    {%- set contract = config.get('contract') -%}
    {%- set not_null = [] -%}
    {%- set query = sql -%}
    {%- if contract and contract.enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
        {%- set query = get_select_subquery(sql) -%}
        {%- do not_null.extend(not_null_columns(model)) -%}
    {%- endif -%}

    {%- set partial = is_partial() -%}
    {%- if partial and planned_ranges() | length == 0 -%}
        {%- call noop_statement('main', 'UNCHANGED', 'UNCHANGED', 0) -%} {{ query }} {%- endcall -%}
    {%- else -%}
        {%- set replace_where = none -%}
        {%- if partial and partition_by -%}
            {%- set replace_where = date_ranges_sql(partition_by[0], planned_ranges(), typed=false) -%}
        {%- elif partial -%}
            {%- set kept = 'select * from ' ~ this ~ ' where (' ~ planned_dates(plan_column) ~ ') is not true' -%}
            {%- set query = 'select * from (' ~ query ~ ') as built union all ' ~ kept -%}
        {%- endif -%}
        {%- set rows = write_delta(this, query, partition_by, replace_where, not_null, model.description) -%}
        {%- call noop_statement('main', 'DELTA ' ~ rows, 'DELTA', rows) -%} {{ query }} {%- endcall -%}
    {%- endif -%}

    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmaterialization %}

{# Rows written. `lake` is the plugin of profiles.yml; it fills the number of rows into the order. #}
{% macro write_delta(relation, query, partition_by, replace_where, not_null, description) %}
    {%- set order = {
        'sql': query,
        'partition_by': partition_by,
        'replace_where': replace_where,
        'not_null': not_null,
        'description': description,
        'rows': 0,
    } -%}
    {%- set table = relation.schema ~ '/' ~ relation.identifier -%}
    {%- do adapter.store_relation('lake', relation, [], table, 'delta', order) -%}
    {{ return(order.rows) }}
{% endmacro %}

{# Columns that the contract calls not_null; any other constraint is refused, as nothing would enforce it. #}
{% macro not_null_columns(model) %}
    {%- set names = [] -%}
    {%- for column in model.columns.values() -%}
        {%- for constraint in column.constraints -%}
            {%- if constraint.type != 'not_null' -%}
                {{ exceptions.raise_compiler_error(
                    "the delta materialization enforces not_null only; test " ~ constraint.type ~ " as a data test"
                ) }}
            {%- endif -%}
            {%- do names.append(column.name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if model.constraints -%}
        {{ exceptions.raise_compiler_error("the delta materialization has no constraints over several columns") }}
    {%- endif -%}
    {{ return(names) }}
{% endmacro %}
