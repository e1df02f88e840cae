with

listed as (
    select
        survey_id,
        site_id,
        platform,
        name as survey_name,
        type as survey_type,
        language,
        is_enabled,
        is_sentiment_enabled,
        created_at,
        updated_at,
        url as survey_url,
        synced_at
    from {{ source('hotjar', 'surveys') }}
    where deleted_at is null
),

-- A survey that was only imported is in no listing.
imported as (
    select
        survey_id,
        any_value(site_id) as site_id,
        any_value(platform) as platform,
        null as survey_name,
        null as survey_type,
        null as language,
        null as is_enabled,
        null as is_sentiment_enabled,
        null as created_at,
        null as updated_at,
        null as survey_url,
        null as synced_at
    from {{ source('hotjar', 'survey_responses') }}
    where
        deleted_at is null
        and survey_id not in (select survey_id from {{ source('hotjar', 'surveys') }})
    group by survey_id
)

select *
from listed
union all
select *
from imported
