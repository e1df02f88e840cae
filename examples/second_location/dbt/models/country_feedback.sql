-- One row for each survey and country: responses, NPS, CSAT, CES and how much was written.
{{ hotjar.breakdown({'country': "coalesce(country, 'unknown')"}) }}
