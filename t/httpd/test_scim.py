"""SCIM 2.0 over the directory: the protocol, Okta's two dialects, and what it does to sessions."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.parse

import pytest

import harness
import postgres
from harness import post_fields

TOKEN, OTHER_TOKEN = "a-scim-token-of-acme", "a-scim-token-of-globex"
CONF = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOSCIMToken sha256:%s okta
    OktaSSOSCIMToken sha256:%s second
    OktaSSORole admin "Okta-Admins"
    OktaSSOGroupDefaultRole pushed
    OktaSSOEmailDomain acme.example
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOSCIMToken sha256:%s
</OktaSSOOrg>
<OktaSSOOrg closed>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOSCIM Off
    OktaSSOSCIMToken sha256:%s
</OktaSSOOrg>
<OktaSSOOrg pending>
    OktaSSOIdPMetadata "http://127.0.0.1:1/nobody"
    OktaSSOSCIMToken sha256:%s
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
""" % tuple(hashlib.sha256(token.encode()).hexdigest() for token in (TOKEN, "another", OTHER_TOKEN, TOKEN, TOKEN))
USER, GROUP = "urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP, ERROR = "urn:ietf:params:scim:api:messages:2.0:PatchOp", "urn:ietf:params:scim:api:messages:2.0:Error"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
AMELIA = "amelia.earhart@acme.example"
numbers = iter(range(1, 10**6))


class Scim:
    """Okta's side: bodies and answers are JSON."""

    def __init__(self, site, org="acme", token=TOKEN):
        self.site, self.base, self.token = site, f"/sso/okta/scim/{org}/v2", token

    def call(self, method, path, body=None, headers=None, raw=None):
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "application/scim+json", "User-Agent": "Okta SCIM Client 1.0.0"}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/scim+json; charset=utf-8"
        sent.update(headers or {})
        data = raw if raw is not None else None if body is None else json.dumps(body)
        answer = self.site.browser().request(method, self.base + path, headers=sent, body=data, navigate=False)
        assert answer.status in (204, 304) or answer["Content-Type"] == "application/scim+json", (answer.status, answer["Content-Type"], answer.text)
        return answer

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def find(self, filter_text, kind="Users", **parameters):
        answer = self.get(f"/{kind}?" + urllib.parse.urlencode({"filter": filter_text, **parameters}, quote_via=urllib.parse.quote))
        assert answer.status == 200, answer.text
        return answer.json()["Resources"]

    def make(self, **fields):
        name = fields.pop("userName", f"user{next(numbers)}@acme.example")
        body = {"schemas": [USER], "userName": name, "name": {"givenName": "Test", "familyName": "User"},
                "emails": [{"primary": True, "value": name, "type": "work"}], "active": True, **fields}
        answer = self.call("POST", "/Users", body)
        assert answer.status == 201, answer.text
        return answer.json()

    def make_group(self, name=None, members=()):
        answer = self.call("POST", "/Groups", {"schemas": [GROUP], "displayName": name or f"Group {next(numbers)}",
                                               "members": [{"value": each} for each in members]})
        assert answer.status == 201, answer.text
        return answer.json()

    def patch(self, path, *operations, **options):
        return self.call("PATCH", path, {"schemas": [PATCH_OP], "Operations": list(operations)}, **options)

    def members(self, group):
        return sorted(each["value"] for each in self.get(f"/Groups/{group}").json()["members"])


@pytest.fixture(scope="module", params=["sqlite3", pytest.param("pgsql", marks=[postgres.needed, postgres.once])])
def shared(request, okta_dir, backend_port):
    """On each database: one schema, and the same answers."""
    import conftest
    with contextlib.ExitStack() as stack:
        directory = f'OktaSSODirectory "{stack.enter_context(postgres.started()).spec}"\n' if request.param == "pgsql" else ""
        make = stack.enter_context(conftest.servers(stack.enter_context(conftest.running_okta(okta_dir)), backend_port))
        server = make(directory + CONF, start=False)
        server.expect(r"flow\.idp\.unavailable", "OKS0030")
        server.start()
        server.wait_for_metadata()
        harness.wait_until(lambda: "OKS0030" in server.log_since(0), "the organization without metadata")
        yield server


@pytest.fixture
def scim(site):
    return Scim(site)


def code_of(answer):
    """The reason's code, at the end of the detail."""
    return re.search(r"\[([a-z0-9_.]+)\]$", answer.json()["detail"]).group(1)


def refused(site, answer, status, reason, kind=None):
    body = answer.json()
    assert (answer.status, code_of(answer), body.get("scimType")) == (status, reason, kind), body
    assert set(body) <= {"schemas", "status", "scimType", "detail"}, "nothing that RFC 7644 3.12 does not know"
    assert body["schemas"] == [ERROR] and body["status"] == str(status) and body["detail"]
    site.expect(reason.replace(".", r"\."))


# ---- Okta ----

def test_the_test_of_the_connection(scim):
    answer = scim.get("/Users?startIndex=1&count=2").json()
    assert answer["schemas"] == [LIST] and answer["startIndex"] == 1 and isinstance(answer["totalResults"], int)


def test_assign_update_deactivate_and_reactivate_as_custom_apps_do(scim):
    name = f"test.user{next(numbers)}@acme.example"
    assert scim.find(f'userName eq "{name}"', startIndex=1, count=100) == []
    made = scim.call("POST", "/Users", {
        "schemas": [USER], "userName": name, "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": True, "value": name, "type": "work"}], "displayName": "Test User", "locale": "en-US",
        "externalId": f"00ujl29u0le5T6Aj10h{next(numbers)}", "groups": [], "password": "1mz050nq", "active": True})
    assert made.status == 201 and made["Location"].endswith(f"/Users/{made.json()['id']}") and made["ETag"] == 'W/"1"'
    user = made.json()
    assert user["active"] is True and user["meta"]["resourceType"] == "User" and "password" not in user and "bulkId" not in user["id"]
    path = f"/Users/{user['id']}"
    body = {**scim.get(path).json(), "name": {"givenName": "Another", "familyName": "Name"}}
    answer = scim.call("PUT", path, body).json()
    assert answer["name"]["givenName"] == "Another" and answer["id"] == user["id"] and answer["externalId"] == user["externalId"]
    body = scim.get(path).json()
    del body["active"]
    assert scim.call("PUT", path, {**body, "active": False}).json()["active"] is False
    assert scim.call("PUT", path, body).json()["active"] is False, "a PUT without active keeps it"
    assert scim.call("PUT", path, {**body, "active": True}).json()["id"] == user["id"]
    assert [each["id"] for each in scim.find(f'userName eq "{name.upper()}"')] == [user["id"]], "userName has no case"


def test_deactivate_as_catalogue_apps_do(scim):
    user = scim.make()
    answer = scim.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": False}})
    assert answer.status == 200 and answer.json()["active"] is False
    answer = scim.patch(f"/Users/{user['id']}", {"op": "Replace", "path": "active", "value": "True"})
    assert answer.json()["active"] is True, "Entra's way"


