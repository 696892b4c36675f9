"""The second request of a session: no system call of ours, no read of the directory (DESIGN.md section 1)."""

import collections
import http.client
import os
import pathlib
import re
import subprocess
import urllib.request

import pytest
from harness import wait_until

CONF = """
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
ThreadsPerChild 25
MinSpareThreads 1
MaxSpareThreads 25
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{dir}/idp.xml"
    Require valid-user
</Location>
<Location "/open">
    Require all granted
</Location>
"""
REQUESTS = 40
# What httpd's threads do by themselves while they wait for each other, for the clock and for the visitor's next request:
# a visitor who is slower by a microsecond costs a read that finds nothing and a turn through epoll.
IDLE = {"futex", "epoll_wait", "epoll_ctl", "restart_syscall", "clock_nanosleep", "select", "pselect6", "poll"}
NOTHING_TO_READ = re.compile(r"^.*= -1 EAGAIN .*$", re.M)


@pytest.fixture
def traced(httpd, okta):
    server = httpd(CONF, start=False)
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
    (server.dir / "htdocs/open").mkdir()
    for name in ("file.txt", "open/file.txt"):
        (server.dir / "htdocs" / name).write_text("x" * 1024)
    return server.start()


def system_calls(server, cookie, path, run):
    """{name: count} of the child while it serves REQUESTS requests on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"Cookie": cookie, "Accept": "text/html"}

    def request():
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) == (200, 1024)

    request()  # the record is in memory now, the thread and the connection are there
    said = server.dir / f"strace-{run}"
    [child] = server.children()
    strace = subprocess.Popen(["strace", "-f", "-qq", "-o", str(said), "-p", str(child)], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: int(re.search(r"TracerPid:\t(\d+)", pathlib.Path(f"/proc/{child}/status").read_text()).group(1)), "strace")
        for _ in range(REQUESTS):
            request()
    finally:
        strace.terminate()
        strace.wait(20)
        connection.close()
    names = re.findall(r"^\d+ +(\w+)\(", NOTHING_TO_READ.sub("", said.read_text()), re.M)
    return collections.Counter(name for name in names if name not in IDLE)


@pytest.mark.skipif("OKTASSO_PRELOAD" in os.environ, reason="a sanitizer makes system calls of its own")
def test_second_request_makes_no_system_call_of_its_own(traced):
    browser, answer = traced.login()
    assert answer.status == 303
    cookie = f"oktasso-session-acme={browser.session_cookie()}"
    bare = system_calls(traced, cookie, "/open/file.txt", "bare")
    ours = system_calls(traced, cookie, "/file.txt", "ours")
    assert sum(bare.values()) > REQUESTS  # httpd's own: read, write, open, ...
    # The watchdog's tick, once a second, is not of a request: it may fall into either run.
    per_request = {name: ours[name] / REQUESTS - bare[name] / REQUESTS for name in ours}
    assert {name: more for name, more in per_request.items() if more >= 0.5} == {}, (bare, ours)
