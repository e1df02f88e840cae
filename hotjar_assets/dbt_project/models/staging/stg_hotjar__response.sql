select
    survey_id,
    response_id,
    site_id,
    platform,
    created_at,
    {{ day_of('created_at') }} as responded_on,
    is_complete,
    device,
    browser,
    os,
    country,
    hotjar_user_id,
    response_origin_url,
    -- The page without what a campaign or an anchor adds; one page with and without a last slash.
    regexp_replace(response_origin_url, '/?([?#].*)?$', '') as page,
    recording_url,
    window_width,
    window_height,
    answers,
    synced_at
from {{ source('hotjar', 'survey_responses') }}
where deleted_at is null
