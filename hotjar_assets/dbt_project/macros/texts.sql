{#- Texts of variables in SQL. -#}
{% macro text_literal(text) -%}
    '{{ text | string | replace("'", "''") }}'
{%- endmacro %}

{% macro text_list(texts) -%}
    [{% for text in texts %}{{ hotjar.text_literal(text) }}{{ ', ' if not loop.last }}{% endfor %}]::varchar[]
{%- endmacro %}

{#- A whole number of one or two digits, or null for any other text. -#}
{% macro whole_number(text) -%}
    try_cast(regexp_extract({{ text }}, '^(\d{1,2})(\.0+)?$', 1) as integer)
{%- endmacro %}

{#- A text without blanks, tabs and ends of lines around it; empty for null. -#}
{% macro stripped(text) -%}
    trim(coalesce({{ text }}, ''), e' \t\r\n')
{%- endmacro %}

{#- Whether a question asks for people's own words. -#}
{% macro asks_for_text() -%}
    question_type in ('short-text', 'long-text')
{%- endmacro %}

{#- Whether something was written in answer to such a question. -#}
{% macro is_text() -%}
    {{ hotjar.asks_for_text() }} and {{ hotjar.stripped('answer') }} != ''
{%- endmacro %}