def test_a_pushed_group(scim):
    one, two, three = (scim.make()["id"] for _ in range(3))
    name = f"Test SCIMv2 {next(numbers)}"
    assert scim.find(f'displayName eq "{name}"', "Groups") == []
    group = scim.make_group(name)["id"]
    path = f"/Groups/{group}"
    answer = scim.patch(path, {"op": "replace", "value": {"id": group, "displayName": name + " renamed"}})
    assert answer.status == 200 and answer.json()["displayName"] == name + " renamed" and answer.json()["members"] == []
    scim.patch(path, {"op": "add", "path": "members", "value": [{"value": one, "display": "x"}, {"value": two}]})
    assert scim.members(group) == sorted([one, two])
    scim.patch(path, {"op": "remove", "path": f'members[value eq "{one}"]'}, {"op": "add", "path": "members", "value": [{"value": three}]})
    assert scim.members(group) == sorted([two, three])
    scim.patch(path, {"op": "remove", "path": 'members[value eq "nobody"]'})
    assert scim.members(group) == sorted([two, three]), "a removal that finds nothing removes nothing"
    scim.patch(path, {"op": "Remove", "path": "members", "value": [{"value": two}]})
    assert scim.members(group) == [three], "Entra's way"
    scim.patch(path, {"op": "replace", "value": {"members": [{"value": one}]}})
    assert scim.members(group) == [one]
    scim.patch(path, {"op": "replace", "path": "members", "value": []})
    assert scim.members(group) == []
    assert scim.call("PUT", path, {"schemas": [GROUP], "displayName": name, "members": [{"value": two}]}).status == 200
    assert scim.members(group) == [two] and scim.get(f"/Users/{two}").json()["groups"][0]["value"] == group
    assert scim.call("DELETE", path).status == 204 and scim.get(path).status == 404
    scim.site.expect(r"scim\.resource\.unknown")


def test_oktas_own_test_as_it_is(site):
    """fixtures/okta/scim-20-spec-test.json, interpreted: requests, variables and assertions."""
    file = pathlib.Path(__file__).resolve().parents[3] / "shared/fixtures/okta/scim-20-spec-test.json"
    if not file.exists():
        pytest.skip("Okta's test is not on this machine")
    site.expect("scim.")
    scim, done = Scim(site), 0
    scim.make()
    known = {"SCIMBaseURL": "", "auth": f"Bearer {TOKEN}", "InvalidUserEmail": "nobody@nowhere.example", "UserIdThatDoesNotExist": "010101001010101011001010101011",
             "randomEmail": "runscope.random@acme.example", "randomUsername": "runscope.random@acme.example", "randomGivenName": "Runscope",
             "randomFamilyName": "Random", "randomUsernameCaps": "RUNSCOPE.RANDOM@ACME.EXAMPLE"}

    def filled(text):
        return re.sub(r"\{\{(\w+)\}\}", lambda found: str(known.get(found.group(1), found.group(0))), text)

    def value_of(body, path):
        for part in re.findall(r"[^.\[\]]+", path or ""):
            if part.isdigit():
                body = body[int(part)] if isinstance(body, list) and len(body) > int(part) else None
            else:
                body = body.get(part) if isinstance(body, dict) else None
        return body

    for step in json.loads(file.read_text())["steps"]:
        if step.get("step_type") != "request":
            continue
        url = filled(step["url"])
        path = url[url.index("/Users"):] if "/Users" in url else url[url.index("/Groups"):]
        path = path.replace(" ", "%20").replace('"', "%22")
        headers = {name: filled(values[0]) for name, values in (step.get("headers") or {}).items()}
        answer = scim.call(step["method"], path, headers=headers, raw=filled(step["body"]) if step.get("body") else None)
        for check in step["assertions"]:
            source, comparison, wanted = check["source"], check["comparison"], filled(str(check.get("value", "")))
            have = answer.status if source == "response_status" else 1 if source == "response_time" else value_of(answer.json(), check.get("property"))
            good = {"equal": str(have).lower() == wanted.lower(), "equal_number": str(have) == wanted, "not_empty": have not in (None, "", [], {}),
                    "is_a_number": isinstance(have, int), "has_value": isinstance(have, list) and wanted in have, "is_less_than": True,
                    "contains": wanted in str(have), "is_list": isinstance(have, list)}.get(comparison)
            assert good, (step.get("note"), step["method"], path, check, have, answer.text[:300])
        for variable in step.get("variables", []):
            known[variable["name"]] = value_of(answer.json(), variable["property"])
        done += 1
    assert done >= 10


# ---- What it does to people ----

def sign_in(site, user=AMELIA, **fields):
    browser = site.browser()
    answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(site.start_login(browser, "/headers.json"), user=user, **fields)))
    return browser, answer


def headers_of(browser):
    answer = browser.get("/headers.json")
    return dict(answer.json()) if answer.status == 200 else answer.status


def test_deactivation_ends_a_live_session_at_the_next_request(site, scim):
    browser, _ = sign_in(site)
    user = scim.find(f'userName eq "{AMELIA}"')[0]
    assert user["emails"][0]["value"] == AMELIA and user["name"]["givenName"] == "Amelia", "who signed in is a resource"
    assert headers_of(browser)["X-Remote-User"] == AMELIA
    scim.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": False}})
    assert headers_of(browser) == 303, "at the next request"
    site.expect(r"directory\.user\.inactive")
    refusal = sign_in(site)[1]
    assert (refusal.status, refusal.reason) == (403, "directory.user.inactive") and "deactivated" in refusal.text
    scim.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": True}})
    browser, answer = sign_in(site)
    assert answer.status == 303 and scim.find(f'userName eq "{AMELIA}"')[0]["id"] == user["id"], "the same record"


def test_delete_ends_it_too_and_nobody_comes_back_by_signing_in(site, scim):
    browser, _ = sign_in(site, "john.doe@acme.example")
    user = scim.find('userName eq "john.doe@acme.example"')[0]
    assert scim.call("DELETE", f"/Users/{user['id']}").status == 204
    assert headers_of(browser) == 303
    site.expect(r"directory\.user\.inactive", r"scim\.resource\.unknown")
    assert sign_in(site, "john.doe@acme.example")[1].reason == "directory.user.inactive"
    assert scim.get(f"/Users/{user['id']}").status == 404 and scim.find('userName eq "john.doe@acme.example"') == []
    again = scim.make(userName="john.doe@acme.example")
    assert again["id"] != user["id"]
    assert sign_in(site, "john.doe@acme.example")[1].status == 303, "SCIM made him anew"


def signed_in_as(site, subject, email):
    """What a login says; None: somebody is signed in."""
    browser = site.browser()
    answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(site.start_login(browser, "/headers.json"), name_id=subject, attributes={
        "email": email, "firstName": "F", "lastName": "L"})))
    assert (answer.status == 303) == (headers_of(browser) != 303)
    return None if answer.status == 303 else answer.reason


