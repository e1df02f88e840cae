{#- Formulas of the scores, each written once. Counts are expressions of SQL. -#}

{#- A score, or null where it would rest on fewer answers than hotjar_minimum_answers. -#}
{% macro unless_few(score, answers) -%}
    case
        when {{ answers }} >= greatest(1, {{ var('hotjar_minimum_answers') | int }})
            then {{ score }}
    end
{%- endmacro %}

{#- NPS, -100 to 100: the share of promoters less that of detractors. -#}
{% macro nps(promoters, detractors, answers) -%}
    {{ unless_few('100.0 * (' ~ promoters ~ ' - ' ~ detractors ~ ') / ' ~ answers, answers) }}
{%- endmacro %}

{#- Half the width of the 95 % interval of an NPS, in points. -#}
{% macro nps_margin(promoters, detractors, answers) -%}
    {%- set p = '(' ~ promoters ~ ' / ' ~ answers ~ '::double)' -%}
    {%- set d = '(' ~ detractors ~ ' / ' ~ answers ~ '::double)' -%}
    {#- Rounding can leave a variance of nothing below zero. -#}
    {%- set variance = 'greatest(0, ' ~ p ~ ' + ' ~ d ~ ' - (' ~ p ~ ' - ' ~ d ~ ') ^ 2)' -%}
    {{ unless_few('1.96 * 100 * sqrt(' ~ variance ~ ' / ' ~ answers ~ ')', answers) }}
{%- endmacro %}

{#- A share in percent. -#}
{% macro percent(part, answers) -%}
    {{ unless_few('100.0 * ' ~ part ~ ' / ' ~ answers, answers) }}
{%- endmacro %}

{#- Half the width of the 95 % interval of a share, in percentage points. -#}
{% macro percent_margin(part, answers) -%}
    {%- set p = '(' ~ part ~ ' / ' ~ answers ~ '::double)' -%}
    {{ unless_few('1.96 * 100 * sqrt(' ~ p ~ ' * (1 - ' ~ p ~ ') / ' ~ answers ~ ')', answers) }}
{%- endmacro %}

{#- Half the width of the 95 % interval of a mean; null for a single answer. -#}
{% macro mean_margin(score, answers) -%}
    {{ unless_few('1.96 * stddev_samp(' ~ score ~ ') / sqrt(' ~ answers ~ ')', answers) }}
{%- endmacro %}
