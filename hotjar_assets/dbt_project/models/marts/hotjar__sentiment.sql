with

answers as (
    select
        *,
        {{ period_starts_on('period', 'responded_on') }} as period_starts_on
    from {{ ref('int_hotjar__answer_enriched') }}
    cross join {{ periods() }}
    where sentiment in ('positive', 'neutral', 'negative')
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
        count(*) filter (where sentiment = 'positive') as positive_answers,
        count(*) filter (where sentiment = 'neutral') as neutral_answers,
        count(*) filter (where sentiment = 'negative') as negative_answers
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
    {{ unless_few('positive_answers', 'answers') }} as positive,
    {{ unless_few('neutral_answers', 'answers') }} as neutral,
    {{ unless_few('negative_answers', 'answers') }} as negative,
    {{ percent('(positive_answers - negative_answers)', 'answers') }} as net_sentiment
from counted
