"""Answers to visitors who are not signed in: pages, JSON, redirects, and optional sign-in. Issue 2, point 7."""

import re

import pytest

import harness

LOCATIONS = "".join(f"""
<Location "/{name}">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOUnauthorized {mode}
    Require {require}
</Location>
ProxyPass "/{name}" "http://127.0.0.1:{{backend}}"
""" for name, mode, require in [
    ("auto", "auto", "valid-user"), ("redirect", "redirect", "valid-user"), ("401", "401", "valid-user"),
    ("pass", "pass", "valid-user"), ("pass-group", "pass", "okta-group Engineering"), ("pass-user", "pass", "user nobody"),
    ("pass-all", "pass", "all granted")])
CONF = 'OktaSSOIdPMetadata "{okta}"\n' + LOCATIONS

PROGRAMS = {
    "fetch": {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"},
    "fetch that asks for HTML": {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"},
    "XHR": {"X-Requested-With": "XMLHttpRequest", "Accept": "text/html"},
    "jQuery": {"X-Requested-With": "XMLHttpRequest", "Accept": "application/json, text/javascript, */*; q=0.01"},
    "curl": {"Accept": "*/*", "User-Agent": "curl/8"},
    "a client without Accept": {},
    "an image": {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Accept": "image/*"},
}


def program(site, path, headers=None, method="GET"):
    return site.browser().request(method, path, headers=headers or PROGRAMS["curl"], navigate=False)


def assert_page(answer, status, reason):
    assert (answer.status, answer.reason) == (status, reason), answer.text[:300]
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(r"<script|javascript:|\son\w+=|style=", answer.text, re.I)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff" and "no-store" in answer["Cache-Control"] and answer["Referrer-Policy"] == "no-referrer"
    assert re.search(r"<dt>Request</dt><dd>[\w@.-]{8,}</dd>", answer.text), "the request id"


@pytest.mark.parametrize("who", PROGRAMS)
def test_programs_get_json(site, who):
    answer = program(site, "/auto/api?a=1&b=2", PROGRAMS[who])
    assert answer.status == 401 and answer["Content-Type"] == "application/json"
    told = answer.json()
    base = f"http://127.0.0.1:{site.port}"
    assert told["error"] == "flow.session.none" and told["message"] and told["request_id"]
    assert told["login_url"] == f"{base}/sso/okta/login/acme?return=%2Fauto%2Fapi%3Fa%3D1%26b%3D2"
    assert answer["WWW-Authenticate"] and not answer["Location"] and not answer["Set-Cookie"]
    assert f"request={told['request_id']} " in site.verdicts()[-1]


def test_the_login_url_of_the_json_comes_back(site):
    browser = site.browser()
    url = program(site, "/auto/headers.json?a=1").json()["login_url"]
    location = browser.get(url.partition(str(site.port))[2])["Location"]
    minted = site.okta.answer(location, user="amelia.earhart@acme.example")
    assert browser.post("/sso/okta/acs/acme", harness.post_fields(minted))["Location"] == "/auto/headers.json?a=1"


@pytest.mark.parametrize("path", ["/auto/", "/401/"])
def test_a_preflight_gets_401_not_a_redirect(site, path):
    answer = site.browser().request("OPTIONS", path, headers={
        "Origin": "https://other.example", "Access-Control-Request-Method": "POST", "Sec-Fetch-Mode": "cors"})
    assert answer.status == 401 and answer.json()["login_url"]


@pytest.mark.parametrize("headers", [
    {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "*/*"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": "text/html"},
])
def test_navigations_are_redirected(site, headers):
    assert program(site, "/auto/", headers).status == 303


def test_head_is_answered_without_a_body(site):
    assert site.browser().request("HEAD", "/auto/").status == 303
    answer = program(site, "/auto/", method="HEAD")
    assert (answer.status, answer.body) == (401, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_unsafe_methods_do_not_reach_the_backend(site, method):
    for headers in (harness.NAVIGATION, PROGRAMS["curl"]):
        answer = site.browser().request(method, "/auto/headers.json", headers=headers, body="x=1", navigate=False)
        assert answer.status in (303, 401) and b"Host" not in answer.body
    assert answer.status == 401


def test_mode_redirect(site):
    for headers in [harness.NAVIGATION, *PROGRAMS.values()]:
        assert program(site, "/redirect/", headers).status == 303


def test_mode_401_page_and_json(site):
    answer = site.browser().get("/401/some?page")
    assert_page(answer, 401, "flow.session.none")
    assert f"http://127.0.0.1:{site.port}/sso/okta/login/acme?return=%2F401%2Fsome%3Fpage" in answer.text
    assert program(site, "/401/").json()["error"] == "flow.session.none"


@pytest.mark.parametrize("path", ["/pass/headers.json", "/pass-all/headers.json"])
@pytest.mark.parametrize("headers", [harness.NAVIGATION, PROGRAMS["curl"], PROGRAMS["fetch"]])
def test_mode_pass_without_and_with_a_session(site, path, headers):
    answer = program(site, path, headers)
    assert answer.status == 200
    assert not [name for name, _ in answer.json() if name.startswith("X-Remote")]
    browser, _ = site.login(path="/auto/")
    got = dict(browser.get(path).json())
    assert got["X-Remote-User"] == "amelia.earhart@acme.example"


def test_mode_pass_with_a_broken_cookie_is_nobody(site):
    browser = site.browser()
    browser.cookies["oktasso-session-acme"] = "A" * 150
    answer = browser.get("/pass/headers.json")
    assert answer.status == 200 and "X-Remote-User" not in dict(answer.json())


@pytest.mark.parametrize("path", ["/pass-group/headers.json", "/pass-user/headers.json"])
def test_mode_pass_does_not_open_what_needs_somebody(site, path):
    for headers in (harness.NAVIGATION, PROGRAMS["curl"]):
        answer = program(site, path, headers)
        assert answer.status in (303, 401, 403) and b"Host" not in answer.body, "nobody is in a group"
    assert not site.loud_lines(), "nobody's request is no error"
    site.expect(r"AH0163[01]")
    browser, _ = site.login(path="/auto/")
    assert browser.get("/pass-group/headers.json").status == 200
    answer = browser.get("/pass-user/headers.json")
    assert (answer.status, answer.reason) == (403, "httpd.request.denied")


def test_options_does_not_pass_a_group(site):
    answer = site.browser().request("OPTIONS", "/pass-group/headers.json", headers={"Origin": "https://x.example"})
    assert answer.status in (401, 403)


def test_pages_of_own_urls(site):
    browser = site.browser()
    assert_page(browser.get("/sso/okta/nothing"), 404, "flow.path.unknown")
    assert_page(browser.get("/sso/okta/"), 404, "flow.path.unknown")
    assert_page(browser.get("/sso/okta"), 404, "flow.path.unknown")
    assert_page(browser.get("/sso/okta/login/nobody"), 404, "flow.org.unknown")
    assert_page(browser.get("/sso/okta/session"), 401, "flow.session.none")


def test_nothing_of_the_request_is_shown_on_a_page(site):
    mark = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    for path in (f"/sso/okta/{mark}", f"/sso/okta/login/{mark}", f"/401/{mark}?q=\"'><b>x", f"/sso/okta/login/acme?return={mark}",
                 f"/sso/okta/login/acme?{mark}={mark}"):
        answer = site.browser().get(path.replace("\"'><b>", "%22%27%3E%3Cb%3E"))
        assert "<script" not in answer.text and "<b>x" not in answer.text


def test_one_verdict_line_for_a_refusal(site):
    before = len(site.verdicts())
    site.browser().get("/401/secret-path?token=s3cr3t")
    lines = site.verdicts()[before:]
    assert len(lines) == 1 and "reason=flow.session.none" in lines[0] and "status=401" in lines[0]
    assert "s3cr3t" not in site.log.read_text()
