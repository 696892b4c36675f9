"""From a protected page to the identity provider and back: issue 2, points 3 to 5."""

import concurrent.futures
import os
import re
import signal
import urllib.parse

import pytest

import harness
from conftest import SMALLEST
from harness import post_fields, wait_until

AMELIA = "amelia.earhart@acme.example"
OURS = ["X-Remote-User", "X-Remote-Email", "X-Remote-FirstName", "X-Remote-LastName", "X-Remote-Name", "X-Remote-Groups",
        "X-Remote-Role", "X-Remote-Org"]


def seen(browser, path="/headers.json", **options):
    """Our headers as the backend received them; each at most once."""
    answer = browser.get(path, **options)
    assert answer.status == 200, (answer.status, answer.text[:300])
    pairs = [(name, value) for name, value in answer.json() if name.lower().startswith("x-remote-")]
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def query_of(url):
    return {k: v[0] for k, v in urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).items()}


# ---- The way there ----

def outside(httpd):
    """A server of a public name, seen without TLS, as behind a proxy that ends it."""
    server = httpd(start=False)
    server.head = server.head.replace("ServerName http://127.0.0.1:", "ServerName http://app.example.com:")
    server.configure(SMALLEST)
    return server


def test_sign_in_without_tls_is_told_once(httpd):
    server = outside(httpd)
    server.expect(r"flow\.idp\.unavailable", "OKS0057")
    server.start()
    server.wait_for_metadata()
    for path in ("/", "/page", "/sso/okta/login/acme", "/"):
        assert server.browser().get(path).status == 303
    told = re.findall("OKS0057: .*", server.log.read_text())
    assert len(told) == 1
    assert told[0].startswith(f"OKS0057: visitors sign in at http://app.example.com:{server.port}, and the identity provider is told to answer there")
    assert 'Does a proxy end TLS? Then write OktaSSOBaseURL "https://app.example.com"' in told[0]


def test_who_names_the_outside_url_is_told_nothing(httpd):
    """Nor is who only asks for the metadata, or for a session."""
    server = outside(httpd)
    server.start()
    assert server.browser().get("/sso/okta/metadata/acme").status == 200 and server.browser().get("/sso/okta/session").status == 401
    server.stop()
    server.configure('OktaSSOBaseURL "https://app.example.com"\n' + SMALLEST)
    server.start()
    server.expect(r"flow\.idp\.unavailable")
    server.wait_for_metadata()
    assert "OKS0057" not in server.log.read_text()


def test_a_protected_page_leads_to_the_identity_provider(site):
    browser = site.browser()
    answer = browser.get("/a/page?x=1&y=2")
    assert answer.status == 303
    assert answer["Location"].startswith(site.okta.url + "/app/")
    assert set(query_of(answer["Location"])) == {"SAMLRequest", "RelayState"}
    assert "no-store" in answer["Cache-Control"]
    request, relay_state = harness.saml.request_of_location(answer["Location"])
    base = f"http://127.0.0.1:{site.port}/sso/okta"
    assert (request.issuer, request.acs_url) == (f"{base}/metadata/acme", f"{base}/acs/acme")
    assert request.binding in (None, harness.saml.POST)
    assert "page" not in relay_state
    assert not answer.body or b"/a/page" not in answer.body


def test_only_one_small_binding_cookie(site):
    browser = site.browser()
    for path in ("/one", "/two", "/three"):
        browser.get(path)
    assert len(browser.cookies) == 1
    assert len("".join(browser.cookies.values())) < 100


def test_after_the_sign_in_the_first_page_comes_with_its_query(site):
    path = "/a/page?x=1&y=%C3%BC&z=a%2Fb"
    browser, answer = site.login(path=path)
    assert (answer.status, answer["Location"]) == (303, path)
    assert browser.get(path).status == 200
    assert "login.done" in site.verdicts()[-1] and "org=acme" in site.verdicts()[-1]


def test_cookies_without_tls(site):
    browser, answer = site.login()
    (cookie,) = answer.all("Set-Cookie")
    assert cookie.startswith("oktasso-session-acme=")
    assert {part.strip() for part in cookie.split(";")[1:]} == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert len(browser.session_cookie()) < 200


def test_login_url_with_return(site):
    browser = site.browser()
    answer = browser.get("/sso/okta/login/acme?return=/deep/page%3Fa%3Db")
    assert answer.status == 303
    answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(answer["Location"], user=AMELIA)))
    assert (answer.status, answer["Location"]) == (303, "/deep/page?a=b")
    again = browser.get("/sso/okta/login/acme?return=/other")
    assert (again.status, again["Location"]) == (303, "/other")


