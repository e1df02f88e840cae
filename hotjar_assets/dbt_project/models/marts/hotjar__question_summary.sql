with

answers as (
    select
        *,
        {{ stripped('answer') }} as said,
        said != '' as is_answered
    from {{ ref('int_hotjar__answer_enriched') }}
),

counted as (
    select
        survey_id,
        question_id,
        count(*) filter (where is_answered) as answers,
        count(distinct response_id) filter (where is_answered) as responses,
        count(*) filter (where {{ stripped('comment') }} != '') as comments,
        count(*) filter (where len(list_distinct(tags)) > 0) as tagged_answers,
        count(score) as scored_answers,
        avg(score) as mean,
        stddev_samp(score) as deviation,
        min(created_at) filter (where is_answered) as first_at,
        max(created_at) filter (where is_answered) as last_at
    from answers
    group by survey_id, question_id
),

-- What people wrote in their own words is no choice, and has no place in a summary.
choices as (
    select
        survey_id,
        question_id,
        said as choice,
        count(*) as times
    from answers
    where
        is_answered
        and (scale_most is not null or question_type in ('single-option', 'multiple-option'))
    group by all
),

favourites as (
    select
        survey_id,
        question_id,
        choice,
        times
    from choices
    -- The first in the alphabet where several are as frequent.
    qualify row_number() over (
        partition by survey_id, question_id order by times desc, choice
    ) = 1
),

-- A question that was taken out of a survey keeps its answers.
questions as (
    select
        survey_id,
        question_id
    from {{ ref('stg_hotjar__question') }}
    union
    select
        survey_id,
        question_id
    from counted
)

select
    questions.survey_id,
    survey.survey_name,
    questions.question_id,
    question.question_position,
    question.question_type,
    question.question_text,
    question.is_required,
    coalesce(counted.answers, 0) as answers,
    coalesce(counted.responses, 0) as responses,
    coalesce(counted.comments, 0) as comments,
    coalesce(counted.tagged_answers, 0) as tagged_answers,
    coalesce(counted.scored_answers, 0) as scored_answers,
    {{ unless_few('counted.mean', 'counted.scored_answers') }} as mean_score,
    {{ unless_few('counted.deviation', 'counted.scored_answers') }} as score_deviation,
    {{ unless_few('favourites.choice', 'counted.answers') }} as most_common_answer,
    {{ percent('favourites.times', 'counted.answers') }} as most_common_share,
    counted.first_at,
    counted.last_at
from questions
left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
left join {{ ref('stg_hotjar__question') }} as question using (survey_id, question_id)
left join counted
    on
        questions.survey_id = counted.survey_id
        and questions.question_id is not distinct from counted.question_id
left join favourites
    on
        questions.survey_id = favourites.survey_id
        and questions.question_id is not distinct from favourites.question_id
