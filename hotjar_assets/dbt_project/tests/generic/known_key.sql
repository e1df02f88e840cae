{#- Every row's key is one of another model's. -#}
{% test known_key(model, columns, to) %}
select distinct {{ columns | join(', ') }}
from {{ model }}
anti join {{ to }} using ({{ columns | join(', ') }})
{% endtest %}
