{% test known_key(model, columns, to) %}
{{ config(meta={'description': 'Every ' ~ columns | join(', ') ~ ' is known where it comes from.'}) }}
select distinct {{ columns | join(', ') }}
from {{ model }}
anti join {{ to }} using ({{ columns | join(', ') }})
{% endtest %}
