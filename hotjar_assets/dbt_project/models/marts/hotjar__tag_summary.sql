with

tagged as (
    select
        tag.tag,
        answer.*
    from {{ ref('stg_hotjar__answer_tag') }} as tag
    inner join {{ ref('int_hotjar__answer_enriched') }} as answer
        using (survey_id, response_id, answer_position)
),

tagged_answers as (
    select
        survey_id,
        question_id,
        count(distinct (response_id, answer_position)) as tagged_answers
    from tagged
    group by survey_id, question_id
),

counted as (
    select
        survey_id,
        any_value(survey_name) as survey_name,
        question_id,
        any_value(question_text) as question_text,
        tag,
        count(*) as answers,
        count(*) filter (where sentiment = 'positive') as positive_answers,
        count(*) filter (where sentiment = 'neutral') as neutral_answers,
        count(*) filter (where sentiment = 'negative') as negative_answers,
        min(created_at) as first_at,
        max(created_at) as last_at
    from tagged
    group by survey_id, question_id, tag
)

select
    counted.survey_id,
    survey_name,
    counted.question_id,
    question_text,
    tag,
    answers,
    {{ unless_few('100.0 * answers / tagged_answers', 'answers') }} as share_of_tagged_answers,
    {{ unless_few('positive_answers', 'answers') }} as positive,
    {{ unless_few('neutral_answers', 'answers') }} as neutral,
    {{ unless_few('negative_answers', 'answers') }} as negative,
    first_at,
    last_at
from counted
inner join tagged_answers
    on
        counted.survey_id = tagged_answers.survey_id
        and counted.question_id is not distinct from tagged_answers.question_id
