"""The report: one HTML page of what the answers add up to, to read, mail or print.

`scores` has the formulas, `chart` draws with matplotlib, `page` fills the template and `file`
writes it. No SQL and no Dagster; matplotlib and jinja2 come with the extra `plots`, so `page` and
`chart` are imported by nobody but who makes a report.
"""
