{#- The day of an instant in the time zone of hotjar_timezone. -#}
{% macro day_of(instant) -%}
    timezone('{{ var('hotjar_timezone') }}', {{ instant }})::date
{%- endmacro %}

{#- One row for each question in each day, week (from Monday) and month that has answers that
    count. The caller writes the figures, which may name `answers`, their number. -#}
{% macro by_period(counts) -%}
select
    survey_id,
    any_value(survey_name) as survey_name,
    question_id,
    any_value(question_text) as question_text,
    period,
    date_trunc(period, responded_on)::date as period_starts_on,
    count(*) as answers,
    {{- caller() }}
from {{ ref('int_hotjar__answer_enriched') }}
cross join (select unnest(['day', 'week', 'month']) as period)
where {{ counts }}
group by survey_id, question_id, period, period_starts_on
{%- endmacro %}
