"""Alerts reach a real HTTP server and a real mail server, each once; what is refused is sent again."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ab_platform.alerts import Alert
from ab_platform.conduct.notify import Channels, notify
from ab_platform.errors import AlertError
from ab_platform.storage.store import Store
from tests.worlds import START, launch, register

ALERT = Alert("tail-vs-head", "no_data", "events", START.date(), "tail-vs-head: no event came", START)


@pytest.fixture
def alerted(store: Store) -> Store:
    register(store, launch())
    store.raise_alerts([ALERT])
    return store


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    """Serve in a thread; yield the port."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index,misc]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def webhook(status: int = 204) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Take what is posted: its identity and its document."""
    taken: list[tuple[str, dict[str, str]]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((str(self.headers["Idempotency-Key"]), json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Taking)) as port:
        yield f"http://127.0.0.1:{port}/alerts", taken


class MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP as one message takes."""

    def handle(self) -> None:
        self._say("220 test")
        while line := self.rfile.readline().strip():
            verb = line.upper()
            if verb == b"DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.taken.append(b"".join(lines).decode())  # type: ignore[attr-defined]
            self._say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


def test_an_alert_is_posted_once(alerted: Store) -> None:
    with webhook() as (address, taken):
        assert len(notify(alerted, Channels(webhook=address), now=START)) == 1
        assert notify(alerted, Channels(webhook=address), now=START) == ()
    [(identity, document)] = taken
    assert identity.startswith("tail-vs-head/no_data/events/2026-03-01")
    assert document["text"] == ALERT.message
    assert document["kind"] == "no_data"


def test_an_alert_that_was_refused_is_sent_again(alerted: Store) -> None:
    with webhook(status=500) as (address, taken), pytest.raises(AlertError, match="1 of 1 alerts were not delivered"):
        notify(alerted, Channels(webhook=address), now=START)
    with webhook() as (address, again):
        notify(alerted, Channels(webhook=address), now=START)
    assert [identity for identity, _ in taken] == [identity for identity, _ in again]


def test_a_webhook_that_is_not_there_is_an_error_that_says_what_to_check(alerted: Store) -> None:
    with pytest.raises(AlertError, match="check ABP_ALERT_WEBHOOK"):
        notify(alerted, Channels(webhook="http://127.0.0.1:9/none"), now=START)


def test_an_alert_is_mailed(alerted: Store) -> None:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer)
    server.taken = []  # type: ignore[attr-defined]
    with serving(server) as port:
        notify(alerted, Channels(email="team@example.org", smtp_url=f"smtp://127.0.0.1:{port}"), now=START)
    [message] = server.taken  # type: ignore[attr-defined]
    assert "Subject: tail-vs-head: no data" in message
    assert "To: team@example.org" in message
    assert ALERT.message in message


def test_without_a_channel_the_log_has_it(alerted: Store, caplog: pytest.LogCaptureFixture) -> None:
    notify(alerted, Channels(), now=START)
    assert ALERT.message in caplog.text
