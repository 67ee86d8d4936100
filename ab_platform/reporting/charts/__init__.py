"""Charts of the dashboard and of reports, each pure: rows in, an Altair chart out."""
