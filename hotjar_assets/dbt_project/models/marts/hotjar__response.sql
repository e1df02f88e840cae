with

text_questions as (
    select
        survey_id,
        list(question_id order by question_position) as text_question_ids
    from {{ ref('stg_hotjar__question') }}
    where {{ asks_for_text() }}
    group by survey_id
),

responses as (
    select
        response.*,
        text_question_ids,
        {%- if var('hotjar_include_incomplete') %}
        answers as counted,
        {%- else %}
        case when is_complete is not false then answers end as counted,
        {%- endif %}
        list_filter(counted, lambda given: {{ stripped('given.answer') }} != '') as answered
    from {{ ref('stg_hotjar__response') }} as response
    left join text_questions using (survey_id)
),

-- Texts, tags and ids are taken from the list within each row: to group the rows of answers by
-- response would hold those of all responses in memory.
scores as (
    select
        survey_id,
        response_id,
        avg(score) filter (where nps_group is not null) as nps_score,
        avg(score) filter (where is_csat) as csat_score,
        avg(score) filter (where is_ces) as ces_score
    from {{ ref('int_hotjar__answer_enriched') }}
    where score is not null
    group by survey_id, response_id
)

select
    response.survey_id,
    response.response_id,
    survey.survey_name,
    response.site_id,
    response.platform,
    response.created_at,
    response.responded_on,
    response.is_complete,
    response.device,
    response.browser,
    response.os,
    response.country,
    response.hotjar_user_id,
    response.page,
    response.response_origin_url,
    response.recording_url,
    response.window_width,
    response.window_height,
    coalesce(len(response.answered), 0) as answers,
    coalesce(
        len(list_distinct(list_transform(response.answered, lambda given: given.question_id))), 0
    ) as answered_questions,
    scores.nps_score,
    case
        when scores.nps_score >= 9 then 'promoter'
        when scores.nps_score >= 7 then 'passive'
        when scores.nps_score >= 0 then 'detractor'
    end as nps_group,
    scores.csat_score,
    scores.ces_score,
    nullif(array_to_string(flatten(list_transform(
        response.text_question_ids, lambda asked: list_transform(
            list_filter(response.answered, lambda given: given.question_id = asked),
            lambda given: {{ stripped('given.answer') }}
        )
    )), chr(10)), '') as texts,
    coalesce(
        list_sort(list_distinct(flatten(
            list_transform(response.counted, lambda given: given.tags)
        ))),
        []
    ) as tags,
    coalesce(
        len(list_filter(response.counted, lambda given: given.sentiment = 'positive')), 0
    ) as positive_answers,
    coalesce(
        len(list_filter(response.counted, lambda given: given.sentiment = 'negative')), 0
    ) as negative_answers
from responses as response
left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
left join scores using (survey_id, response_id)