def test_login_in_ten_tabs_of_one_browser(site):
    browser = site.browser()
    started = [(f"/tab/{i}?n={i}", site.start_login(browser, f"/tab/{i}?n={i}")) for i in range(10)]
    cookies = set()
    for path, location in reversed(started):
        answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(location, user=AMELIA)))
        assert (answer.status, answer["Location"]) == (303, path)
        cookies.add(browser.session_cookie())
        assert seen(browser)["X-Remote-User"] == AMELIA
    assert len(cookies) == 10, "a fresh session at each login"


# ---- What the backend sees ----

def test_headers_of_amelia(site):
    browser, _ = site.login(user=AMELIA)
    assert seen(browser) == {
        "X-Remote-User": AMELIA, "X-Remote-Email": AMELIA, "X-Remote-FirstName": "Amelia",
        "X-Remote-LastName": "Earhart", "X-Remote-Name": "Amelia Earhart",
        "X-Remote-Groups": "Everyone,Engineering,Okta-Admins", "X-Remote-Role": "member", "X-Remote-Org": "acme"}


@pytest.mark.parametrize("user, wanted", [
    ("zoe.gruen", {"X-Remote-FirstName": "Zoë", "X-Remote-LastName": "Grün", "X-Remote-Name": "Zoë Grün",
                   "X-Remote-Groups": "Everyone,Engineering,Köln%2C Büro"}),
    ("yamada.taro", {"X-Remote-FirstName": "太郎", "X-Remote-LastName": "山田", "X-Remote-Name": "山田 太郎",
                     "X-Remote-Groups": "Everyone,東京"}),
    ("special.john", {"X-Remote-FirstName": "John", "X-Remote-LastName": "Doe", "X-Remote-Name": "John Doe"}),
    ("many.groups", {"X-Remote-Groups": ",".join(["Everyone"] + [f"Team {n:03d}" for n in range(1, 121)])}),
])
def test_headers_of_others(site, user, wanted):
    browser, answer = site.login(user=f"{user}@acme.example")
    assert answer.status == 303
    got = seen(browser)
    assert {name: got.get(name) for name in wanted} == wanted
    assert got["X-Remote-User"] == f"{user}@acme.example"


def test_controls_never_reach_a_header(site):
    browser, answer = site.login(attributes_merge={
        "firstName": "Ann\nX-Remote-Role: admin", "lastName": "A\tB\u0085C\u2028D",
        "groups": ["one\r\nX-Remote-Role: admin", "two", "100%,5"]})
    assert answer.status == 303
    got = seen(browser)
    assert got["X-Remote-Role"] == "member"
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028]", "".join(got.values()))
    assert got["X-Remote-Groups"].endswith(",two,100%25%2C5")


def test_a_second_login_updates_attributes_and_groups(site):
    user = "john.doe@acme.example"
    first, _ = site.login(user=user)
    assert seen(first)["X-Remote-Groups"] == "Everyone,Sales"
    second, _ = site.login(user=user, attributes_merge={"groups": ["Everyone", "Support"], "lastName": "Deere"})
    assert seen(second)["X-Remote-Groups"] == "Everyone,Support"
    assert seen(second)["X-Remote-LastName"] == "Deere"
    assert seen(first)["X-Remote-Groups"] == "Everyone,Support", "one user record, whatever the session"
    site.login(user=user)


# ---- Own pages ----

def test_session_tells_who_it_is(site):
    browser = site.browser()
    nobody = browser.get("/sso/okta/session")
    assert nobody.status == 401 and "<h1>Please sign in</h1>\n<p>You have no session on this site.</p>" in nobody.text
    site.login(browser)
    answer = browser.get("/sso/okta/session")
    assert answer.status == 200 and answer["Content-Type"].startswith("application/json")
    told = answer.json()
    assert (told["user"], told["org"], told["firstName"]) == (AMELIA, "acme", "Amelia")
    assert told["groups"] == ["Everyone", "Engineering", "Okta-Admins"]
    assert "no-store" in answer["Cache-Control"]
    assert browser.session_cookie() not in answer.text
    assert browser.get("/sso/okta/session?org=acme").status == 200


