with

answers as (
    select
        *,
        {{ period_starts_on('period', 'responded_on') }} as period_starts_on
    from {{ ref('int_hotjar__answer_enriched') }}
    cross join {{ periods() }}
    where is_ces
)

select
    survey_id,
    any_value(survey_name) as survey_name,
    question_id,
    any_value(question_text) as question_text,
    period,
    period_starts_on,
    count(*) as answers,
    any_value(scale_most) as scale_most,
    {{ unless_few('avg(score)', 'count(*)') }} as ces,
    {{ mean_margin('score', 'count(*)') }} as margin
from answers
group by survey_id, question_id, period, period_starts_on
