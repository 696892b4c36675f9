"""What SCIM does in a second on SQLite: creations from eight connections, lookups among 100,000 users, a member more in a group of 10,000,
and a page far down beside the first one. Absolute numbers, of this machine, and creations and lookups beside npm's scimmy-routers (in memory),
in turn; the ratio of the pages is of one run. And how a child grows while 100,000 users are imported."""

import contextlib
import hashlib
import http.client
import json
import pathlib
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
import types
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "idp"))
import harness  # noqa: E402
import npm  # noqa: E402

TOKEN = "of-the-bench"
CONF = f"""
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{{dir}}/idp.xml"
    OktaSSOSCIMToken sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}
</OktaSSOOrg>
"""
BASE = "/sso/okta/scim/acme/v2"
FIND_ONE = urllib.parse.urlencode({"filter": 'userName eq "u77"'})
USERS, MEMBERS = 100_000, 10_000
ROUNDS, SECONDS = 3, 3
IMPORTED, GROWTH = (10_000, 50_000, 100_000, 200_000), 1.15
ONE_CHILD = "StartServers 1\nServerLimit 1\nMaxRequestWorkers 25\nMinSpareThreads 1\n"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
CREATE = """
local count = START
request = function()
  count = count + 1
  local body = string.format('{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"b%d@acme.example",' ..
    '"name":{"givenName":"Test","familyName":"User"},"emails":[{"value":"b%d@acme.example","primary":true}],"active":true}', count, count)
  return wrk.format("POST", "BASE/Users", HEADERS, body)
end
"""
LOOKUP = """
local count = 0
request = function()
  count = (count * 7919 + 1) % 100000
  return wrk.format("GET", "BASE/Users?filter=userName%20eq%20%22u" .. count .. "%22", HEADERS)
end
"""
ROWS = f"""INSERT INTO users (id, org, subject, email, first_name, last_name, name, asserted_groups, extra, active, created, updated, user_name,
 user_name_key) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {USERS - 1}) SELECT printf('%032x', i + 1), 'acme', '', '',
 '', '', '', '[]', '[]', 1, i, i, 'u' || i, hash(i) FROM n"""


def script(folder, text, start=0):
    lua = "{" + ", ".join(f'["{name}"] = "{value}"' for name, value in HEADERS.items()) + "}"
    file = folder / "load.lua"
    file.write_text(text.replace("BASE", BASE).replace("HEADERS", lua).replace("START", str(start)))
    return ["-s", str(file)]


def rate(server, text, start=0):
    said = subprocess.run(["wrk", "-t1", "-c8", f"-d{SECONDS}s", *script(server.dir, text, start), f"http://127.0.0.1:{server.port}"],
                          capture_output=True, text=True, check=True)
    assert "Non-2xx" not in said.stdout, said.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said.stdout).group(1))


def rates(servers, text):
    """A server's median, of rounds in turn."""
    seen = [[rate(server, text, number * 10**6) for server in servers] for number in range(ROUNDS)]
    return [statistics.median(each) for each in zip(*seen)]


# ---- Beside scimmy-routers ----

