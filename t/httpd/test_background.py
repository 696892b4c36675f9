"""Background work while identity providers are silent: what must go on, and how a child ends."""

import contextlib
import http.server
import os
import re
import signal
import socket
import sqlite3
import threading
import time
import urllib.request

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
        made.expect(r"OKS0001: refused .*flow\.idp\.unavailable", r"OKS0030: metadata .*net\.(timeout|stopped)")
        yield made.start()
        made.stop()


def end_session_elsewhere(server):
    """As another server on the same directory does."""
    with sqlite3.connect(server.state / "directory.db", timeout=20) as database:
        (session,), = database.execute("SELECT id FROM sessions").fetchall()
        database.execute("DELETE FROM sessions")
        database.execute("UPDATE change_head SET seq = seq + 1")
        database.execute("INSERT INTO changes (seq, kind, hash, at) SELECT seq, 'session', ?, ? FROM change_head",
                         (session, time.time_ns() // 1000))


def test_forty_dead_ones_delay_no_living_one(server):
    server.wait_for_metadata()
    browser, answer = server.login()
    assert answer.status == 303 and browser.get("/").status == 200
    assert server.browser().get("/sso/okta/login/a-dead-00").reason == "flow.idp.unavailable"
    assert "net.timeout" not in server.log.read_text(), "nobody waited for the end of a timeout"


@contextlib.contextmanager
def slow_server(body, seconds):
    """Takes its time for each answer."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_address[1]
        running.shutdown()


def test_many_at_one_slow_server_take_turns(httpd, okta):
    """To wait for one's turn is no failure: it is neither told nor makes the next wait longer."""
    many = 120
    with slow_server(urllib.request.urlopen(okta.metadata_url()).read(), 0.1) as slow:
        orgs = "".join(f'<OktaSSOOrg o{i}>\nOktaSSOIdPMetadata "http://127.0.0.1:{slow}/{i}"\n</OktaSSOOrg>\n' for i in range(many))
        server = httpd(orgs + '<Location "/">\nAuthType OktaSSO\nOktaSSOOrg *\nRequire valid-user\n</Location>\n', metadata=False)
        wait_until(lambda: "resuming normal operations" in server.log_since(0), "the start")

        def fetched():
            with contextlib.closing(sqlite3.connect(server.state / "directory.db")) as database:
                return database.execute("SELECT COUNT(*) FROM documents").fetchone()[0]
        wait_until(lambda: fetched() == many, "all of them", 60)
    assert "net.busy" not in server.log.read_text()


def test_a_change_is_seen_meanwhile(server):
    """The change log is read by the same background work: what another process writes counts within seconds."""
    server.wait_for_metadata()
    browser, _ = server.login()
    assert browser.get("/").status == 200
    end_session_elsewhere(server)
    wait_until(lambda: browser.get("/", navigate=False).status == 401, "the end of the session")


def statuses(browser):
    """Of so many requests, each by a connection of its own, that every child has had some."""
    return {browser.get("/", navigate=False).status for _ in range(60)}


@contextlib.contextmanager
def asleep(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_change_is_seen_though_the_child_that_reads_them_is_killed(httpd):
    """Before it had read that one; the child that takes the work over goes on where it ended."""
    server = httpd(SMALLEST, loglevel="warn oktasso:info watchdog:debug")
    server.expect(r"AH00052")
    browser, _ = server.login()
    assert statuses(browser) == {200}
    reader = int(re.search(r"\[pid (\d+).*Singleton Watchdog \(oktasso\) running", server.log.read_text()).group(1))
    with asleep(server.children()):
        end_session_elsewhere(server)
        os.kill(reader, signal.SIGKILL)
    wait_until(lambda: statuses(browser) == {401}, "the end of the session in each child")


def test_a_change_is_seen_though_its_row_was_swept(httpd):
    """By another server, while this one was away for longer than rows are kept."""
    server = httpd(SMALLEST)
    browser, _ = server.login()
    assert statuses(browser) == {200}
    with asleep(server.children()):
        end_session_elsewhere(server)
        with sqlite3.connect(server.state / "directory.db", timeout=20) as database:
            database.execute("DELETE FROM changes")
    wait_until(lambda: statuses(browser) == {401}, "the end of the session in each child")


def test_what_one_sweep_leaves_waits_for_no_minute(httpd):
    server = httpd(SMALLEST)
    server.stop()
    with sqlite3.connect(server.state / "directory.db", timeout=20) as database:
        database.execute("INSERT INTO claims WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT 'many' || i, 1 FROM n")
    server.start()

    def left():
        with sqlite3.connect(server.state / "directory.db", timeout=20) as database:
            return database.execute("SELECT COUNT(*) FROM claims WHERE expires = 1").fetchone()[0]
    wait_until(lambda: left() == 0, "the third sweep, of 20,000 rows each")


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