@pytest.mark.parametrize("how", ["login", "PUT", "POST"])
def test_who_was_deleted_stays_out_when_the_address_is_anothers(site, scim, how):
    """SECURITY.md 33: the address and the name may go to somebody else; the subject goes on saying no."""
    mark = f"tomb{next(numbers)}"
    address, subject = f"{mark}@acme.example", f"00u{mark}"
    assert signed_in_as(site, subject, address) is None and signed_in_as(site, f"{subject}-bob", f"{mark}.bob@acme.example") is None
    user, bob = scim.find(f'userName eq "{address}"')[0], scim.find(f'userName eq "{mark}.bob@acme.example"')[0]
    assert scim.call("DELETE", f"/Users/{user['id']}").status == 204
    site.expect(r"directory\.user\.inactive")
    assert signed_in_as(site, subject, address) == signed_in_as(site, subject, f"{mark}.2@acme.example") == "directory.user.inactive"
    if how == "login":
        assert signed_in_as(site, f"{subject}-bob", address) is None
    elif how == "PUT":
        assert scim.call("PUT", f"/Users/{bob['id']}", {"userName": address, "emails": [{"value": address}]}).status == 200
        assert signed_in_as(site, f"{subject}-bob", address) is None
    else:
        scim.make(userName=address)
        assert signed_in_as(site, f"{subject}-carol", address) is None
    assert signed_in_as(site, subject, f"{mark}.2@acme.example") == "directory.user.inactive"
    assert signed_in_as(site, f"{subject}-{'carol' if how == 'POST' else 'bob'}", address) is None


def test_who_was_deleted_is_not_who_has_the_address_next(site, scim):
    """Though the address leads to a record that nobody has signed in to."""
    mark = f"next{next(numbers)}"
    address, subject = f"{mark}@acme.example", f"00u{mark}"
    user = scim.make(userName=address, externalId=subject)["id"]
    assert signed_in_as(site, subject, address) is None
    assert scim.call("DELETE", f"/Users/{user}").status == 204
    site.expect(r"directory\.user\.inactive")
    made = scim.make(userName=address, externalId=f"{subject}-two")["id"]
    for _ in range(2):
        assert signed_in_as(site, subject, address) == "directory.user.inactive"
        assert signed_in_as(site, f"{subject}-two", address) is None
    assert scim.find(f'userName eq "{address}"')[0]["id"] == made
    assert scim.call("DELETE", f"/Users/{made}").status == 204
    scim.make(userName=address, externalId=subject)
    assert signed_in_as(site, subject, address) is None, "SCIM says that she is back"
    assert signed_in_as(site, f"{subject}-two", address) == "directory.user.inactive"


def test_whom_scim_makes_anew_signs_in_by_the_old_subject(site, scim):
    mark = f"anew{next(numbers)}"
    address, subject = f"{mark}@acme.example", f"00u{mark}"
    assert signed_in_as(site, subject, address) is None
    for _ in range(3):
        user = scim.find(f'userName eq "{address}"')[0]["id"]
        assert scim.call("DELETE", f"/Users/{user}").status == 204
        site.expect(r"directory\.user\.inactive")
        assert signed_in_as(site, subject, address) == "directory.user.inactive"
        made = scim.make(userName=address)
        assert signed_in_as(site, subject, address) is None and scim.find(f'userName eq "{address}"')[0]["id"] == made["id"]


def test_pushed_attributes_groups_and_roles_show_at_the_next_request(site, scim):
    browser, _ = sign_in(site, "zoe.gruen@acme.example")
    user = scim.find('emails.value eq "zoe.gruen@acme.example"')[0]["id"]
    assert headers_of(browser)["X-Remote-Role"] == "member"
    scim.patch(f"/Users/{user}", {"op": "replace", "path": "name.familyName", "value": "Schwarz"}, {"op": "replace", "path": "displayName", "value": "Z. S."})
    seen = headers_of(browser)
    assert (seen["X-Remote-LastName"], seen["X-Remote-Name"]) == ("Schwarz", "Z S") or seen["X-Remote-Name"] == "Z. S."
    group = scim.make_group("Pushed, by SCIM", [user])["id"]
    seen = headers_of(browser)
    assert seen["X-Remote-Groups"].endswith(",Pushed%2C by SCIM") and seen["X-Remote-Role"] == "pushed"
    scim.patch(f"/Groups/{group}", {"op": "replace", "value": {"displayName": "Okta-Admins"}})
    assert headers_of(browser)["X-Remote-Role"] == "admin", "a line of the configuration comes first"
    scim.patch(f"/Groups/{group}", {"op": "replace", "path": "members", "value": []})
    assert headers_of(browser)["X-Remote-Role"] == "member"
    scim.call("DELETE", f"/Groups/{group}")


@pytest.mark.parametrize("fields", [{"userName": "special.john@acme.example"}, {"userName": "sj", "externalId": "special.john@acme.example"},
                                    {"userName": "sj2", "emails": [{"value": "SPECIAL.john@acme.example"}]}], ids=["userName", "externalId", "email"])
def test_a_login_finds_who_was_pushed(site, scim, fields):
    for known in scim.find('emails.value eq "special.john@acme.example"') + scim.find('userName sw "sj"'):
        scim.call("DELETE", f"/Users/{known['id']}")
    made = scim.make(**{"emails": [], **fields})
    browser, answer = sign_in(site, "special.john@acme.example")
    assert answer.status == 303, answer.reason
    assert scim.find(f'userName eq "{fields["userName"]}"')[0]["id"] == made["id"]
    scim.patch(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})
    assert headers_of(browser) == 303, "it is his session"
    scim.call("DELETE", f"/Users/{made['id']}")


def test_names_of_pushed_groups_are_clean_in_headers(site, scim):
    browser, _ = sign_in(site, "zoe.gruen@acme.example")
    user = scim.find('emails.value eq "zoe.gruen@acme.example"')[0]["id"]
    made = [scim.make_group(name, [user])["id"] for name in ("Eve\r\nX-Remote-Role: admin", "\u0007\u200b", "Plain\u2028one")]
    got = headers_of(browser)
    assert got["X-Remote-Role"] == "pushed", "the header of its own is not there"
    assert got["X-Remote-Groups"].split(",")[-3:] == ["Eve\ufffd\ufffdX-Remote-Role: admin", "\ufffd\ufffd", "Plain\ufffdone"]
    for group in made:
        scim.call("DELETE", f"/Groups/{group}")


def test_a_deactivation_is_done_whatever_comes_along(site, scim):
    name, taken = "john.doe@acme.example", scim.make()["userName"]
    site.expect(r"scim\.value\.invalid", r"scim\.resource\.taken")
    for known in scim.find(f'userName eq "{name}"'):
        scim.call("DELETE", f"/Users/{known['id']}")
    user = scim.make(userName=name)["id"]
    for email in ("somebody@else.example", taken):
        body = {"schemas": [USER], "userName": name, "emails": [{"value": email}]}
        scim.patch(f"/Users/{user}", {"op": "replace", "value": {"active": True, "emails": [{"value": name}]}})
        browser, _ = sign_in(site, name)
        assert headers_of(browser)["X-Remote-Email"] == name
        assert scim.call("PUT", f"/Users/{user}", {**body, "active": True}).status in (400, 409)
        answer = scim.call("PUT", f"/Users/{user}", {**body, "active": False})
        assert (answer.status, answer.json()["active"]) == (200, False), answer.text
        assert headers_of(browser) == 303
    scim.patch(f"/Users/{user}", {"op": "replace", "value": {"active": True, "emails": [{"value": name}]}})
    browser, _ = sign_in(site, name)
    renamed = {"schemas": [USER], "userName": taken, "emails": [{"value": name}]}
    assert scim.call("PUT", f"/Users/{user}", {**renamed, "active": True}).status == 409
    answer = scim.call("PUT", f"/Users/{user}", {**renamed, "active": False})
    assert (answer.status, answer.json()["active"], answer.json()["userName"]) == (200, False, name), answer.text
    assert headers_of(browser) == 303
    refused(site, scim.call("POST", "/Users", {**renamed, "active": False}), 409, "scim.resource.taken", "uniqueness")


