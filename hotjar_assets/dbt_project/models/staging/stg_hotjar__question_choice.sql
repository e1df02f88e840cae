with

questions as (
    select
        survey_id,
        unnest(questions) as question
    from {{ source('hotjar', 'surveys') }}
    where deleted_at is null
),

-- The same question as in stg_hotjar__question, where an id stands twice.
distinct_questions as (
    select *
    from questions
    where question.question_id is not null
    qualify row_number() over (
        partition by survey_id, question.question_id order by question.position
    ) = 1
),

choices as (
    select
        survey_id,
        question.question_id as question_id,
        unnest(question.choices) as choice,
        generate_subscripts(question.choices, 1) as choice_position
    from distinct_questions
)

select
    survey_id,
    question_id,
    choice_position,
    choice.text as choice_text,
    choice.allow_comment as allows_comment
from choices
