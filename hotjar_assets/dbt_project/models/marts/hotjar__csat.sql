with

answers as (
    select
        *,
        {{ period_starts_on('period', 'responded_on') }} as period_starts_on
    from {{ ref('int_hotjar__answer_enriched') }}
    cross join {{ periods() }}
    where is_csat
),

counted as (
    select
        survey_id,
        any_value(survey_name) as survey_name,
        question_id,
        any_value(question_text) as question_text,
        period,
        period_starts_on,
        count(*) as answers,
        count(*) filter (where is_satisfied) as satisfied_answers
    from answers
    group by survey_id, question_id, period, period_starts_on
)

select
    survey_id,
    survey_name,
    question_id,
    question_text,
    period,
    period_starts_on,
    answers,
    {{ unless_few('satisfied_answers', 'answers') }} as satisfied,
    {{ percent('satisfied_answers', 'answers') }} as csat,
    {{ percent_margin('satisfied_answers', 'answers') }} as margin
from counted