def test_metadata_of_the_service_provider(site):
    answer = site.browser().get("/sso/okta/metadata/acme")
    base = f"http://127.0.0.1:{site.port}/sso/okta"
    assert answer.status == 200 and "xml" in answer["Content-Type"]
    assert f'entityID="{base}/metadata/acme"' in answer.text
    assert f'Location="{base}/acs/acme"' in answer.text
    assert site.browser().get("/sso/okta/metadata/ACME").status == 200, "names are found in any case"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_logout_ends_the_session_and_the_copied_cookie(site, method):
    browser, _ = site.login()
    thief = site.browser()
    thief.cookies = dict(browser.cookies)
    assert thief.get("/").status == 200
    answer = browser.request(method, "/sso/okta/logout/acme", body={} if method == "POST" else None)
    assert answer.status == 200 and "still be signed in at your identity provider" in answer.text
    assert '/sso/okta/login/acme">Sign in again<' in answer.text
    assert answer["Clear-Site-Data"] == '"cache"', "the pages that this browser has kept"
    assert browser.session_cookie() is None
    assert browser.get("/").status == 303
    assert thief.get("/").status == 303, "the cookie that was copied has ended too"


def test_logout_with_return_and_from_another_site(site):
    browser, _ = site.login()
    answer = browser.get("/sso/okta/logout/acme", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200 and browser.get("/").status == 200, "a link on another site signs nobody out"
    other = site.browser().get("/sso/okta/logout/acme", headers={"Sec-Fetch-Site": "cross-site"})
    assert not answer["Clear-Site-Data"] and not other["Clear-Site-Data"], "nor does a picture there empty the cache"
    posted = browser.post("/sso/okta/logout/acme", {}, headers={"Sec-Fetch-Site": "cross-site"}, cookies=False)
    assert posted.status == 200 and "Sign out?" in posted.text, "a form there comes without the cookie"
    assert not posted["Set-Cookie"], "and must not take it away"
    answer = browser.get("/sso/okta/logout/acme?return=/bye%3Fx")
    assert (answer.status, answer["Location"], answer["Clear-Site-Data"]) == (303, "/bye?x", '"cache"')
    assert browser.get("/").status == 303
    assert browser.get("/sso/okta/logout/acme").status == 200, "signing out twice is no error"


# ---- Late, replayed, in another order ----

def test_a_reload_of_the_acs_page_is_no_dead_end(site):
    site.expect(r"login\.restart .*directory\.claim\.used")
    browser = site.browser()
    fields = post_fields(site.okta.answer(site.start_login(browser, "/first?a=b"), user=AMELIA))
    assert browser.post("/sso/okta/acs/acme", fields)["Location"] == "/first?a=b"
    again = browser.post("/sso/okta/acs/acme", fields)
    assert again.status == 303
    location = urllib.parse.urlsplit(again["Location"])
    assert location.path == "/sso/okta/login/acme"
    landed = browser.get(f"{location.path}?{location.query}")
    assert (landed.status, landed["Location"]) == (303, "/first?a=b")
    assert browser.get("/first?a=b").status == 200


def test_a_replay_without_the_session_restarts_once_and_then_tells(site):
    site.expect(r"directory\.claim\.used", r"flow\.login\.loop")
    browser = site.browser()
    fields = post_fields(site.okta.answer(site.start_login(browser, "/first"), user=AMELIA))
    assert browser.post("/sso/okta/acs/acme", fields).status == 303
    browser.cookies = {name: value for name, value in browser.cookies.items() if "session" not in name}
    answer = browser.post("/sso/okta/acs/acme", fields)
    assert answer.status == 303 and not browser.session_cookie(), "a replay makes no session"
    to_okta = browser.get(answer["Location"].partition(str(site.port))[2])
    assert to_okta.status == 303 and to_okta["Location"].startswith(site.okta.url)
    minted = site.okta.answer(to_okta["Location"], user=AMELIA)
    assert browser.post("/sso/okta/acs/acme", post_fields(minted))["Location"] == "/first", "the second try works"
    browser.cookies = {name: value for name, value in browser.cookies.items() if "session" not in name}
    answer = browser.post("/sso/okta/acs/acme", post_fields(minted))
    assert (answer.status, answer.reason) == (403, "flow.login.loop")
    assert "/sso/okta/login/acme" in answer.text, "a way out"
    assert not browser.session_cookie()


def test_one_response_makes_one_session_whatever_the_process_and_the_time(httpd):
    """Prefork: each request in a process of its own. The claim outlives the server (SECURITY.md 18)."""
    server = httpd(mpm="prefork")
    server.expect(r"login\.restart .*directory\.claim\.used", r"flow\.login\.loop")
    browser = server.browser()
    fields = post_fields(server.okta.answer(server.start_login(browser, "/first"), user=AMELIA))
    copies = [server.browser_with(browser) for _ in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda copy: copy.post("/sso/okta/acs/acme", fields), copies))
    assert [answer["Location"] for answer in answers].count("/first") == 1
    assert sum(bool(copy.session_cookie()) for copy in copies) == 1
    server.stop()
    server.start()
    late = server.browser_with(browser)
    assert late.post("/sso/okta/acs/acme", fields).status in (303, 403) and not late.session_cookie()
    assert "directory.claim.used" in server.verdicts()[-1]


