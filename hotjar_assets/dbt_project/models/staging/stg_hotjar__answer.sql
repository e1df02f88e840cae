with

answers as (
    select
        survey_id,
        response_id,
        unnest(answers) as answer,
        generate_subscripts(answers, 1) as answer_position
    from {{ source('hotjar', 'survey_responses') }}
    where deleted_at is null
)

select
    survey_id,
    response_id,
    answer.question_id as question_id,
    row_number() over (
        partition by survey_id, response_id, answer.question_id order by answer_position
    ) as answer_ordinal,
    answer_position,
    answer.answer as answer,
    answer.comment as comment,
    answer.tags as tags,
    answer.sentiment as sentiment
from answers
