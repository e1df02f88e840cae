{#- Counts of the scored answers in a group of int_hotjar__answer_enriched. -#}
{% macro score_counts() -%}
    count(*) filter (where nps_group is not null) as nps_answers,
    count(*) filter (where nps_group = 'promoter') as promoter_answers,
    count(*) filter (where nps_group = 'detractor') as detractor_answers,
    count(*) filter (where is_csat) as csat_answers,
    count(*) filter (where is_satisfied) as satisfied_answers
{%- endmacro %}

{#- The scores that follow from those counts. -#}
{% macro scores_of_counts() -%}
    coalesce(nps_answers, 0) as nps_answers,
    {{ nps('promoter_answers', 'detractor_answers', 'nps_answers') }} as nps,
    {{ nps_margin('promoter_answers', 'detractor_answers', 'nps_answers') }} as nps_margin,
    coalesce(csat_answers, 0) as csat_answers,
    {{ percent('satisfied_answers', 'csat_answers') }} as csat,
    {{ percent_margin('satisfied_answers', 'csat_answers') }} as csat_margin
{%- endmacro %}
