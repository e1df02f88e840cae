{%- set promoters = count_where("nps_group = 'promoter'") -%}
{%- set passives = count_where("nps_group = 'passive'") -%}
{%- set detractors = count_where("nps_group = 'detractor'") -%}

{% call by_period('nps_group is not null') %}
    {{ unless_few(promoters, 'answers') }} as promoters,
    {{ unless_few(passives, 'answers') }} as passives,
    {{ unless_few(detractors, 'answers') }} as detractors,
    {{ nps(promoters, detractors, 'answers') }} as nps,
    {{ nps_margin(promoters, detractors, 'answers') }} as margin
{%- endcall %}
