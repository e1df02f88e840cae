with

tags as (
    select
        survey_id,
        response_id,
        question_id,
        answer_ordinal,
        answer_position,
        unnest(tags) as tag
    from {{ ref('stg_hotjar__answer') }}
)

select distinct *
from tags
where tag is not null
