with

answers as (
    select
        *,
        {{ period_starts_on('period', 'responded_on') }} as period_starts_on
    from {{ ref('int_hotjar__answer_enriched') }}
    cross join {{ periods() }}
    where nps_group is not null
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
        count(*) filter (where nps_group = 'promoter') as promoter_answers,
        count(*) filter (where nps_group = 'passive') as passive_answers,
        count(*) filter (where nps_group = 'detractor') as detractor_answers
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
    {{ unless_few('promoter_answers', 'answers') }} as promoters,
    {{ unless_few('passive_answers', 'answers') }} as passives,
    {{ unless_few('detractor_answers', 'answers') }} as detractors,
    {{ nps('promoter_answers', 'detractor_answers', 'answers') }} as nps,
    {{ nps_margin('promoter_answers', 'detractor_answers', 'answers') }} as margin
from counted
