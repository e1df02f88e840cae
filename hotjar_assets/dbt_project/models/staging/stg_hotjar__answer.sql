with

answers as (
    select
        survey_id,
        response_id,
        unnest(answers) as answer,
        generate_subscripts(answers, 1) as answer_position,
        list_transform(answers, lambda given: given.question_id) as asked
    from {{ source('hotjar', 'survey_responses') }}
    where deleted_at is null
)

select
    survey_id,
    response_id,
    answer.question_id as question_id,
    -- Counted within the row: a window over all answers would sort them, with their texts.
    len(list_filter(
        asked[:answer_position], lambda other: other is not distinct from answer.question_id
    )) as answer_ordinal,
    answer_position,
    answer.answer as answer,
    answer.comment as comment,
    answer.tags as tags,
    answer.sentiment as sentiment
from answers
