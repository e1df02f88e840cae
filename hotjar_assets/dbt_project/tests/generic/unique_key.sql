{% test unique_key(model, columns) %}
{{ config(meta={'description': 'No ' ~ columns | join(', ') ~ ' stands twice.'}) }}
select {{ columns | join(', ') }}
from {{ model }}
group by all
having count(*) > 1
{% endtest %}
