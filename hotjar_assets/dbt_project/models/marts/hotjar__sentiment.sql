{%- set positive = count_where("sentiment = 'positive'") -%}
{%- set neutral = count_where("sentiment = 'neutral'") -%}
{%- set negative = count_where("sentiment = 'negative'") -%}

{% call by_period("sentiment in ('positive', 'neutral', 'negative')") %}
    {{ unless_few(positive, 'answers') }} as positive,
    {{ unless_few(neutral, 'answers') }} as neutral,
    {{ unless_few(negative, 'answers') }} as negative,
    -- Shares of three kinds, as of promoters and detractors.
    {{ nps(positive, negative, 'answers') }} as net_sentiment,
    {{ nps_margin(positive, negative, 'answers') }} as margin
{%- endcall %}