def test_what_was_deleted_hides_nobody(site, scim):
    old = scim.make(externalId="00u-again", emails=[])
    scim.call("DELETE", f"/Users/{old['id']}")
    new = scim.make(externalId="00u-again", emails=[])
    assert [each["id"] for each in scim.find('externalId eq "00u-again"')] == [new["id"]]


def test_a_patch_has_a_limit_of_work(site, scim):
    user = scim.make()["id"]
    values = [{"value": f"{i}" + "x" * 400, "type": "work"} for i in range(900)]
    refused(site, scim.patch(f"/Users/{user}", *[{"op": "add", "path": "ims", "value": values}] * 3), 400, "scim.value.invalid", "invalidValue")
    many = [{"op": "add", "path": "ims", "value": [{"value": f"{k}-{i}"} for i in range(300)]} for k in range(4)]
    refused(site, scim.patch(f"/Users/{user}", *many), 400, "scim.value.invalid", "invalidValue")
    refused(site, scim.patch(f"/Users/{user}", *many[:3], {"op": "add", "path": "ims", "value": values[:800]}), 400, "scim.value.invalid", "invalidValue")
    refused(site, scim.call("POST", "/Users", {"schemas": [USER], "userName": "big@acme.example", "ims": values}), 400, "scim.value.invalid", "invalidValue")
    refused(site, scim.get("/Users?filter=" + "or".join(["%20a%20pr%20"] * 70)), 400, "scim.filter.invalid", "invalidFilter")
    refused(site, scim.call("POST", "/Users/.search", {"attributes": ["a" * 100] * 200}), 400, "scim.value.invalid", "invalidValue")


# ---- Who may ask ----

@pytest.mark.parametrize("header, reason, told", [
    (None, "scim.token.missing", ": no Authorization"), ("Basic x", "scim.token.missing", ": Authorization is of another kind than Bearer"),
    ("Bearer wrong", "scim.token.wrong", ""), (f"Bearer {OTHER_TOKEN}", "scim.token.wrong", ""), (f"Bearer {TOKEN}x", "scim.token.wrong", ""),
    (TOKEN, "scim.token.missing", ': Authorization has no "Bearer ": for the token alone write OktaSSOSCIM On bare-token')])
def test_wrong_tokens(site, scim, header, reason, told):
    answer = scim.get("/Users", headers={"Authorization": header})
    refused(site, answer, 401, reason)
    assert site.verdicts()[-1].endswith(f"reason={reason}{told}") and "bare-token" not in answer.text
    assert answer["WWW-Authenticate"].startswith("Bearer") and TOKEN not in site.log.read_text()


def test_tokens_open_one_organization(site, scim):
    user = scim.make()["id"]
    assert Scim(site, token="another").get(f"/Users/{user}").status == 200, "several are valid"
    refused(site, Scim(site, "globex", OTHER_TOKEN).get(f"/Users/{user}"), 404, "scim.resource.unknown")
    refused(site, Scim(site, "globex", OTHER_TOKEN).patch(f"/Users/{user}", {"op": "replace", "path": "active", "value": False}), 404,
            "scim.resource.unknown")
    refused(site, Scim(site, "globex", OTHER_TOKEN).call("DELETE", f"/Users/{user}"), 404, "scim.resource.unknown")
    group = Scim(site, "globex", OTHER_TOKEN).make_group("Strangers", [user])
    assert group["members"] == [], "nobody of another organization"
    refused(site, Scim(site, "globex").get("/Users"), 401, "scim.token.wrong")
    refused(site, Scim(site, "closed").get("/Users"), 404, "flow.org.unknown")
    refused(site, Scim(site, "nosuch").get("/Users"), 404, "flow.org.unknown")
    refused(site, Scim(site, "pending").call("POST", "/Users", {"userName": "a"}), 403, "scim.sso.absent")
    assert Scim(site, "pending").get("/Users").status == 200, "who is there can be found, and so deactivated, without metadata"
    assert Scim(site, "pending").call("POST", "/Users/.search", {"filter": 'userName eq "a"'}).status == 200, "in this way, too"
    refused(site, scim.call("GET", f"/Users?access_token={TOKEN}", headers={"Authorization": None}), 401, "scim.token.missing")


def test_a_filter_without_an_index_has_a_limit(httpd):
    server = httpd(CONF)
    server.expect("OKS0030", r"flow\.idp\.unavailable", r"scim\.filter\.too_many")
    rows = ("INSERT INTO users (id, org, subject, email, first_name, last_name, name, asserted_groups, extra, active, created, updated, user_name,"
            " user_name_key) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 10000) SELECT printf('%032x', i), 'acme', '',"
            " '', '', '', '', '[]', '[]', 1, 0, 0, 'many' || i, 'many' || i FROM n")
    subprocess.run(["sqlite3", str(server.state / "directory.db"), rows], check=True)
    scim = Scim(server)
    answer = scim.get("/Users?filter=title%20pr")
    refused(server, answer, 400, "scim.filter.too_many", "tooMany")
    assert scim.get("/Users?startIndex=9990&count=5").json()["totalResults"] == 10_001
    assert scim.find('userName eq "nobody@acme.example"') == []


def test_what_is_kept_of_a_search_has_a_limit(httpd):
    """Values to order by, of ten thousand users: bytes count. And members and groups that a filter asks for."""
    server = httpd(CONF)
    server.expect("OKS0030", r"flow\.idp\.unavailable", r"scim\.filter\.too_many")
    scim = Scim(server)
    rows = ("INSERT INTO users (id, org, subject, email, first_name, last_name, name, asserted_groups, extra, active, created, updated, user_name,"
            " user_name_key, resource) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT printf('%032x', i), 'acme', '',"
            " '', '', '', '', '[]', '[]', 1, 0, 0, 'many' || i, 'many' || i, json_object('title', printf('%08000d', i)) FROM n;"
            "INSERT INTO user_groups SELECT printf('%032x', i), 'acme', 'g' || i, 'g' || i, '{}', NULL, 1, 0, 0 FROM"
            " (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 401) SELECT i FROM n);"
            "INSERT INTO members SELECT g.id, u.id FROM user_groups g, users u")
    subprocess.run(["sqlite3", str(server.state / "directory.db"), rows], check=True)
    refused(server, scim.get("/Users?sortBy=title"), 400, "scim.filter.too_many", "tooMany")
    assert [each["userName"] for each in scim.find("title pr", count=2)] == ["many1", "many2"], "nothing to order by"
    found = scim.get("/Users?filter=title%20pr&sortBy=userName&count=2&startIndex=2499&attributes=userName").json()
    assert found["totalResults"] == 2500 and [each["userName"] for each in found["Resources"]] == ["many998", "many999"]
    for path in ("/Groups?filter=members%20pr&count=1", "/Users?filter=groups%20pr&count=1"):
        refused(server, scim.get(path), 400, "scim.filter.too_many", "tooMany")
    answer = scim.call("POST", "/Users/.search", {"filter": " or ".join(['title co "zz"'] * 64)})
    refused(server, answer, 400, "scim.filter.too_many", "tooMany")
    assert "too much to compare for one search" in answer.json()["detail"]
    answer = scim.get("/Groups?filter=displayName%20sw%20%22g4%22&count=2&excludedAttributes=members&sortBy=displayName").json()
    assert (answer["totalResults"], [each["displayName"] for each in answer["Resources"]]) == (13, ["g4", "g40"]) and "members" not in str(answer)


