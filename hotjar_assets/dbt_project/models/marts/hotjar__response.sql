with

answers as (
    select
        *,
        {{ stripped('answer') }} as said
    from {{ ref('int_hotjar__answer_enriched') }}
),

by_response as (
    select
        survey_id,
        response_id,
        count(*) filter (where said != '') as answers,
        count(distinct question_id) filter (where said != '') as answered_questions,
        avg(score) filter (where nps_group is not null) as nps_score,
        avg(score) filter (where is_csat) as csat_score,
        avg(score) filter (where is_ces) as ces_score,
        string_agg(said, chr(10) order by question_position, answer_ordinal) filter (
            where {{ is_text() }}
        ) as texts,
        list_sort(list_distinct(flatten(list(tags)))) as tags,
        count(*) filter (where sentiment = 'positive') as positive_answers,
        count(*) filter (where sentiment = 'negative') as negative_answers
    from answers
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
    coalesce(by_response.answers, 0) as answers,
    coalesce(by_response.answered_questions, 0) as answered_questions,
    by_response.nps_score,
    case
        when by_response.nps_score >= 9 then 'promoter'
        when by_response.nps_score >= 7 then 'passive'
        when by_response.nps_score >= 0 then 'detractor'
    end as nps_group,
    by_response.csat_score,
    by_response.ces_score,
    by_response.texts,
    coalesce(by_response.tags, []) as tags,
    coalesce(by_response.positive_answers, 0) as positive_answers,
    coalesce(by_response.negative_answers, 0) as negative_answers
from {{ ref('stg_hotjar__response') }} as response
left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
left join by_response using (survey_id, response_id)
