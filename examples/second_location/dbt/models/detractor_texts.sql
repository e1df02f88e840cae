-- What those wrote who would not recommend us, newest first.
select
    responded_on,
    survey_name,
    page,
    device,
    nps_score,
    texts
from {{ ref('hotjar__response') }}
where nps_group = 'detractor' and texts is not null
order by created_at desc
