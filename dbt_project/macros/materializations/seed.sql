{#
  A seed becomes the Delta table `rules/<name>`, so that rules outlive the process and are versioned like data.
  A file of the same name among the home's rules is read in its place; wrong rules are refused (`config.rule_files`).
  `column_types` must name every column of the file: a rule has no guessed types. Empty cells are null.
#}
{% materialization seed, adapter='duckdb' %}
    {%- set types = config.get('column_types', {}) -%}
    {%- set found = run_query("select path, problem from config.rule_files where name = '" ~ model.name ~ "'").rows -%}
    {%- if found and found[0]['problem'] -%}{{ exceptions.raise_compiler_error(found[0]['problem']) }}{%- endif -%}
    {%- set path = (found[0]['path'] if found) or adapter.get_seed_file_path(model) -%}
    {%- set file = adapter.escape_sql_string(path) -%}
    {%- set source = "read_csv('" ~ file ~ "', header = true, all_varchar = true, nullstr = '')" -%}
    {%- set header = run_query('select * from ' ~ source ~ ' limit 0').column_names | list -%}
    {%- if header != types.keys() | list -%}
        {{ exceptions.raise_compiler_error(
            "column_types of seed " ~ model.name ~ " name " ~ types.keys() | join(', ')
            ~ ", its file has " ~ header | join(', ')
        ) }}
    {%- endif -%}

    {%- set columns = [] -%}
    {%- for name, type in types.items() -%}
        {%- do columns.append('cast("' ~ name ~ '" as ' ~ type ~ ') as "' ~ name ~ '"') -%}
    {%- endfor -%}
    {%- set query = 'select ' ~ columns | join(', ') ~ ' from ' ~ source -%}
    {%- set rows = write_delta(this, query, [], none, not_null_columns(model), model.description) -%}

    {%- do store_result('agate_table', response='OK', agate_table=run_query('select * from ' ~ this)) -%}
    {%- call noop_statement('main', 'DELTA ' ~ rows, 'DELTA', rows) -%} {{ query }} {%- endcall -%}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmaterialization %}
