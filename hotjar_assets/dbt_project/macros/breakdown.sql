{#- One row for each survey and each value of the dimensions: its responses, their scores and how
    much was written. The counts add up over rows, the scores do not.

    dimensions: the name of each column and its expression over stg_hotjar__response, say
        {'device': 'device', 'month': "date_trunc('month', responded_on)"}; none gives a row for
        each survey that has responses. -#}
{% macro breakdown(dimensions) -%}
with

responses as (
    select
        survey_id,
        response_id,
        is_complete,
        {%- for name, expression in dimensions.items() %}
        {{ expression }} as {{ name }},
        {%- endfor %}
        created_at
    from {{ ref('stg_hotjar__response') }}
),

answers as (
    select
        survey_id,
        response_id,
        sentiment,
        score,
        nps_group,
        is_ces,
        is_csat,
        is_satisfied,
        {{ hotjar.is_text() }} as is_text
    from {{ ref('int_hotjar__answer_enriched') }}
),

-- Apart from the answers: to tell responses apart among these takes much more memory.
counted as (
    select
        survey_id,
        {%- for name in dimensions %}
        {{ name }},
        {%- endfor %}
        count(*) as responses,
        -- An export does not say which responses are complete.
        count(is_complete) as told_responses,
        case
            when told_responses > 0
                then {{ hotjar.count_where('is_complete') }}
        end as complete_responses,
        min(created_at) as first_response_at,
        max(created_at) as last_response_at
    from responses
    group by all
),

scored as (
    select
        survey_id,
        {%- for name in dimensions %}
        {{ name }},
        {%- endfor %}
        {{ hotjar.count_where('nps_group is not null') }} as nps_answers,
        {{ hotjar.count_where("nps_group = 'promoter'") }} as promoter_answers,
        {{ hotjar.count_where("nps_group = 'detractor'") }} as detractor_answers,
        {{ hotjar.count_where('is_csat') }} as csat_answers,
        {{ hotjar.count_where('is_satisfied') }} as satisfied_answers,
        {{ hotjar.count_where('is_ces') }} as ces_answers,
        avg(score) filter (where is_ces) as mean_effort,
        {{ hotjar.count_where('is_text') }} as texts,
        {{ hotjar.count_where("sentiment = 'positive'") }} as positive_answers,
        {{ hotjar.count_where("sentiment = 'negative'") }} as negative_answers
    from answers
    {%- if dimensions %}
    inner join responses using (survey_id, response_id)
    {%- endif %}
    group by all
)

select
    counted.survey_id,
    survey.survey_name,
    {%- for name in dimensions %}
    counted.{{ name }},
    {%- endfor %}
    responses,
    complete_responses,
    100.0 * complete_responses / told_responses as completion_rate,
    first_response_at,
    last_response_at,
    coalesce(scored.nps_answers, 0) as nps_answers,
    {{ hotjar.unless_few('promoter_answers', 'scored.nps_answers') }} as promoters,
    {{ hotjar.unless_few('detractor_answers', 'scored.nps_answers') }} as detractors,
    {{ hotjar.nps('promoter_answers', 'detractor_answers', 'scored.nps_answers') }} as nps,
    {{ hotjar.nps_margin('promoter_answers', 'detractor_answers', 'scored.nps_answers') }}
        as nps_margin,
    coalesce(scored.csat_answers, 0) as csat_answers,
    {{ hotjar.unless_few('satisfied_answers', 'scored.csat_answers') }} as satisfied,
    {{ hotjar.percent('satisfied_answers', 'scored.csat_answers') }} as csat,
    {{ hotjar.percent_margin('satisfied_answers', 'scored.csat_answers') }} as csat_margin,
    coalesce(scored.ces_answers, 0) as ces_answers,
    {{ hotjar.unless_few('mean_effort', 'scored.ces_answers') }} as ces,
    coalesce(scored.texts, 0) as texts,
    coalesce(scored.positive_answers, 0) as positive_answers,
    coalesce(scored.negative_answers, 0) as negative_answers
from counted
left join scored
    on
        counted.survey_id = scored.survey_id
        {%- for name in dimensions %}
        and counted.{{ name }} is not distinct from scored.{{ name }}
        {%- endfor %}
left join {{ ref('stg_hotjar__survey') }} as survey on counted.survey_id = survey.survey_id
{%- endmacro %}
