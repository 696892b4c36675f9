"""What a server bears: a million sessions, a thousand logins at once, cookies that are garbage, and clients that are slow. Memory is
what httpd's processes have for themselves (private, dirty); rates are of this machine, ratios of one run."""

import concurrent.futures
import pathlib
import re
import socket
import sqlite3
import statistics
import subprocess
import threading
import time

import compare
import saml_login

SESSIONS, LOGINS, CLIENTS, SLOW = 1_000_000, 1000, 50, 400
GROWTH_MAX = 1.25
GARBAGE = """
local count = 0
request = function()
  count = count + 1
  return wrk.format("GET", "/private/file.txt", {["Cookie"] = "oktasso-session-acme=" .. string.rep(string.char(65 + count % 26), 150) .. count})
end
"""
# As Debian ships mod_reqtimeout: who sends a body slower than that has no worker for long.
PATIENCE = "RequestReadTimeout header=20-40,minrate=500 body=20,minrate=500\n"
FILL = f"""INSERT INTO sessions (id, user_id, org, vhost, protocol, subject_format, session_index, session_index_key, authn_context, authn_instant,
 created, expires) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {SESSIONS - 1}) SELECT printf('%032x', i),
 (SELECT id FROM users LIMIT 1), 'acme', '127.0.0.1', 'saml', 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress', 'id' || i,
 printf('%064x', i), 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport', :now, :now, :now + 28800000000 FROM n"""


def private(server):
    """KiB of all processes."""
    total = 0
    for pid in [server.process.pid, *server.children()]:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"Private_Dirty: +(\d+)", text).group(1))
    return total


def login_time(server, okta):
    """Milliseconds of a POST, as a client sees it: the median of twenty."""
    spent = []
    for browser, minted in [saml_login.answered(server, okta, "oktasso") for _ in range(20)]:
        before = time.perf_counter()
        saml_login.finish(browser, minted, "oktasso")
        spent.append((time.perf_counter() - before) * 1000)
    return statistics.median(spent)


def per_request(server, scene):
    """Instructions of a protected request; the server is stopped before and after."""
    totals = []
    for count in compare.COUNTS:
        server.start_counted()
        compare.requests(server, compare.SAML.sign_in(server, scene), count)
        totals.append(server.counted())
    return (totals[1] - totals[0]) / (compare.COUNTS[1] - compare.COUNTS[0])


def a_million_sessions(server, scene):
    few = login_time(server, scene.okta)
    server.stop()
    one = per_request(server, scene)
    with sqlite3.connect(server.state / "directory.db") as database:
        database.execute(FILL, {"now": time.time_ns() // 1000})
    database.close()
    size = (server.state / "directory.db").stat().st_size / 2**20
    million = per_request(server, scene)
    began = time.perf_counter()
    server.start_under(single=False)
    cookie = compare.SAML.sign_in(server, scene)
    started = time.perf_counter() - began
    many = login_time(server, scene.okta)
    compare.requests(server, cookie, 200)
    print(f"{SESSIONS:,} sessions: a database of {size:,.0f} MiB; start and a first login {started:.1f} s; a login {many:.1f} ms, without them "
          f"{few:.1f} ms ({many / few:.2f} times); a protected request {million:,.0f} instructions, without them {one:,.0f}")
    return many <= 2 * few + 2 and million <= 1.02 * one


def logins_at_once(server, scene):
    minted = [saml_login.answered(server, scene.okta, "oktasso") for _ in range(LOGINS)]
    before, began = private(server), time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda login: saml_login.finish(*login, "oktasso"), minted))
    spent, after = time.perf_counter() - began, private(server)
    print(f"{LOGINS:,} logins from {CLIENTS} clients at once: {LOGINS / spent:,.0f} a second, all of them in; memory {before:,} KiB before, {after:,} after")
    return True


def garbage(server, scene, bare):
    script = server.dir / "garbage.lua"
    script.write_text(GARBAGE)

    def rate(of, path, *more):
        said = subprocess.run(["wrk", "-t1", "-c32", "-d5s", *more, f"http://127.0.0.1:{of.port}{path}"], capture_output=True, text=True, check=True).stdout
        return float(re.search(r"Requests/sec: +([\d.]+)", said).group(1))
    rate(server, compare.FILE, "-s", script)  # all children are there
    size, before = (server.state / "directory.db").stat().st_size, private(server)
    refused, served = rate(server, compare.FILE, "-s", script), rate(bare, compare.FILE)
    after, grown = private(server), (server.state / "directory.db").stat().st_size - size
    print(f"garbage cookies from 32 clients: {refused:,.0f} refusals a second ({refused / served:.2f} of what bare httpd serves of a file); memory "
          f"{before:,} KiB before, {after:,} after; the database grew by {grown} bytes")
    return after <= before * GROWTH_MAX and grown == 0


def slow_clients(server, scene):
    head = b"POST /sso/okta/acs/acme HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 400000\r\n\r\nSAMLResponse="
    ended = threading.Event()
    sockets = []

    def drip():
        while not ended.wait(1):
            for connection in sockets:
                try:
                    connection.send(b"A")
                except OSError:
                    pass
    for _ in range(SLOW):
        sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        sockets[-1].sendall(head)
    thread = threading.Thread(target=drip)
    thread.start()
    began = time.perf_counter()
    answer = server.browser().request("GET", "/sso/okta/login/acme")
    waited = time.perf_counter() - began
    ended.set()
    thread.join()
    for connection in sockets:
        connection.close()
    print(f"{SLOW} clients that send a byte a second to the ACS: somebody else is served after {waited:.1f} s ({answer.status}), with mod_reqtimeout as Debian has it")
    return answer.status == 303 and waited < 30


def run(scene):
    conf = saml_login.OURS + PATIENCE
    server = compare.dataclasses.replace(compare.SAML, conf=conf, modules=("reqtimeout",)).server(scene)
    bare = compare.BARE.server(scene)
    try:
        server.start_under(single=False)
        bare.start_under(single=False)
        scene.okta.control(apps=[saml_login.application(server, "oktasso")])
        compare.SAML.sign_in(server, scene)
        return all([a_million_sessions(server, scene), logins_at_once(server, scene), garbage(server, scene, bare),
                    slow_clients(server, scene)])
    finally:
        server.end()
        bare.end()
