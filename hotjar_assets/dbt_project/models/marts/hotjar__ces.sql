{% call by_period('is_ces') %}
    any_value(scale_most) as scale_most,
    {{ unless_few('avg(score)', 'answers') }} as ces,
    {{ mean_margin('score', 'answers') }} as margin
{%- endcall %}
