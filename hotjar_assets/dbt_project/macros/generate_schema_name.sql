{#- By itself this project keeps to the schemas it names. As a package of another project it follows
    the rule of that project, because dbt takes this macro from the root project alone. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
