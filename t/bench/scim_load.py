"""What SCIM does in a second on SQLite: creations from eight connections, lookups among 100,000 users, a member more in a group of 10,000,
and a page far down beside the first one. Absolute numbers, of this machine; the ratio of the pages is of one run."""

import hashlib
import http.client
import json
import re
import statistics
import subprocess
import time
import urllib.parse
import urllib.request

TOKEN = "of-the-bench"
CONF = f"""
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{{dir}}/idp.xml"
    OktaSSOSCIMToken sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}
</OktaSSOOrg>
"""
BASE = "/sso/okta/scim/acme/v2"
USERS, MEMBERS = 100_000, 10_000
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
CREATE = """
local count = 0
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


def rate(server, script):
    lua = "{" + ", ".join(f'["{name}"] = "{value}"' for name, value in HEADERS.items()) + "}"
    file = server.dir / "load.lua"
    file.write_text(script.replace("BASE", BASE).replace("HEADERS", lua))
    said = subprocess.run(["wrk", "-t1", "-c8", "-d5s", "-s", str(file), f"http://127.0.0.1:{server.port}"], capture_output=True, text=True, check=True)
    assert "Non-2xx" not in said.stdout, said.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said.stdout).group(1))


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
    import sqlite3
    database = sqlite3.connect(server.state / "directory.db")
    database.create_function("hash", 1, lambda i: hashlib.sha256(f"email\0u{i}".encode()).hexdigest())
    database.execute(ROWS)
    database.commit()
    database.close()


def run(make, okta):
    server = make(CONF)
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
    server.start()
    created = rate(server, CREATE)
    server.stop()
    fill(server)
    server.start()
    looked_up = rate(server, LOOKUP)
    client = Client(server)
    assert client.call("GET", "/Users?" + urllib.parse.urlencode({"filter": 'userName eq "u77"'}))["totalResults"] == 1
    near = client.median("GET", "/Users?startIndex=1&count=100&excludedAttributes=groups", [None] * 20)
    far = client.median("GET", "/Users?startIndex=50001&count=100&excludedAttributes=groups", [None] * 20)
    group = client.call("POST", "/Groups", {"displayName": "Everybody", "members": [{"value": f"{i + 1:032x}"} for i in range(MEMBERS)]})["id"]
    more = client.median("PATCH", f"/Groups/{group}?excludedAttributes=members", [
        {"schemas": [], "Operations": [{"op": "add", "path": "members", "value": [{"value": f"{MEMBERS + i + 1:032x}"}]}]} for i in range(20)])
    server.end()
    print(f"SCIM on SQLite: {created:,.0f} users made a second (target 2,000), {looked_up:,.0f} lookups a second among {USERS:,} (target 5,000), a member "
          f"more in a group of {MEMBERS:,} {more:.1f} ms (target 5), page 50,001 {far:.1f} ms and page 1 {near:.1f} ms (target twice)")
    return created >= 2000 and looked_up >= 5000 and more < 5 and far <= 2 * near
