"""The report: one HTML page of what the answers add up to, to read, mail or print.

`scores` has the formulas, `chart` draws with matplotlib, `page` fills the template and `file`
writes it. No SQL and no Dagster. matplotlib takes longer to load than most reports to be made, so
`page` and `chart` are imported when a report is asked for.
"""
