{#- Formulas of the scores, each written once. Counts are expressions of SQL. Macros name each other
    with the package, so that models of other projects can call them. -#}

{#- The number of rows that meet a condition. -#}
{% macro count_where(condition) -%}
    count(*) filter (where {{ condition }})
{%- endmacro %}

{#- A score, or null where it would rest on fewer answers than hotjar_minimum_answers. -#}
{% macro unless_few(score, answers) -%}
    case
        when {{ answers }} >= greatest(1, {{ var('hotjar_minimum_answers', 1) | int }})
            then {{ score }}
    end
{%- endmacro %}

{#- NPS, -100 to 100: the share of promoters less that of detractors. -#}
{% macro nps(promoters, detractors, answers) -%}
    {{ hotjar.unless_few('100.0 * (' ~ promoters ~ ' - ' ~ detractors ~ ') / ' ~ answers, answers) }}
{%- endmacro %}

{#- Half the width of the 95 % interval of an NPS, in points. -#}
{% macro nps_margin(promoters, detractors, answers) -%}
    {%- set p = '(' ~ promoters ~ ' / ' ~ answers ~ '::double)' -%}
    {%- set d = '(' ~ detractors ~ ' / ' ~ answers ~ '::double)' -%}
    {#- Rounding can leave a variance of nothing below zero. -#}
    {%- set variance = 'greatest(0, ' ~ p ~ ' + ' ~ d ~ ' - (' ~ p ~ ' - ' ~ d ~ ') ^ 2)' -%}
    {{ hotjar.unless_few('1.96 * 100 * sqrt(' ~ variance ~ ' / ' ~ answers ~ ')', answers) }}
{%- endmacro %}

{#- A share in percent. -#}
{% macro percent(part, answers) -%}
    {{ hotjar.unless_few('100.0 * ' ~ part ~ ' / ' ~ answers, answers) }}
{%- endmacro %}

{#- Half the width of the 95 % interval of a share, in percentage points. -#}
{% macro percent_margin(part, answers) -%}
    {%- set p = '(' ~ part ~ ' / ' ~ answers ~ '::double)' -%}
    {{ hotjar.unless_few('1.96 * 100 * sqrt(' ~ p ~ ' * (1 - ' ~ p ~ ') / ' ~ answers ~ ')', answers) }}
{%- endmacro %}

{#- Half the width of the 95 % interval of a mean; null for a single answer. -#}
{% macro mean_margin(score, answers) -%}
    {{ hotjar.unless_few('1.96 * (stddev_samp(' ~ score ~ ') / sqrt(' ~ answers ~ '))', answers) }}
{%- endmacro %}
