{%- set satisfied = count_where('is_satisfied') -%}

{% call by_period('is_csat') %}
    {{ unless_few(satisfied, 'answers') }} as satisfied,
    {{ percent(satisfied, 'answers') }} as csat,
    {{ percent_margin(satisfied, 'answers') }} as margin
{%- endcall %}
