{#- By itself this project keeps to the schemas it names. In another project it follows the rule of
    that one, which dbt would not do by itself: a package's own macro comes first for its models. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if project_name == 'hotjar' -%}
        {{ (custom_schema_name or target.schema) | trim }}
    {%- elif 'generate_schema_name' in context.get(project_name, {}) -%}
        {{ context[project_name].generate_schema_name(custom_schema_name, node) }}
    {%- else -%}
        {{ dbt.default__generate_schema_name(custom_schema_name, node) }}
    {%- endif -%}
{%- endmacro %}