def test_an_unsolicited_response_starts_a_login(site):
    browser = site.browser()
    minted = site.okta.mint(user=AMELIA)
    answer = browser.post("/sso/okta/acs/acme", {"SAMLResponse": minted["SAMLResponse"], "RelayState": "/tile?x=1"})
    assert answer.status == 303 and not browser.session_cookie(), "nobody is signed in by a Response not asked for"
    to_okta = browser.get(answer["Location"].partition(str(site.port))[2])
    assert to_okta["Location"].startswith(site.okta.url)
    answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(to_okta["Location"], user=AMELIA)))
    assert (answer.status, answer["Location"]) == (303, "/tile?x=1")
    assert browser.get("/").status == 200


def test_an_unsolicited_response_to_a_browser_without_cookies_ends_on_a_page(site):
    site.expect(r"flow\.login\.loop", r"saml\.response\.unsolicited")
    browser = site.browser()
    minted = site.okta.mint(user=AMELIA)
    answer = browser.post("/sso/okta/acs/acme", {"SAMLResponse": minted["SAMLResponse"], "RelayState": ""}, cookies=False)
    assert answer.status == 303
    answer = browser.get(answer["Location"].partition(str(site.port))[2], cookies=False)
    assert (answer.status, answer.reason) == (403, "flow.login.loop")
    assert "flow.login.loop: flow.state.foreign: the browser keeps no cookie of ours" in site.verdicts()[-1]
    assert "Please check that cookies are allowed" in answer.text


HERE = r"here it is \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, OktaSSOClockSkew 2m"


@pytest.mark.parametrize("preset, why", [
    ("expired", r"saml\.time\.expired: SubjectConfirmationData NotOnOrAfter \S+Z; " + HERE), ("no-in-response-to", r"saml\.response\.unsolicited")])
def test_what_a_second_try_may_mend_is_tried_once(site, preset, why):
    site.expect(r"OKS0001: .*(saml\.|flow\.login\.loop)")
    browser = site.browser()
    location = site.start_login(browser, "/first")
    answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(location, user=AMELIA, preset=preset)))
    assert answer.status == 303 and "/sso/okta/login/acme" in answer["Location"]
    location = browser.get(answer["Location"].partition(str(site.port))[2])["Location"]
    answer = browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(location, user=AMELIA, preset=preset)))
    assert (answer.status, answer.reason) == (403, "flow.login.loop")
    assert re.search(r"reason=flow\.login\.loop: " + why + "$", site.verdicts()[-1]), "the page has the loop, the log why"
    assert "twice in a row" in answer.text and "cookies" not in answer.text and "administrator of this server can help" in answer.text


# ---- Restarts ----

def test_a_graceful_restart_and_a_killed_child_in_the_middle_of_a_login(httpd):
    server = httpd()
    server.expect(r"AH00052: child pid \d+ exit signal Killed", r"AH10392")
    session, _ = server.login()
    browser = server.browser()
    location = server.start_login(browser, "/middle?x")
    server.graceful()
    answer = browser.post("/sso/okta/acs/acme", post_fields(server.okta.answer(location, user=AMELIA)))
    assert (answer.status, answer["Location"]) == (303, "/middle?x")
    assert session.get("/").status == 200

    browser = server.browser()
    location = server.start_login(browser, "/kill")
    killed = server.children()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: (now := server.children()) and not set(now) & set(killed), "new children")
    answer = browser.post("/sso/okta/acs/acme", post_fields(server.okta.answer(location, user=AMELIA)))
    assert (answer.status, answer["Location"]) == (303, "/kill")
    assert session.get("/").status == 200


def test_sessions_and_pending_logins_survive_a_full_restart(httpd):
    server = httpd()
    session, _ = server.login()
    browser = server.browser()
    location = server.start_login(browser, "/middle")
    server.stop()
    server.start()
    assert seen(session)["X-Remote-User"] == AMELIA
    answer = browser.post("/sso/okta/acs/acme", post_fields(server.okta.answer(location, user=AMELIA)))
    assert (answer.status, answer["Location"]) == (303, "/middle"), "metadata comes from the last good copy"