# ---- Bad input ----

@pytest.mark.parametrize("method, path, body, status, reason, kind", [
    ("GET", "/Nothing", None, 404, "scim.path.unknown", None),
    ("GET", "/Users/1/2", None, 404, "scim.path.unknown", None),
    ("GET", "/Users/00919288221112222", None, 404, "scim.resource.unknown", None),
    ("GET", "/Users/..%2F..", None, 404, None, None),
    ("PUT", "/Users", {}, 405, "scim.method.refused", None),
    ("TRACK", "/Users", None, 405, "scim.method.refused", None),
    ("POST", "/Schemas", {}, 405, "scim.method.refused", None),
    ("POST", "/Users", b"{", 400, "base.json.malformed", "invalidSyntax"),
    ("POST", "/Users", b"[]", 400, "base.json.malformed", "invalidSyntax"),
    ("POST", "/Users", b'{"userName": "a", "userName": "b"}', 400, "base.json.malformed", "invalidSyntax"),
    ("POST", "/Users", b'{"userName": "a\\u0000b"}', 400, "base.json.malformed", "invalidSyntax"),
    ("POST", "/Users", b'{"userName": "\\ud800"}', 400, "base.json.malformed", "invalidSyntax"),
    ("POST", "/Users", b'{"a":' * 200 + b"1" + b"}" * 200, 413, "base.json.too_large", "invalidSyntax"),
    ("POST", "/Users", {}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": ""}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": 7}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": "x" * 9000}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": "odd1", "active": "perhaps"}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": "odd2", "emails": [7]}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": "odd3", "name": "Text"}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": "odd4", "schemas": ["urn:other"]}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Users", {"userName": "odd5@elsewhere.example"}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Groups", {"displayName": " "}, 400, "scim.value.invalid", "invalidValue"),
    ("POST", "/Groups", {"displayName": "x", "members": [{"display": "y"}]}, 400, "scim.value.invalid", "invalidValue"),
    ("GET", "/Users?filter=userName", None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?filter=userName%20eq", None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?filter=userName%20is%20%22x%22", None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?filter=%28userName%20eq%20%22x%22", None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?filter=" + "%28" * 100 + "a%20pr" + "%29" * 100, None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?filter=active%20gt%20true", None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?filter=userName%20eq%20%22" + "x" * 7000 + "%20", None, 400, "scim.filter.invalid", "invalidFilter"),
    ("GET", "/Users?sortBy=nothing", None, 400, "scim.path.invalid", "invalidPath"),
    ("GET", "/Schemas?filter=id%20pr", None, 400, "scim.filter.invalid", "invalidFilter"),
], ids=lambda value: str(value)[:30])
def test_bad_requests(site, scim, method, path, body, status, reason, kind):
    raw = body if isinstance(body, bytes) else None
    answer = site.browser().request(method, scim.base + path, navigate=False, body=raw if raw is not None else body and json.dumps(body) or
                                    (json.dumps(body) if body == {} else None), headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    if reason:
        refused(site, answer, status, reason, kind)
        assert answer["Content-Type"] == "application/scim+json" and (status != 405 or answer["Allow"])
    else:
        assert answer.status in (400, 404)
        site.expect("scim|AH")


@pytest.mark.parametrize("operation, reason, kind", [
    ({"op": "sing", "value": {}}, "scim.body.malformed", "invalidSyntax"),
    ({"op": "add", "path": "nothing", "value": 1}, "scim.path.invalid", "invalidPath"),
    ({"op": "add", "path": 7, "value": 1}, "scim.path.invalid", "invalidPath"),
    ({"op": "add", "path": "emails[type eq \"work\"", "value": 1}, "scim.path.invalid", "invalidPath"),
    ({"op": "add", "path": "emails[type].value", "value": "x"}, "scim.filter.invalid", "invalidFilter"),
    ({"op": "add", "path": "displayName"}, "scim.value.invalid", "invalidValue"),
    ({"op": "replace", "path": "displayName", "value": {"a": 1}}, "scim.value.invalid", "invalidValue"),
    ({"op": "replace", "path": "emails[type eq \"moon\"].value", "value": "x"}, "scim.target.none", "noTarget"),
    ({"op": "remove"}, "scim.target.none", "noTarget"),
    ({"op": "remove", "path": "userName"}, "scim.value.invalid", "invalidValue"),
    ({"op": "replace", "path": "id", "value": "x"}, "scim.attribute.read_only", "mutability"),
    ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "scim.attribute.read_only", "mutability"),
    ({"op": "replace", "value": "text"}, "scim.value.invalid", "invalidValue"),
])
def test_bad_patches_change_nothing(site, scim, operation, reason, kind):
    user = scim.make()
    before = scim.get(f"/Users/{user['id']}").json()
    answer = scim.patch(f"/Users/{user['id']}", {"op": "replace", "path": "displayName", "value": "Changed"}, operation)
    refused(site, answer, 400, reason, kind)
    assert scim.get(f"/Users/{user['id']}").json() == before, "whole or not at all"


def test_names_are_one_users(site, scim):
    user, other = scim.make(), scim.make()
    answer = scim.call("POST", "/Users", {"userName": user["userName"].upper()})
    refused(site, answer, 409, "scim.resource.taken", "uniqueness")
    refused(site, scim.patch(f"/Users/{other['id']}", {"op": "replace", "path": "userName", "value": user["userName"]}), 409, "scim.resource.taken", "uniqueness")
    group = scim.make_group()
    refused(site, scim.call("POST", "/Groups", {"displayName": group["displayName"]}), 409, "scim.resource.taken", "uniqueness")
    assert scim.call("PUT", f"/Groups/{group['id']}", {"displayName": group["displayName"]}).status == 200, "its own name is no conflict"


def test_types_and_sizes_of_bodies(site, scim):
    refused(site, scim.call("POST", "/Users", {"userName": "x"}, headers={"Content-Type": "text/plain"}), 415, "scim.body.type")
    answer = scim.call("POST", "/Users", raw="x" * (8 * 1024 * 1024 + 1))
    refused(site, answer, 413, "flow.body.too_large")
    refused(site, scim.call("POST", "/Users", raw="x" * 9_000_000, headers={"Authorization": "Bearer wrong"}), 401, "scim.token.wrong")


