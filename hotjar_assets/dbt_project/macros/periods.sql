{#- A day, week (from Monday) or month by its first day. -#}
{% macro period_starts_on(period, day) -%}
    date_trunc({{ period }}, {{ day }})::date
{%- endmacro %}

{#- The periods that scores are given for, as a relation with the column `period`. -#}
{% macro periods() -%}
    (select unnest(['day', 'week', 'month']) as period)
{%- endmacro %}

{#- The day of an instant in the time zone of hotjar_timezone. -#}
{% macro day_of(instant) -%}
    timezone('{{ var('hotjar_timezone') }}', {{ instant }})::date
{%- endmacro %}
