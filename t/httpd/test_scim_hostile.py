"""SCIM from somebody who means harm: with a token of one organization, or with none."""

import json
import socket
import subprocess
import urllib.parse

import pytest

from test_scim import CONF, LIST, OTHER_TOKEN, PATCH_OP, TOKEN, Scim, numbers, refused, scim, shared  # noqa: F401  (its server and client)

HOSTILE = ["' OR '1'='1", "'; DROP TABLE users; --", '" or userName pr or userName eq "', "%s%n%lld%x", "$1 {0} ${jndi:ldap://x}", "\\'\\\"\\\\",
           "../../etc/passwd", "<script>alert(1)</script>", "a\r\nX-Remote-User: admin", "\u202egnp.exe", "İıſK", "\U0001f600", "x" * 8000]


@pytest.mark.parametrize("text", HOSTILE, ids=[str(i) for i in range(len(HOSTILE))])
def test_any_text_is_data(scim, text):
    """In each field, and in filters: what comes back is what was sent, and a filter finds that one alone."""
    name = f"{text[:7900]}-{next(numbers)}"
    user = scim.make(userName=name, externalId=text, displayName=text, title=text, name={"givenName": text, "familyName": text}, emails=[])
    got = scim.get(f"/Users/{user['id']}").json()
    assert got["userName"] == name and {got["externalId"], got["displayName"], got["title"], got["name"]["givenName"]} == {text}
    if len(text) < 1000:
        quoted = json.dumps(name)
        assert [each["id"] for each in scim.find(f"userName eq {quoted}")] == [user["id"]]
        assert [each["id"] for each in scim.find(f"title eq {json.dumps(text)} and userName eq {quoted}")] == [user["id"]]
        assert scim.get("/Users?" + urllib.parse.urlencode({"filter": "userName eq " + text})).status in (200, 400)
    group = scim.make_group(name[:200], [user["id"]])
    assert scim.members(group["id"]) == [user["id"]]
    assert scim.call("PATCH", f"/Users/{user['id']}", {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": text, "value": "x"}]}).status == 400
    scim.call("DELETE", f"/Users/{user['id']}")
    scim.call("DELETE", f"/Groups/{group['id']}")
    assert scim.get("/Users?count=1").json()["totalResults"] >= 0, "the tables are there"


@pytest.fixture
def quiet(site):
    site.expect("scim|flow|base|AH")
    return site


@pytest.mark.parametrize("path", [
    "/Users/../Groups", "/Users/%2e%2e/Groups", "/../v2/Users", "/Users/./", "//Users", "/Users//{id}", "/Users/{id}/", "/Users/{id}/x", "/Users/{id}%2f..",
    "/Users/{id}%00", "/Users/{id};a=b", "/Users/%7B", "/Users/{id}\\..", "/Users/{id}%0d%0aX:y", "/%55sers/{id}", "/Users/" + "a" * 7000, "/Users/{id}%", "/Users/%ff", "/Groups/%ff", "/Users?filter=id%20eq%20%22%ff%22"])
def test_paths_lead_nowhere_else(quiet, scim, path):
    user = scim.make()
    answer = quiet.browser().request("GET", scim.base + path.replace("{id}", user["id"]), navigate=False, headers={"Authorization": f"Bearer {TOKEN}"})
    if answer.status == 200:
        assert user["userName"] in answer.text or answer.json()["schemas"] == [LIST], "the same resource, spelled otherwise"
    else:
        assert answer.status in (400, 403, 404) and answer["X-Y"] is None
        assert answer.status == 400 or answer["Content-Type"] == "application/scim+json", answer.text
    other = quiet.browser().request("GET", scim.base.replace("acme", "globex") + path.replace("{id}", user["id"]), navigate=False,
                                    headers={"Authorization": f"Bearer {OTHER_TOKEN}"})
    assert user["userName"] not in other.text


@pytest.mark.parametrize("query", ["filter={filter}&filter={filter}", "filter={filter}&%66ilter=", "count=1&count=2", "attributes=id&attributes=emails"])
def test_a_repeated_parameter_is_refused(quiet, scim, query):
    """Whoever asks for one user, and says so twice, is not given everybody."""
    user = scim.make()
    answer = scim.get("/Users?" + query.replace("{filter}", urllib.parse.quote(f'userName eq "{user["userName"]}"')))
    assert answer.status == 400 and "base.form.repeated" in answer.text, answer.text[:300]


@pytest.mark.parametrize("name", ["startIndex", "count"])
@pytest.mark.parametrize("value", ["-1", "0", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "99999999999999999999999", "2147483648",
                                   "4294967297", "1e9", "0x10", "", "NaN", "١"])
def test_numbers_do_not_overflow(scim, name, value):
    scim.make()
    answer = scim.get("/Users?" + urllib.parse.urlencode({name: value}))
    body = answer.json()
    assert answer.status == 200 and body["totalResults"] >= 1 and 1 <= body["startIndex"] and 0 <= body["itemsPerPage"] <= 1000
    assert len(body["Resources"]) == body["itemsPerPage"] <= body["totalResults"]


@pytest.mark.parametrize("value", [2**63, -2**63 - 1, 10**400, 1e308, -0.0])
def test_numbers_in_bodies(quiet, scim, value):
    raw = '{"schemas":[],"userName":"n%d@acme.example","title":%s}' % (next(numbers), value if isinstance(value, int) else repr(value))
    assert scim.call("POST", "/Users", raw=raw).status == 400
    raw = '{"schemas":[],"startIndex":%s}' % (value if isinstance(value, int) else repr(value))
    assert scim.call("POST", "/Users/.search", raw=raw).status in (200, 400)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"])
def test_a_method_is_what_the_request_line_says(quiet, scim, header):
    user = scim.make()
    answer = scim.call("POST", f"/Users/{user['id']}?_method=DELETE", {}, headers={header: "DELETE"})
    assert answer.status == 405 and scim.get(f"/Users/{user['id']}", headers={header: "DELETE"}).status == 200
    assert scim.get(f"/Users/{user['id']}").json()["active"] is True


@pytest.mark.parametrize("path", ["/Me", "/Bulk", "/me/x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_offered_says_so(site, scim, method, path):
    refused(site, scim.call(method, path, {} if method == "POST" else None), 501, "scim.path.unsupported")


def test_bombs(quiet, scim):
    """Wide, deep and repeated: an answer, soon, and the child lives on."""
    before = quiet.children()
    for raw, status in (
        ('{"userName":"w@acme.example","emails":[' + '{"value":"a@acme.example"},' * 100000 + "{}]}", 400),
        ('{"members":[' + '{"value":"x"},' * 150000 + '{"value":"x"}],"displayName":"bomb"}', 400),
        ('{"x":' + "[" * 100000 + "]" * 100000 + "}", 413),
        ('{"x":[' + "[]," * 500000 + "[]]}", 413),
        ('{"userName":"many@acme.example","x":[' + "{}," * 260000 + "{}]}", 413),
        ('{"userName":"many@acme.example","x":[' + "0," * 1100000 + "0]}", 413),
        ('{"userName":"' + "\\u0041" * 200000 + '"}', 400),
    ):
        answer = scim.call("POST", "/Groups" if "members" in raw[:20] else "/Users", raw=raw)
        assert answer.status == status, answer.text
    operations = [{"op": "add", "path": "emails", "value": [{"value": f"{i}@acme.example"} for i in range(10)]}] * 1001
    assert scim.patch(f"/Users/{scim.make()['id']}", *operations).status == 400
    group, members = scim.make_group()["id"], {"op": "add", "path": "members", "value": ["a"] * 10_000}
    answer = scim.patch(f"/Groups/{group}", members, members, members)
    assert answer.status == 400 and answer.json()["detail"].endswith("members: more than 20000 values [scim.value.invalid]"), "in sum"
    assert scim.patch(f"/Groups/{group}", members, members).status == 200 and scim.members(group) == []
    for text in ("(" * 5000, "not " * 4000, "a[" * 2000, " and ".join(["title pr"] * 900), '"' * 5001, "userName eq \"" + "\\" * 5001):
        assert scim.call("POST", "/Users/.search", {"filter": text}).status == 400
    assert set(before) <= set(quiet.children())


def test_without_a_token_nobody_is_waited_for(quiet):
    """The answer comes before the body does: a slow body holds no worker of somebody who may not speak."""
    slow = []
    for _ in range(30):
        connection = socket.create_connection(("127.0.0.1", quiet.port), timeout=20)
        connection.sendall(b"POST /sso/okta/scim/acme/v2/Users HTTP/1.1\r\nHost: x\r\nContent-Type: application/scim+json\r\nContent-Length: 8000000\r\n\r\n{")
        slow.append(connection)
    assert all(connection.recv(15).startswith(b"HTTP/1.1 401") or connection.recv(1) for connection in slow)
    assert Scim(quiet).get("/Users?count=1").status == 200
    for connection in slow:
        connection.close()


def test_a_search_reads_no_more_than_a_limit(httpd):
    """Ten thousand resources of 256 KB would be 2.5 GB of JSON: OKS_SCIM_SCAN_BYTES_MAX of them are read."""
    server = httpd(CONF)
    server.expect("OKS0030", r"flow\.idp\.unavailable", r"scim\.filter\.too_many")
    rows = ("INSERT INTO users (id, org, subject, email, first_name, last_name, name, asserted_groups, extra, active, created, updated, user_name,"
            " user_name_key, resource) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 130) SELECT printf('%032x', i), 'acme', '',"
            " '', '', '', '', '[]', '[]', 1, 0, 0, 'big' || i, 'big' || i, json_object('title', printf('%0262000d', i)) FROM n")
    subprocess.run(["sqlite3", str(server.state / "directory.db"), rows], check=True)
    client = Scim(server)
    for query in ("filter=nickName%20pr", "sortBy=nickName&count=1"):
        answer = client.get("/Users?" + query)
        refused(server, answer, 400, "scim.filter.too_many", "tooMany")
        assert "bytes of resources" in answer.json()["detail"]
    subprocess.run(["sqlite3", str(server.state / "directory.db"), "DELETE FROM users WHERE user_name LIKE 'big1%'"], check=True)
    assert client.find("nickName pr") == []


def test_names_of_attributes_have_a_limit(quiet, scim):
    user = scim.make()
    assert scim.get(f"/Users/{user['id']}?attributes=userName{',x' * 199}").json()["userName"] == user["userName"]
    refused(quiet, scim.get(f"/Users/{user['id']}?excludedAttributes=userName{',x' * 200}"), 400, "scim.value.invalid", "invalidValue")
