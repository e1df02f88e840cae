{#- The model has as many rows as `counted` counts in another relation: no row lost, none twice. -#}
{% test counts_like(model, to, counted="count(*)", among="true") %}
with

expected as (
    select coalesce({{ counted }}, 0) as expected_rows
    from {{ to }}
    where {{ among }}
),

found as (
    select count(*) as found_rows
    from {{ model }}
)

select *
from expected
cross join found
where expected_rows != found_rows
{% endtest %}
