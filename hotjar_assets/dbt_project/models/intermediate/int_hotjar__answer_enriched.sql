with

answers as (
    select
        answer.*,
        lower({{ stripped('answer.answer') }}) as said,
        response.created_at,
        response.responded_on,
        response.is_complete,
        response.device,
        response.country,
        response.page,
        survey.survey_name,
        question.question_position,
        question.question_type,
        question.question_text
    from {{ ref('stg_hotjar__answer') }} as answer
    inner join {{ ref('stg_hotjar__response') }} as response
        using (survey_id, response_id)
    left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
    left join {{ ref('stg_hotjar__question') }} as question using (survey_id, question_id)
    {%- if not var('hotjar_include_incomplete') %}
    -- One whose completeness is not known stays.
    where response.is_complete is not false
    {%- endif %}
),

scaled as (
    select
        *,
        case question_type
            when 'nps' then 0
            when 'rating-1-5' then 1
            when 'rating-1-7' then 1
            when 'reaction' then 1
            when 'reaction-binary' then 0
        end as scale_least,
        case question_type
            when 'nps' then 10
            when 'rating-1-5' then 5
            when 'rating-1-7' then 7
            when 'reaction' then 5
            when 'reaction-binary' then 1
        end as scale_most,
        -- Reactions come as words or as numbers.
        case
            when question_type = 'reaction-binary' and said = 'dislike' then 0
            when question_type = 'reaction-binary' and said = 'like' then 1
            when question_type = 'reaction'
                then
                    coalesce(
                        list_position(['hate', 'dislike', 'neutral', 'like', 'love'], said),
                        {{ whole_number('said') }}
                    )
            else {{ whole_number('said') }}
        end as number_said,
        coalesce(
            question_type like 'rating-%'
            and (
                list_contains({{ text_list(var('hotjar_ces_question_ids')) }}, question_id)
                {%- if var('hotjar_ces_question_pattern') %}
                or regexp_matches(
                    question_text, {{ text_literal(var('hotjar_ces_question_pattern')) }}, 'i'
                )
                {%- endif %}
            ),
            false
        ) as asks_for_effort
    from answers
),

scored as (
    select
        *,
        case when number_said between scale_least and scale_most then number_said end as score
    from scaled
)

select
    survey_id,
    response_id,
    question_id,
    answer_ordinal,
    answer_position,
    survey_name,
    question_position,
    question_type,
    question_text,
    created_at,
    responded_on,
    is_complete,
    device,
    country,
    page,
    answer,
    comment,
    tags,
    sentiment,
    score,
    scale_most,
    case
        when question_type != 'nps' then null
        when score >= 9 then 'promoter'
        when score >= 7 then 'passive'
        when score >= 0 then 'detractor'
    end as nps_group,
    coalesce(score is not null and asks_for_effort, false) as is_ces,
    coalesce(
        score is not null
        and not asks_for_effort
        and list_contains({{ text_list(var('hotjar_csat_question_types')) }}, question_type),
        false
    ) as is_csat,
    is_csat and score > scale_most - {{ var('hotjar_csat_top_boxes') | int }} as is_satisfied
from scored
