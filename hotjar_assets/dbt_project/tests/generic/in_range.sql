{% test in_range(model, column_name, least=none, most=none) %}
{%- set bounds = [] -%}
{%- if least is not none -%}{%- do bounds.append('at least ' ~ least) -%}{%- endif -%}
{%- if most is not none -%}{%- do bounds.append('at most ' ~ most) -%}{%- endif -%}
{{ config(meta={'description': 'Every ' ~ column_name ~ ' is ' ~ bounds | join(' and ') ~ '.'}) }}
select {{ column_name }}
from {{ model }}
where
    false
    {%- if least is not none %}
    or {{ column_name }} < {{ least }}
    {%- endif %}
    {%- if most is not none %}
    or {{ column_name }} > {{ most }}
    {%- endif %}
{% endtest %}
