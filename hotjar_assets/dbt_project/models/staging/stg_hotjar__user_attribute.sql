with

attributes as (
    select
        survey_id,
        response_id,
        unnest(user_attributes) as attribute,
        generate_subscripts(user_attributes, 1) as attribute_position
    from {{ source('hotjar', 'survey_responses') }}
    where deleted_at is null
)

select
    survey_id,
    response_id,
    attribute_position,
    attribute.name as attribute_name,
    attribute.value ->> '$' as attribute_value
from attributes
