{#- The model has as many rows (or as much of `found`) as `counted` counts in another relation: no
    row lost, none twice. -#}
{% test counts_like(model, to, counted="count(*)", among="true", found="count(*)") %}
{{ config(meta={'description': 'As many as there were before: none is lost, and none stands twice.'}) }}
with

expected as (
    select coalesce({{ counted }}, 0) as expected_rows
    from {{ to }}
    where {{ among }}
),

found as (
    select coalesce({{ found }}, 0) as found_rows
    from {{ model }}
)

select *
from expected
cross join found
where expected_rows != found_rows
{% endtest %}