def test_versions(site, scim):
    user = scim.make()
    path = f"/Users/{user['id']}"
    tag = scim.get(path)["ETag"]
    assert scim.get(path, headers={"If-None-Match": tag}).status == 304
    changed = scim.patch(path, {"op": "replace", "path": "title", "value": "Boss"}, headers={"If-Match": tag})
    assert changed.status == 200 and changed["ETag"] != tag
    refused(site, scim.patch(path, {"op": "replace", "path": "title", "value": "Owner"}, headers={"If-Match": tag}), 412, "scim.version.mismatch")
    refused(site, scim.call("DELETE", path, headers={"If-Match": tag}), 412, "scim.version.mismatch")
    same = scim.patch(path, {"op": "replace", "path": "title", "value": "Boss"})
    assert same["ETag"] == changed["ETag"], "nothing has changed"


def test_what_httpd_itself_refuses_is_json_too(httpd):
    server = httpd(CONF + '<Location "/sso/okta/scim/acme">\nRequire ip 10.9.8.7\n</Location>\n<Location "/sso/okta/scim/globex">\nLimitRequestBody 100\n'
                   '</Location>\nErrorDocument 403 "a page"\n')
    server.expect("AH01630", "AH01797", "OKS0030", r"flow\.idp\.unavailable", r"flow\.body\.too_large", "scim.refused")
    answer = Scim(server).get("/Users")
    assert answer.status == 403 and answer.json()["status"] == "403" and answer.json()["schemas"] == [ERROR]
    answer = Scim(server, "globex", OTHER_TOKEN).call("POST", "/Users", {"userName": "x" * 200})
    assert answer.status == 413 and answer.json()["status"] == "413"
    assert server.browser().get("/sso/okta/scim-error").status == 404, "nobody asks for it"


# ---- Filters, lists, attributes ----

def test_filters(site, scim):
    mark = f"m{next(numbers)}"
    ann = scim.make(userName=f"{mark}.ann@acme.example", title=mark, nickName="Änn", name={"givenName": "Ann", "familyName": "O'Brien"},
                    emails=[{"value": f"{mark}.ann@acme.example", "type": "work", "primary": True}, {"value": f"{mark}@home.example", "type": "home"}],
                    **{ENTERPRISE: {"department": "R&D", "manager": {"value": "26118915"}}})["id"]
    bob = scim.make(userName=f"{mark}.bob@acme.example", title=mark, active=False, name={"givenName": "Bob", "familyName": "Builder"})["id"]

    def found(text):
        return {ann: "ann", bob: "bob"}.keys() & {each["id"] for each in scim.find(f'title eq "{mark}" and ({text})')}

    for text, wanted in {
        f'userName eq "{mark}.ANN@acme.example"': {ann}, f'userName ne "{mark}.ann@acme.example"': {bob}, 'name.familyName co "brien"': {ann},
        'name.familyName sw "B"': {bob}, 'userName ew "bob@acme.example"': {bob}, "active eq true": {ann}, "active eq false": {bob},
        'active eq "False"': {bob}, "nickName pr": {ann}, "not (nickName pr)": {bob}, 'nickName eq "änn"': {ann},
        'emails[type eq "home" and value co "home"]': {ann}, 'emails[type eq "home" and primary eq true]': set(),
        'emails.type eq "home" or name.givenName eq "bob"': {ann, bob}, f'{ENTERPRISE}:department eq "r&d"': {ann},
        f'{USER}:name.givenName eq "Ann"': {ann}, f'{ENTERPRISE}:manager.value eq "26118915"': {ann}, "nothing eq 1": set(), "nothing ne 1": {ann, bob},
        'meta.created gt "2020-01-01T00:00:00Z"': {ann, bob}, 'meta.created lt "2020-01-01T00:00:00Z"': set(), "title eq null": set(), "nickName eq null": {bob},
        'name.familyName gt "c"': {ann}, 'userName EQ "x" OR name.givenName Sw "a" AND active Eq true': {ann}, 'name.familyName eq "O\'Brien"': {ann},
        'name.familyName eq "x\\"; DROP TABLE users; --"': set(),
    }.items():
        assert found(text) == wanted, text
    for text, wanted in {  # RFC 7644 3.4.2.2: a chronological comparison, whatever the time zone
        'eq "{}+00:00"': True, 'eq "{}-00:00"': True, 'eq "{}"': True, 'eq "{}.000Z"': True, 'ge "{}+14:00"': True, 'lt "{}-14:00"': True, 'lt "{}+14:00"': False,
        'gt "{}-00:01"': False, 'gt "{}+00:01"': True, 'eq "{}+0:00"': False, 'eq "{}+00:60"': False, 'eq "{}+"': False, 'eq "{}+00:00Z"': False,
    }.items():
        created = scim.get(f"/Users/{ann}").json()["meta"]["created"].removesuffix("Z")
        assert (found("userName co \".ann\" and meta.created " + text.format(created)) == {ann}) is wanted, text
    assert scim.find(f'emails.value eq "{mark}@home.example"')[0]["id"] == ann, "an address beside the one in the index"
    assert scim.find(f'id eq "{bob}"')[0]["id"] == bob and scim.find('id eq "nobody"') == []


def test_paging_sorting_and_searching(site, scim):
    mark = f"p{next(numbers)}"
    made = [scim.make(userName=f"{mark}.{i}@acme.example", title=mark, nickName=f"{9 - i}")["id"] for i in range(5)]
    pages = [each["id"] for start in range(1, 400, 3) for each in scim.get(f"/Users?startIndex={start}&count=3").json()["Resources"]]
    assert [each for each in pages if each in made] == made and len(pages) == len(set(pages)), "in the order in which they came"
    total = scim.get("/Users?count=0").json()
    assert total["Resources"] == [] and total["totalResults"] == len(pages)
    assert scim.get(f"/Users?startIndex={len(pages) + 1}").json()["Resources"] == []
    assert len(scim.get("/Users?startIndex=-5&count=2").json()["Resources"]) == 2 and scim.get("/Users?count=-1").json()["Resources"] == []
    backwards = scim.find(f'title eq "{mark}"', sortBy="nickName")
    assert [each["id"] for each in backwards] == made[::-1]
    assert [each["id"] for each in scim.find(f'title eq "{mark}"', sortBy="nickName", sortOrder="descending", startIndex=2, count=2)] == made[1:3]
    answer = scim.call("POST", "/Users/.search", {"filter": f'title eq "{mark}"', "attributes": ["userName"], "count": 2, "startIndex": 1}).json()
    assert answer["totalResults"] == 5 and set(answer["Resources"][0]) == {"id", "schemas", "userName"}
    scim.make_group(f"{mark} group")
    answer = scim.call("POST", "/.search", {"filter": f'displayName sw "{mark}" or title eq "{mark}"', "count": 9, "sortBy": "meta.resourceType"}).json()
    assert [each["meta"]["resourceType"] for each in answer["Resources"]] == ["Group"] + ["User"] * 5
    for order in ("ascending", "descending"):
        answer = scim.call("POST", "/.search", {"filter": f'displayName sw "{mark}" or title eq "{mark}"', "sortBy": "meta.resourceType", "sortOrder": order,
                                                "attributes": ["userName"]}).json()
        assert sorted(tuple(sorted(each)) for each in answer["Resources"]) == [("id", "schemas")] + [("id", "schemas", "userName")] * 5, "each as its own kind"


