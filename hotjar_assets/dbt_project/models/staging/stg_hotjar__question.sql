with

questions as (
    select
        survey_id,
        unnest(questions) as question
    from {{ source('hotjar', 'surveys') }}
    where deleted_at is null
)

select
    survey_id,
    question.question_id,
    question.position as question_position,
    question.type as question_type,
    question.text as question_text,
    question.is_required,
    question.low_label,
    question.high_label,
    question.image_url
from questions
where question.question_id is not null
qualify row_number() over (
    partition by survey_id, question.question_id order by question.position
) = 1
