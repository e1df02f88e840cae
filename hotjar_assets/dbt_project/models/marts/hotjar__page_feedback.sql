with

pages as (
    {{ breakdown({'page': 'page'}) }}
)

select *
from pages
where page is not null
