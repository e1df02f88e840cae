with

responses as (
    select
        survey_id,
        responded_on,
        coalesce(device, 'unknown') as device,
        count(*) as responses,
        count(*) filter (where is_complete) as complete_responses
    from {{ ref('stg_hotjar__response') }}
    group by all
),

scores as (
    select
        survey_id,
        responded_on,
        coalesce(device, 'unknown') as device,
        {{ score_counts() }}
    from {{ ref('int_hotjar__answer_enriched') }}
    group by all
)

select
    survey_id,
    survey.survey_name,
    responded_on,
    device,
    responses.responses,
    responses.complete_responses,
    100.0 * responses.complete_responses / responses.responses as completion_rate,
    {{ scores_of_counts() }}
from responses
left join {{ ref('stg_hotjar__survey') }} as survey using (survey_id)
left join scores using (survey_id, responded_on, device)
