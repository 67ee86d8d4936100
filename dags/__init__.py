"""The platform's work on a schedule, in Apache Airflow: one file a DAG, every task one call into a use case."""
