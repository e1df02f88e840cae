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