def test_attributes(site, scim):
    user = scim.make(nickName="Nick", **{ENTERPRISE: {"department": "D", "division": "V"}})["id"]
    path = f"/Users/{user}"
    assert set(scim.get(path + "?attributes=userName").json()) == {"id", "schemas", "userName"}
    assert scim.get(path + "?attributes=name.givenName").json()["name"] == {"givenName": "Test"}
    assert scim.get(path + f"?attributes={ENTERPRISE}:department").json()[ENTERPRISE] == {"department": "D"}
    without = scim.get(path + f"?excludedAttributes=emails,name.familyName,{ENTERPRISE}:division").json()
    assert "emails" not in without and without["name"] == {"givenName": "Test"} and without[ENTERPRISE] == {"department": "D"} and without["nickName"] == "Nick"
    group = scim.make_group(members=[user])["id"]
    assert "members" not in scim.get(f"/Groups/{group}?excludedAttributes=members").json()


def test_a_filter_asks_of_what_the_answer_does_not_show(scim):
    """Entra looks for a membership so; and names have no case (RFC 7643 2.1)."""
    user = scim.make()["id"]
    group = scim.make_group(members=[user])
    member = f'displayName pr and members[value eq "{user}"]'
    for parameters in ({"excludedAttributes": "members"}, {"attributes": "displayName"}, {"attributes": "DISPLAYNAME", "sortBy": "displayName"}):
        [found] = scim.find(member, "Groups", **parameters)
        assert found["id"] == group["id"] and found["displayName"] == group["displayName"] and "members" not in found, parameters
    [found] = scim.find(f'userName pr and groups.value eq "{group["id"]}"', attributes="userName")
    assert found["id"] == user and "groups" not in found
    for name in ("members", "MEMBERS", f"{GROUP}:Members"):
        assert scim.get(f"/Groups/{group['id']}?attributes={name}").json()["members"][0]["value"] == user
        assert "members" not in scim.get(f"/Groups/{group['id']}?excludedAttributes={name}").json()


def test_what_the_service_says_of_itself(site, scim):
    config = scim.get("/ServiceProviderConfig").json()
    assert config["patch"]["supported"] and config["filter"]["supported"] and config["etag"]["supported"] and not config["bulk"]["supported"]
    types = scim.get("/ResourceTypes").json()
    assert [each["name"] for each in types["Resources"]] == ["User", "Group"] and scim.get("/ResourceTypes/User").json()["endpoint"] == "/Users"
    schemas = scim.get("/Schemas").json()["Resources"]
    assert {each["id"] for each in schemas} == {USER, ENTERPRISE, GROUP}
    one = scim.get(f"/Schemas/{USER}").json()
    name = next(each for each in one["attributes"] if each["name"] == "userName")
    assert (name["required"], name["caseExact"], name["uniqueness"]) == (True, False, "server") and scim.get(one["meta"]["location"].partition("/v2")[2]).status == 200
    refused(site, scim.get("/Schemas/urn:other"), 404, "scim.resource.unknown")


# ---- PATCH ----

