"""Background work while identity providers are silent: what must go on, and how a child ends."""

import contextlib
import socket
import sqlite3
import time

import pytest

from conftest import SMALLEST
from harness import wait_until


@contextlib.contextmanager
def silent_server():
    """Takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


def conf(silent, timeout):
    dead = "".join(f'<OktaSSOOrg a-dead-{i:02}>\nOktaSSOIdPMetadata "http://127.0.0.1:{silent}/{i}"\n</OktaSSOOrg>\n'
                   for i in range(40))
    return f"OktaSSOHTTPTimeout {timeout}\n{dead}" + SMALLEST


@pytest.fixture
def server(httpd):
    with silent_server() as silent:
        made = httpd(conf(silent, "60s"), start=False)
        made.expect(r"OKS0001: refused .*flow\.idp\.unavailable", r"OKS0030: metadata .*net\.(busy|timeout|stopped)")
        yield made.start()
        made.stop()


def test_forty_dead_ones_delay_no_living_one(server):
    server.wait_for_metadata()
    browser, answer = server.login()
    assert answer.status == 303 and browser.get("/").status == 200
    assert server.browser().get("/sso/okta/login/a-dead-00").reason == "flow.idp.unavailable"
    assert "net.timeout" not in server.log.read_text(), "nobody waited for the end of a timeout"


def test_a_change_is_seen_meanwhile(server):
    """The change log is read by the same background work: what another process writes counts within seconds."""
    server.wait_for_metadata()
    browser, _ = server.login()
    assert browser.get("/").status == 200
    with sqlite3.connect(server.state / "directory.db", timeout=20) as database: # as another server on the same directory does
        (session,), = database.execute("SELECT id FROM sessions").fetchall()
        database.execute("DELETE FROM sessions")
        database.execute("UPDATE change_head SET seq = seq + 1")
        database.execute("INSERT INTO changes (seq, kind, hash, at) SELECT seq, 'session', ?, ? FROM change_head",
                         (session, time.time_ns() // 1000))
    wait_until(lambda: browser.get("/", navigate=False).status == 401, "the end of the session")


@pytest.mark.parametrize("how", ["stop", "graceful"])
def test_a_child_ends_though_fetches_are_under_way(server, how):
    """httpd says so (AH00045 and up) when a child does not end by itself; the harness takes that for a failure."""
    server.wait_for_metadata()
    if how == "graceful":
        before = set(server.children())
        server.graceful()
        wait_until(lambda: not before & set(server.children()), "the end of the old children")
        assert server.login()[1].status == 303
    server.stop()
    assert server.process.returncode == 0
