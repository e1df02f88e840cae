{#- One row for each survey and each value of the dimensions: its responses, their scores and how
    much was written. The counts add up over rows, the scores do not.

    dimensions: the name of each column and its expression over stg_hotjar__response, say
        {'device': 'device', 'month': "date_trunc('month', responded_on)"}; none gives a row for
        each survey that has responses. -#}
{% macro breakdown(dimensions) -%}
with

answers as (
    select
        survey_id,
        response_id,
        answer,
        question_type,
        sentiment,
        score,
        nps_group,
        is_ces,
        is_csat,
        is_satisfied
    from {{ ref('int_hotjar__answer_enriched') }}
),

counted as (
    select
        survey_id,
        {%- for name, expression in dimensions.items() %}
        {{ expression }} as {{ name }},
        {%- endfor %}
        count(distinct response_id) as responses,
        -- An export does not say which responses are complete.
        count(distinct response_id) filter (where is_complete is not null) as told_responses,
        case
            when told_responses > 0
                then count(distinct response_id) filter (where is_complete)
        end as complete_responses,
        min(created_at) as first_response_at,
        max(created_at) as last_response_at,
        {{ hotjar.count_where('nps_group is not null') }} as nps_answers,
        {{ hotjar.count_where("nps_group = 'promoter'") }} as promoter_answers,
        {{ hotjar.count_where("nps_group = 'detractor'") }} as detractor_answers,
        {{ hotjar.count_where('is_csat') }} as csat_answers,
        {{ hotjar.count_where('is_satisfied') }} as satisfied_answers,
        {{ hotjar.count_where('is_ces') }} as ces_answers,
        avg(score) filter (where is_ces) as mean_effort,
        {{ hotjar.count_where(hotjar.is_text()) }} as texts,
        {{ hotjar.count_where("sentiment = 'positive'") }} as positive_answers,
        {{ hotjar.count_where("sentiment = 'negative'") }} as negative_answers
    from {{ ref('stg_hotjar__response') }}
    left join answers using (survey_id, response_id)
    group by all
)

select
    survey_id,
    survey.survey_name,
    {%- for name in dimensions %}
    {{ name }},
    {%- endfor %}
    responses,
    complete_responses,
    100.0 * complete_responses / told_responses as completion_rate,
    first_response_at,
    last_response_at,
    nps_answers,
    {{ hotjar.unless_few('promoter_answers', 'nps_answers') }} as promoters,
    {{ hotjar.unless_few('detractor_answers', 'nps_answers') }} as detractors,
    {{ hotjar.nps('promoter_answers', 'detractor_answers', 'nps_answers') }} as nps,
    {{ hotjar.nps_margin('promoter_answers', 'detractor_answers', 'nps_answers') }} as nps_margin,
    csat_answers,
    {{ hotjar.unless_few('satisfied_answers', 'csat_answers') }} as satisfied,
    {{ hotjar.percent('satisfied_answers', 'csat_answers') }} as csat,
    {{ hotjar.percent_margin('satisfied_answers', 'csat_answers') }} as csat_margin,
    ces_answers,
    {{ hotjar.unless_few('mean_effort', 'ces_answers') }} as ces,
    texts,
    positive_answers,
    negative_answers
from counted
left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
{%- endmacro %}
