"""Look at every running experiment when its user-days are new: lifts, health, decision, alerts.

Alerts go to the task's log, to a webhook and by e-mail (`ABP_ALERT_WEBHOOK`, `ABP_ALERT_EMAIL`), each once: a sample
ratio that alarms, a guardrail that is breached, a planned end that is reached, and events that stopped coming. An
experiment with `stop_on_breach` is stopped here when a guardrail is breached.
"""

from __future__ import annotations

from airflow.sdk import dag, get_current_context, task

from dags.tasks import tell
from dags.workplace import LIFTS, SCHEDULED, USER_DAYS, field, now, store, user_reads


@dag(
    schedule=[USER_DAYS],
    params={
        "as_of": field(
            None,
            type=["null", "string"],
            format="date",
            title="As of",
            say="A day such as 2026-03-07: analyze as of that day again. Leave it empty for the newest.",
        )
    },
    tags=["experiments"],
    **SCHEDULED,
    description=__doc__.splitlines()[0],
    doc_md=__doc__,
)
def analyze_experiments() -> None:
    """List, look, tell."""

    @task
    def list_running() -> list[str]:
        """List the experiments that a look is due at."""
        from ab_platform.conduct.guard import running

        with store() as opened:
            return list(running(opened, now=now()))

    @task(outlets=[LIFTS], map_index_template="{{ key }}")
    def look(key: str) -> str | None:
        """Analyze, raise alerts, and stop where a guardrail is breached and the experiment says so."""
        from datetime import date

        from ab_platform import analysis, reporting
        from ab_platform.conduct.guard import guard

        context = get_current_context()
        context["key"] = key  # type: ignore[typeddict-unknown-key]
        as_of = context["params"]["as_of"]
        with store() as opened:
            readout = (
                analysis.analyze(opened, key, as_of=date.fromisoformat(as_of), reads=user_reads(opened))
                if as_of
                else guard(opened, key, now=now(), reads=user_reads(opened)).readout
            )
        if readout is None:
            return None
        print(reporting.as_text(readout))
        return readout.as_of.isoformat()

    # A teardown: people are told also when a look failed, and the run has failed all the same.
    look.expand(key=list_running()) >> tell().as_teardown()


analyze_experiments()
