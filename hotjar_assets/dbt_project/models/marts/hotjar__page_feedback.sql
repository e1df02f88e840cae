with

responses as (
    select
        survey_id,
        page,
        count(*) as responses,
        max(created_at) as last_response_at
    from {{ ref('stg_hotjar__response') }}
    where page is not null
    group by all
),

scores as (
    select
        survey_id,
        page,
        {{ score_counts() }},
        count(*) filter (
            where question_type in ('short-text', 'long-text') and trim(answer) != ''
        ) as texts,
        count(*) filter (where sentiment = 'positive') as positive_answers,
        count(*) filter (where sentiment = 'negative') as negative_answers
    from {{ ref('int_hotjar__answer_enriched') }}
    where page is not null
    group by all
)

select
    survey_id,
    survey.survey_name,
    page,
    responses.responses,
    responses.last_response_at,
    coalesce(scores.texts, 0) as texts,
    coalesce(scores.positive_answers, 0) as positive_answers,
    coalesce(scores.negative_answers, 0) as negative_answers,
    {{ scores_of_counts() }}
from responses
left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
left join scores using (survey_id, page)