@pytest.mark.parametrize("operations, wanted", [
    ([{"op": "add", "path": "nickName", "value": "N"}], {"nickName": "N"}),
    ([{"op": "add", "value": {"nickName": "N", "name": {"middleName": "M"}}}], {"nickName": "N", "name.middleName": "M", "name.givenName": "Test"}),
    ([{"op": "replace", "value": {"name.givenName": "G", f"{ENTERPRISE}:department": "D", f"{ENTERPRISE}": {"division": "V"}}}],
     {"name.givenName": "G", f"{ENTERPRISE}.department": "D", f"{ENTERPRISE}.division": "V"}),
    ([{"op": "add", "path": f"{ENTERPRISE}:manager", "value": "26118915"}], {f"{ENTERPRISE}.manager.value": "26118915"}),
    ([{"op": "add", "path": f"{ENTERPRISE}:department", "value": "D"}, {"op": "remove", "path": f"{ENTERPRISE}:department"}], {ENTERPRISE: None}),
    ([{"op": "add", "path": "phoneNumbers", "value": [{"value": "1", "type": "work"}]}, {"op": "add", "path": "phoneNumbers", "value": {"value": "2", "type": "home"}}],
     {"phoneNumbers.0.value": "1", "phoneNumbers.1.value": "2"}),
    ([{"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "5"}], {"phoneNumbers.0.value": "5", "phoneNumbers.0.type": "work"}),
    ([{"op": "add", "path": "phoneNumbers", "value": [{"value": "1", "type": "work", "primary": True}]},
      {"op": "add", "path": "phoneNumbers", "value": [{"value": "2", "type": "home", "primary": True}]}],
     {"phoneNumbers.0.primary": False, "phoneNumbers.1.primary": True}),
    ([{"op": "add", "path": "phoneNumbers", "value": [{"value": "1", "type": "work"}, {"value": "2", "type": "home"}]},
      {"op": "remove", "path": 'phoneNumbers[type eq "work"]'}], {"phoneNumbers.0.value": "2", "phoneNumbers.1": None}),
    ([{"op": "add", "path": "phoneNumbers", "value": [{"value": "1", "type": "work"}]}, {"op": "replace", "path": 'phoneNumbers[value eq "1"]', "value": {"value": "9"}}],
     {"phoneNumbers.0.value": "9", "phoneNumbers.0.type": None}),
    ([{"op": "replace", "path": "emails", "value": []}], {"emails": None}),
    ([{"op": "remove", "path": "name.familyName"}], {"name.familyName": None, "name.givenName": "Test"}),
    ([{"op": "remove", "path": "name"}], {"name": None}),
    ([{"op": "replace", "path": "name", "value": {"familyName": "F"}}], {"name.familyName": "F", "name.givenName": "Test"}),
    ([{"op": "replace", "value": {"password": "secret", "title": "T"}}], {"password": None, "title": "T"}),
    ([{"op": "remove", "path": "nickName"}], {"nickName": None}),
    ([{"op": "add", "path": "TITLE", "value": "T"}], {"title": "T"}),
    ([{"op": "replace", "path": f"{USER}:title", "value": "T"}], {"title": "T"}),
])
def test_patches(scim, operations, wanted):
    path = f"/Users/{scim.make()['id']}"
    answer = scim.patch(path, *operations)
    assert answer.status == 200, answer.text
    body = scim.get(path).json()
    assert body == answer.json()
    for name, value in wanted.items():
        have = body
        for part in [ENTERPRISE, *filter(None, name[len(ENTERPRISE):].split("."))] if name.startswith(ENTERPRISE) else name.split("."):
            have = (have[int(part)] if int(part) < len(have) else None) if isinstance(have, list) else have.get(part) if have else None
        assert have == value, (name, have, body)


def test_one_value_is_primary(scim):
    """RFC 7643 2.4: at most one; of several the last."""
    two = [{"value": "a@acme.example", "primary": True}, {"value": "b@acme.example", "primary": True}, {"value": "c@acme.example"}]

    def primary(answer):
        return [each["value"] for each in answer.json()["emails"] if each.get("primary")]
    path = f"/Users/{scim.make(emails=two)['id']}"
    assert primary(scim.get(path)) == ["b@acme.example"]
    assert primary(scim.patch(path, {"op": "replace", "path": "emails", "value": two[1::-1]})) == ["a@acme.example"]
    assert primary(scim.call("PUT", path, {"userName": scim.get(path).json()["userName"], "emails": two})) == ["b@acme.example"]
    assert len(primary(scim.patch(path, {"op": "replace", "path": "emails[value pr].primary", "value": True}))) == 1


# ---- Many at once ----

def test_one_name_once_and_no_member_lost(site, scim):
    name = f"race{next(numbers)}@acme.example"
    site.expect(r"scim\.resource\.taken")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: scim.call("POST", "/Users", {"userName": name}).status, range(16)))
        assert sorted(answers) == [201] + [409] * 15
        users = list(threads.map(lambda _: scim.make()["id"], range(200)))
        group = scim.make_group()["id"]
        told = list(threads.map(lambda user: scim.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": user}]}).status, users))
    assert set(told) == {200} and scim.members(group) == sorted(users)
    scim.call("DELETE", f"/Groups/{group}")


# ---- Configuration ----

@pytest.mark.parametrize("line, said", [
    ("OktaSSOSCIMToken plain", "OktaSSOSCIMToken takes sha256:"), ("OktaSSOSCIMToken sha256:abcd", "OktaSSOSCIMToken takes sha256:"),
    ("OktaSSOGroupDefaultRole", "OktaSSOGroupDefaultRole takes one argument"),
])
def test_configtest(httpd, line, said):
    good, text = httpd(f"<OktaSSOOrg acme>\n{line}\n</OktaSSOOrg>\n", start=False).configtest()
    assert not good and said in text, text


def test_an_organization_overrides_the_server(httpd):
    token = hashlib.sha256(b"of the server").hexdigest()
    conf = f"OktaSSOSCIM Off\nOktaSSOSCIMToken sha256:{token}\nOktaSSOGroupDefaultRole outer\n" + CONF.replace("    OktaSSOIdP", "    OktaSSOSCIM On\n    OktaSSOIdP", 1)
    server = httpd(conf)
    server.expect("scim|flow.org.unknown", "OKS0030", r"flow\.idp\.unavailable")
    assert Scim(server).get("/Users").status == 200
    assert Scim(server, token="of the server").get("/Users").status == 401
    assert Scim(server, "globex", OTHER_TOKEN).get("/Users").status == 404, "off, from the server config"


# ---- Never lose a write ----

def test_what_was_acknowledged_is_there_after_kills(httpd):
    """Children are killed in the middle of a load, then the whole server: each user that was told of, and each membership, is there."""
    server = httpd(CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable", "AH00052", "AH10392", "AH00098", "scim|directory")
    server.start()
    server.wait_for_metadata()
    scim, told, stop = Scim(server), [], threading.Event()
    group = scim.make_group("Everybody")["id"]

    def load(number):
        count = 0
        while not stop.is_set():
            count += 1
            with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
                user = scim.make(userName=f"kill{number}.{count}@acme.example", title=f"{number}.{count}")
                answer = scim.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]})
                told.append((user["id"], f"{number}.{count}", answer.status == 200))

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(told)
        harness.wait_until(lambda: len(told) > before + 20, "some users more")
        for pid in server.children()[:2]:
            os.kill(pid, signal.SIGKILL)
    before = len(told)
    harness.wait_until(lambda: len(told) > before + 20, "some users more")
    children = server.children()
    for pid in [server.process.pid, *children]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join(60)
    server.process.wait(20)
    server.start()
    server.wait_for_metadata()
    members = set(scim.members(group))
    assert len(told) > 80
    for user, title, member in told:
        found = scim.get(f"/Users/{user}").json()
        assert found["title"] == title and found["active"] is True
        assert not member or user in members
    listed = [each["id"] for start in range(1, 3000, 1000) for each in scim.get(f"/Users?startIndex={start}&count=1000").json()["Resources"]]
    assert len(listed) == len(set(listed)) and {user for user, *_ in told} <= set(listed)


# ---- Names in any case ----

@pytest.mark.parametrize("method, path, raw", [
    ("POST", "/Users", '{"userName":"good@acme.example","USERNAME":"evil@acme.example"}'),
    ("POST", "/Users", '{"userName":"g@acme.example","active":false,"Active":true}'),
    ("POST", "/Users", '{"userName":"g@acme.example","name":{"givenName":"a","GivenName":"b"}}'),
    ("POST", "/Users", '{"userName":"g@acme.example","emails":[{"value":"a@acme.example","VALUE":"b@acme.example"}]}'),
    ("PATCH", "/Users/{id}", '{"Operations":[{"op":"replace","path":"active","value":false}],"operations":[{"op":"add","path":"title","value":"x"}]}'),
    ("PATCH", "/Users/{id}", '{"Operations":[{"op":"replace","value":{"active":false,"ACTIVE":true}}]}'),
    ("PATCH", "/Users/{id}", '{"Operations":[{"op":"replace","path":"active","value":false,"Value":true}]}'),
    ("POST", "/Users/.search", '{"filter":"title pr","FILTER":"userName pr"}'),
])
def test_a_name_is_there_once(site, scim, method, path, raw):
    user = scim.make()
    refused(site, scim.call(method, path.replace("{id}", user["id"]), raw=raw), 400, "scim.body.malformed", "invalidSyntax")
    assert scim.get(f"/Users/{user['id']}").json()["active"] is True


def test_names_are_the_same_in_any_case(scim):
    user = scim.make()
    group = scim.make_group(members=[user["id"]])
    assert scim.call("PUT", f"/Groups/{group['id']}", {"displayName": group["displayName"], "Members": []}).status == 200
    assert scim.members(group["id"]) == []
    assert scim.call("PATCH", f"/Users/{user['id']}", {"OPERATIONS": [{"OP": "replace", "Path": "active", "VALUE": False}]}).json()["active"] is False


def test_a_list_has_a_limit_of_bytes(httpd):
    """Fewer than were asked for, and how many there are: a client goes on from there (RFC 7644 3.4.2.4)."""
    server = httpd(CONF)
    server.expect("OKS0030", r"flow\.idp\.unavailable")
    scim = Scim(server)
    for i in range(90):
        scim.make(userName=f"big{i:02d}@acme.example", emails=[], roles=[{"value": str(k) + "x" * 8000} for k in range(25)])
    first = scim.get("/Users?count=1000").json()
    assert first["totalResults"] == 90 and 70 < first["itemsPerPage"] < 90
    rest = scim.get(f"/Users?count=1000&startIndex={first['itemsPerPage'] + 1}").json()
    assert first["itemsPerPage"] + rest["itemsPerPage"] == 90
    assert len(scim.find('userName sw "big8"')) == 10
    found = scim.get("/Users?count=1000&filter=" + urllib.parse.quote('userName sw "big"')).json()
    assert found["totalResults"] == 90 and found["itemsPerPage"] == first["itemsPerPage"], "what a filter finds is no exception"
