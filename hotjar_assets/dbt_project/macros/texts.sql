{#- Texts of variables in SQL. -#}
{% macro text_literal(text) -%}
    '{{ text | string | replace("'", "''") }}'
{%- endmacro %}

{% macro text_list(texts) -%}
    [{% for text in texts %}{{ text_literal(text) }}{{ ', ' if not loop.last }}{% endfor %}]::varchar[]
{%- endmacro %}

{#- A whole number of one or two digits, or null for any other text. -#}
{% macro whole_number(text) -%}
    try_cast(regexp_extract({{ text }}, '^(\d{1,2})(\.0+)?$', 1) as integer)
{%- endmacro %}
