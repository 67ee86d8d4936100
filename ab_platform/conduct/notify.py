"""Tell people: alerts to the log, to a webhook, by e-mail; each once."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpx

from ab_platform.alerts import Alert
from ab_platform.errors import AlertError
from ab_platform.storage.store import Store

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Channels:
    """Where alerts go beside the log; what is None is left out.

    Attributes:
        webhook: address that takes a JSON document by POST; its `text` is what chat programs show.
        email: address of the people.
        smtp_url: mail server, `smtp://user:password@host:port`, or `smtps://` for TLS from the start.
    """

    webhook: str | None = None
    email: str | None = None
    smtp_url: str | None = None


def notify(store: Store, channels: Channels, *, now: datetime) -> tuple[Alert, ...]:
    """Send every alert that stands and was not sent; return them.

    An alert counts as sent when every channel took it. One that a channel refused goes to all of them again at the next
    call, so a webhook may see it twice: `Idempotency-Key` tells.

    Raises:
        AlertError: where a channel did not take one; the others were sent.
    """
    sent, problems = [], []
    for alert in store.unsent_alerts():
        logger.warning("%s", alert.message)
        try:
            for send in _senders(channels):
                send(alert)
        except (httpx.HTTPError, OSError, smtplib.SMTPException) as error:
            problems.append(f"{alert.kind} of {alert.experiment}: {error}")
            continue
        store.mark_sent([alert], at=now)
        sent.append(alert)
    if problems:
        raise AlertError(
            f"{len(problems)} of {len(problems) + len(sent)} alerts were not delivered; {problems[0]}; "
            "check ABP_ALERT_WEBHOOK, ABP_ALERT_EMAIL and ABP_SMTP_URL: what was not sent is sent again"
        )
    return tuple(sent)


def _senders(channels: Channels) -> list[Callable[[Alert], None]]:
    senders: list[Callable[[Alert], None]] = []
    if channels.webhook is not None:
        senders.append(lambda alert: _post(alert, str(channels.webhook)))
    if channels.email is not None and channels.smtp_url is not None:
        senders.append(lambda alert: _mail(alert, str(channels.email), str(channels.smtp_url)))
    return senders


def _post(alert: Alert, address: str) -> None:
    document = {name: str(value) for name, value in asdict(alert).items() if value is not None}
    identity = f"{alert.experiment}/{alert.kind}/{alert.subject}/{alert.raised_at.isoformat()}"
    headers = {"Idempotency-Key": identity}
    reply = httpx.post(address, json={"text": alert.message, **document}, headers=headers, timeout=PATIENCE_SECONDS)
    reply.raise_for_status()


def _mail(alert: Alert, to: str, smtp_url: str) -> None:
    server = urlsplit(smtp_url)
    message = EmailMessage()
    message["From"] = unquote(server.username) if server.username and "@" in unquote(server.username) else to
    message["To"] = to
    message["Subject"] = f"{alert.experiment}: {alert.kind.replace('_', ' ')}"
    message.set_content(alert.message)
    secure = server.scheme == "smtps"
    connect = smtplib.SMTP_SSL if secure else smtplib.SMTP
    with connect(
        server.hostname or "localhost", server.port or (465 if secure else 25), timeout=PATIENCE_SECONDS
    ) as smtp:
        if server.username and server.password:
            if not secure:
                smtp.starttls()
            smtp.login(unquote(server.username), unquote(server.password))
        smtp.send_message(message)
