with

questions as (
    select
        survey_id,
        count(*) as questions
    from {{ ref('stg_hotjar__question') }}
    group by survey_id
),

figures as (
    {{ breakdown({}) }}
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
    coalesce(figures.responses, 0) as responses,
    case
        when figures.responses > 0
            then figures.complete_responses
        else 0
    end as complete_responses,
    figures.completion_rate,
    figures.first_response_at,
    figures.last_response_at,
    coalesce(figures.nps_answers, 0) as nps_answers,
    figures.nps,
    figures.nps_margin,
    coalesce(figures.csat_answers, 0) as csat_answers,
    figures.csat,
    figures.csat_margin,
    coalesce(figures.ces_answers, 0) as ces_answers,
    figures.ces
from {{ ref('stg_hotjar__survey') }} as survey
left join questions using (survey_id)
left join figures using (survey_id)