@contextlib.contextmanager
def scimmy(place, users):
    """npm's, with so many users: what `rate` wants to know of a server."""
    port = harness.free_port()
    child = subprocess.Popen(["node", "scimmy.mjs", str(port), TOKEN, str(users)], cwd=place, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        server = types.SimpleNamespace(dir=place, port=port)
        assert not users or Client(server).call("GET", "/Users?" + FIND_ONE)["totalResults"] == 1
        yield server
    finally:
        child.terminate()
        child.wait(10)
        child.stdout.close()


def packages():
    """Where npm's are; None: there is no npm, or it cannot install."""
    if not shutil.which("node") or not shutil.which("npm"):
        print("scimmy-routers is left out: no node or npm here")
        return None
    try:
        return npm.installed(pathlib.Path(__file__).resolve().parent / "scimmy.mjs")
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        print(f"scimmy-routers is left out: npm install: {str(error)[:200]}")
        return None


def compared(what, server, place, text, users=0):
    """Our rate; theirs is printed beside it."""
    with contextlib.ExitStack() as stack:
        servers = [server, *([stack.enter_context(scimmy(place, users))] if place else [])]
        ours, *theirs = rates(servers, text)
    if theirs:
        print(f"SCIM beside scimmy-routers in memory, {what}: ours {ours:,.0f}/s, theirs {theirs[0]:,.0f}/s, ratio {ours / theirs[0]:.2f}")
    return ours


# ---- An import ----

def private(server):
    """KiB of the one child that it wrote itself: pages of libraries are its alone as well when no other process has them just now."""
    [pid] = server.children()
    return int(re.search(r"^Private_Dirty: +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))


def count(server):
    """By a look into the file: to count by SCIM reads a whole index, which then fills the 2 MB that SQLite keeps of pages, a connection."""
    with contextlib.closing(sqlite3.connect(f"file:{server.state}/directory.db?mode=ro", uri=True)) as database:
        return database.execute("SELECT max(rowid) FROM users").fetchone()[0] or 0


def run_import(make, okta):
    """200,000 users by POST, and how a child grows after the first 50,000: until then its threads, their arenas and connections come to
    be, which takes seconds rather than users. What it has allocated stays the same (mallinfo2 said 1 % more); the rest is free space
    between that, in the arenas of malloc, and grows ever more slowly: 1 % from 200,000 to 400,000 users."""
    server = started(make, okta, ONE_CHILD)
    Client(server).call("GET", "/Users?count=0")  # the directory comes to be
    load = subprocess.Popen(["wrk", "-t1", "-c8", "-d3600s", *script(server.dir, CREATE), f"http://127.0.0.1:{server.port}"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    sizes = {}
    try:
        for users in IMPORTED:
            harness.wait_until(lambda: count(server) >= users, f"{users} users", 600)
            sizes[users] = private(server)
    finally:
        load.send_signal(signal.SIGINT)
        said = load.communicate(timeout=30)[0]
        server.end()
    assert "Non-2xx" not in said, said
    growth = sizes[IMPORTED[-1]] / sizes[IMPORTED[1]]
    print("SCIM, an import from 8 connections: a child has " + ", ".join(f"{size:,} KiB after {users:,} users" for users, size in sizes.items()) +
          f", the last {growth:.3f} of that after {IMPORTED[1]:,} (target {GROWTH})")
    return growth <= GROWTH


class Client:
    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def call(self, method, path, body=None):
        self.connection.request(method, BASE + path, body and json.dumps(body), HEADERS)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)
        return json.loads(text)

    def median(self, method, path, bodies):
        spent = []
        for body in bodies:
            before = time.perf_counter()
            self.call(method, path, body)
            spent.append(time.perf_counter() - before)
        return statistics.median(spent) * 1000


def fill(server):
    """As if they had come by SCIM, but at once: a sqlite3 with the one function that makes a userName's key."""
    database = sqlite3.connect(server.state / "directory.db")
    database.create_function("hash", 1, lambda i: hashlib.sha256(f"email\0u{i}".encode()).hexdigest())
    database.execute(ROWS)
    database.commit()
    database.close()


def started(make, okta, conf=""):
    server = make(conf + CONF)
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
    return server.start()


def run(make, okta):
    flat = run_import(make, okta)
    place = packages()
    server = started(make, okta)
    created = compared("creations", server, place, CREATE)
    server.stop()
    fill(server)
    server.start()
    looked_up = compared(f"lookups among {USERS:,}", server, place, LOOKUP, USERS)
    client = Client(server)
    assert client.call("GET", "/Users?" + FIND_ONE)["totalResults"] == 1
    near = client.median("GET", "/Users?startIndex=1&count=100&excludedAttributes=groups", [None] * 20)
    far = client.median("GET", "/Users?startIndex=50001&count=100&excludedAttributes=groups", [None] * 20)
    group = client.call("POST", "/Groups", {"displayName": "Everybody", "members": [{"value": f"{i + 1:032x}"} for i in range(MEMBERS)]})["id"]
    more = client.median("PATCH", f"/Groups/{group}?excludedAttributes=members", [
        {"schemas": [], "Operations": [{"op": "add", "path": "members", "value": [{"value": f"{MEMBERS + i + 1:032x}"}]}]} for i in range(20)])
    server.end()
    print(f"SCIM on SQLite: {created:,.0f} users made a second (target 2,000), {looked_up:,.0f} lookups a second among {USERS:,} (target 5,000), a member "
          f"more in a group of {MEMBERS:,} {more:.1f} ms (target 5), page 50,001 {far:.1f} ms and page 1 {near:.1f} ms (target twice)")
    return flat and created >= 2000 and looked_up >= 5000 and more < 5 and far <= 2 * near
