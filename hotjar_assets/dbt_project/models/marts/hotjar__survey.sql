with

responses as (
    select
        survey_id,
        count(*) as responses,
        count(*) filter (where is_complete) as complete_responses,
        min(created_at) as first_response_at,
        max(created_at) as last_response_at
    from {{ ref('stg_hotjar__response') }}
    group by survey_id
),

questions as (
    select
        survey_id,
        count(*) as questions
    from {{ ref('stg_hotjar__question') }}
    group by survey_id
),

scores as (
    select
        survey_id,
        {{ score_counts() }},
        count(*) filter (where is_ces) as ces_answers,
        avg(score) filter (where is_ces) as mean_effort
    from {{ ref('int_hotjar__answer_enriched') }}
    group by survey_id
)

select
    survey_id,
    survey.site_id,
    survey.platform,
    survey.survey_name,
    survey.survey_type,
    survey.language,
    survey.is_enabled,
    survey.is_sentiment_enabled,
    survey.created_at,
    survey.updated_at,
    survey.survey_url,
    coalesce(questions.questions, 0) as questions,
    coalesce(responses.responses, 0) as responses,
    coalesce(responses.complete_responses, 0) as complete_responses,
    100.0 * responses.complete_responses / responses.responses as completion_rate,
    responses.first_response_at,
    responses.last_response_at,
    {{ scores_of_counts() }},
    coalesce(scores.ces_answers, 0) as ces_answers,
    {{ unless_few('scores.mean_effort', 'scores.ces_answers') }} as ces
from {{ ref('stg_hotjar__survey') }} as survey
left join questions using (survey_id)
left join responses using (survey_id)
left join scores using (survey_id)
