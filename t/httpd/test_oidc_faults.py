"""OpenID Connect when the provider, the network or a visitor misbehaves: issue 4, points 1, 2, 8 and 10."""

import concurrent.futures
import json
import pathlib
import re
import threading
import urllib.parse

import pytest
from harness import wait_until
from openid import CALLBACK, CONF, SECRET, call_back, configured, log_in, refused
from okta import oidc

ORGS = """
OktaSSOHTTPTimeout {timeout}
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{issuer}"
    OktaSSOClientID 0oaclient0standin0697
    OktaSSOClientSecret "a secret of the stand-in"
</OktaSSOOrg>
<OktaSSOOrg initech>
    OktaSSOIdPMetadata "{other}"
    OktaSSOClientID 0oaclient0standin0697
    OktaSSOClientSecret "a secret of the stand-in"
</OktaSSOOrg>
<Location "/globex">
    AuthType OktaSSO
    OktaSSOOrg globex
    Require valid-user
</Location>
<Location "/initech">
    AuthType OktaSSO
    OktaSSOOrg initech
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
OTHER_CALLBACK = "/sso/okta/callback/initech"


@pytest.fixture
def other():
    with oidc.started() as running:
        yield running


@pytest.fixture
def both(httpd, provider, other):
    """both(timeout): globex at one provider and initech at another, with the same client id and secret."""
    def make(timeout="5s"):
        conf = ORGS.replace("{other}", other.issuer).replace("{timeout}", timeout)
        server = configured(httpd("", start=False), provider, conf=conf).start()
        server.wait_for_metadata("globex")
        server.wait_for_metadata("initech")
        return server
    return make


# ---- Discovery and keys ----

def test_a_custom_authorization_server(httpd):
    with oidc.started(server="default") as provider:
        server = configured(httpd("", start=False), provider).start()
        server.wait_for_metadata("globex")
        location = server.start_login(server.browser())
        assert provider.issuer.endswith("/oauth2/default") and location.startswith(f"{provider.issuer}/v1/authorize?")
        assert log_in(server, provider)[1].status == 303


@pytest.mark.parametrize("switch, change, reason", [
    ("discovery", lambda d: {**d, "issuer": "https://evil.example"}, "oidc.discovery.issuer"),
    ("discovery", lambda d: {**d, "issuer": d["issuer"] + "/x"}, "oidc.discovery.issuer"),
    ("discovery", lambda d: {**d, "issuer": 7}, "oidc.discovery.issuer"),
    ("discovery", lambda d: {k: v for k, v in d.items() if k != "token_endpoint"}, "oidc.discovery.endpoint"),
    ("discovery", lambda d: {**d, "authorization_endpoint": "javascript:alert(1)"}, "oidc.discovery.endpoint"),
    ("discovery", lambda d: {**d, "token_endpoint": "http://idp.example/token"}, "oidc.discovery.endpoint"),
    ("discovery", lambda d: {**d, "jwks_uri": "file:///etc/passwd"}, "oidc.discovery.endpoint"),
    ("discovery", lambda d: (200, "<html>sign in</html>"), "base.json.malformed"),
    ("discovery", lambda d: [d], "base.json.malformed"),
    ("discovery", lambda d: (500, d), "net.unreachable"),
    ("discovery", lambda d: oidc.Cut('{"issuer": "'), "net.unreachable"),
    ("discovery", lambda d: {**d, "pad": "x" * 2_000_000}, "net.response.too_large"),
    ("keys", lambda k: (404, k), "net.unreachable"),
    ("keys", lambda k: (200, "<html>"), "base.json.malformed"),
    ("keys", lambda k: {"keys": []}, "crypto.jwks.empty"),
    ("keys", lambda k: {"keys": "none"}, "crypto.jwks.malformed"),
    ("keys", lambda k: {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "key-1"}]}, "crypto.jwks.empty"),
])
def test_documents_that_are_refused(httpd, provider, switch, change, reason):
    provider.change[switch] = change
    server = configured(httpd("", start=False), provider)
    server.expect("OKS0030")
    server.start()
    told = wait_until(lambda: re.search(r"OKS0030: .*", server.log_since(0)), "the failure in the log").group()
    assert reason in told
    assert server.browser().get("/").reason == "flow.idp.unavailable"


def test_documents_that_are_refused_replace_nothing(globex, provider):
    server = globex()
    provider.change["discovery"] = lambda d: {**d, "issuer": "https://evil.example"}
    good = provider.keys[-1]
    provider.roll()  # its kid makes the child look at the documents again
    refused(server, log_in(server, provider)[1], "crypto.jws.key_unknown")
    provider.keys.append(good)
    assert log_in(server, provider)[1].status == 303


def test_fifty_bad_tokens_make_one_fetch(globex, provider):
    server = globex()
    server.expect(r"crypto\.jws\.key_unknown", r"net\.busy")
    provider.change["header"] = lambda header: {**header, "kid": "nobody's"}
    before = provider.seen.count("keys")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: log_in(server, provider)[1], range(50)))
    assert {answer.reason for answer in answers} <= {"crypto.jws.key_unknown", "net.busy"}
    assert not any("oktasso-session" in cookie for answer in answers for cookie in answer.all("Set-Cookie"))
    assert provider.seen.count("keys") - before in (1, 2), "once; a window may have ended in between"


def test_old_and_new_keys_in_overlap(globex, provider):
    server = globex()
    provider.roll("EC")
    assert log_in(server, provider)[1].status == 303, "the new one"
    provider.keys.reverse()
    assert log_in(server, provider)[1].status == 303, "the old one, while it is published"


def test_start_up_with_okta_down(httpd):
    with oidc.started() as provider:
        address = provider.server.server_address
        server = configured(httpd("", start=False), provider).start()
        server.wait_for_metadata("globex")
        signed_in, _ = log_in(server, provider)
    server.expect("OKS0030", r"net\.unreachable")
    server.stop()
    server.start()
    assert signed_in.get("/headers.json").status == 200, "sessions go on"
    browser = server.browser()
    location = server.start_login(browser)
    assert location.startswith(f"http://127.0.0.1:{address[1]}/"), "the last good copy"
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))["state"]
    refused(server, call_back(server, browser, {"state": state, "code": "x"}), "net.unreachable")


def test_start_up_with_okta_down_and_no_copy(httpd):
    with oidc.started() as provider:
        pass
    server = configured(httpd("", start=False), provider)
    server.expect("OKS0030")
    server.start()
    answer = server.browser().get("/")
    assert (answer.status, answer.reason) == (503, "flow.idp.unavailable")


# ---- The token endpoint ----

@pytest.mark.parametrize("change, reason", [
    (lambda t: oidc.Chunked(t), None),
    (lambda t: {**t, "expires_in": "3600"}, None),
    (lambda t: oidc.Cut('{"access_token": "a", "id_token": "'), "net.unreachable"),
    (lambda t: {**t, "id_token": 7}, "oidc.answer.malformed"),
    (lambda t: {**t, "access_token": ["a"]}, "oidc.answer.malformed"),
    (lambda t: {**t, "token_type": "DPoP"}, "oidc.answer.malformed"),
    (lambda t: {k: v for k, v in t.items() if k != "id_token"}, "oidc.answer.malformed"),
    (lambda t: [t], "base.json.malformed"),
    (lambda t: "{'id_token'", "oidc.answer.malformed"),
    (lambda t: {**t, "id_token": t["id_token"][:-4] + "AAAA"}, "crypto.jws.signature"),
    (lambda t: {**t, "id_token": t["id_token"].rpartition(".")[0] + "."}, "crypto.jws.signature"),
    (lambda t: {**t, "access_token": t["access_token"] + "x"}, None),  # no at_hash: userinfo refuses it
])
def test_token_answers(kept, change, reason):
    server, provider = kept
    provider.change["token"] = change
    browser, answer = log_in(server, provider)
    if reason:
        refused(server, answer, reason)
        assert not browser.session_cookie("globex")
    elif answer.status != 303:
        refused(server, answer, "oidc.userinfo.failed")
    else:
        assert browser.session_cookie("globex")


def test_a_provider_that_comes_and_goes(kept):
    """Whatever it answers in between: sessions go on, a login is whole or refused with its reason, and the next good answer signs in."""
    server, provider = kept
    seated, _ = log_in(server, provider)
    moods = [(None, None), (lambda t: (500, "<html>"), "oidc.error.unavailable"), (lambda t: oidc.Cut("{"), "net.unreachable"),
             (lambda t: "garbage", "oidc.answer.malformed"), (lambda t: (429, {"error": "slow_down"}), "oidc.error.limited")]
    for change, reason in moods * 3:
        provider.change.clear()
        if change:
            provider.change["token"] = change
        browser, answer = log_in(server, provider)
        if reason:
            refused(server, answer, reason)
        assert bool(browser.session_cookie("globex")) == (reason is None)
        assert seated.get("/headers.json").status == 200


def test_a_silent_token_endpoint_holds_no_worker_for_long_and_nobody_else(both, provider, other):
    server = both("2s")
    server.expect(r"net\.timeout", r"net\.busy")
    end = threading.Event()
    provider.change["token"] = lambda _: oidc.Silence(end)
    waiting = []
    for _ in range(12):
        browser = server.browser()
        waiting.append((browser, provider.approve(server.start_login(browser, "/globex"))))
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        answers = [threads.submit(call_back, server, *login) for login in waiting]
        wait_until(lambda: provider.seen.count("token") >= 1, "a silent one")
        browser = server.browser()
        answer = call_back(server, browser, other.approve(server.start_login(browser, "/initech")), OTHER_CALLBACK)
        assert (answer.status, answer["Location"]) == (303, "/initech"), "the other organization goes on"
        told = [answer.result() for answer in answers]  # all of them, though the endpoint never speaks
    end.set()
    assert {answer.reason for answer in told} <= {"net.timeout", "net.busy"} and {answer.status for answer in told} == {503}
    assert all(answer["Retry-After"] for answer in told if answer.reason == "net.busy")


# ---- Two organizations, two providers ----

def test_mix_up(both, provider, other):
    """RFC 9207: a code of one provider never goes to the other by a state of the other, nor a state to the wrong organization."""
    server = both()
    server.expect(r"flow\.state\.unknown", r"oidc\.error\.code", r"flow\.login\.loop")
    browser = server.browser()
    fields = provider.approve(server.start_login(browser, "/globex"))
    other_fields = other.approve(server.start_login(browser, "/initech"))
    answer = call_back(server, browser, fields, OTHER_CALLBACK)
    assert answer.status == 303 and "flow.state.unknown" in server.verdicts()[-1]
    assert not other.seen.count("token"), "the code of globex did not reach the provider of initech"
    answer = call_back(server, browser, {**other_fields, "iss": provider.issuer}, OTHER_CALLBACK)
    refused(server, answer, "oidc.callback.issuer")
    assert not other.seen.count("token")
    swapped = call_back(server, browser, {**other_fields, "code": fields["code"]}, OTHER_CALLBACK)
    assert swapped.status == 303 and "oidc.error.code" in server.verdicts()[-1]
    assert not browser.session_cookie("globex") and not browser.session_cookie("initech")


def test_codes_of_two_logins_of_one_browser_cannot_be_swapped(kept):
    server, provider = kept
    server.expect(r"oidc\.error\.code", r"oidc\.token\.nonce")
    browser = server.browser()
    first, second = (provider.approve(server.start_login(browser)) for _ in range(2))
    assert call_back(server, browser, {**first, "code": second["code"]}).status == 303
    assert "oidc.error.code" in server.verdicts()[-1], "PKCE"
    assert not browser.session_cookie("globex")


def test_a_cookie_of_another_organization_is_none(both, provider, other):
    server = both()
    browser, answer = log_in(server, provider, path="/globex")
    assert browser.session_cookie("globex") and browser.get("/globex/headers.json").status == 200
    thief = server.browser()
    thief.cookies = {name.replace("globex", "initech"): value for name, value in browser.cookies.items()}
    assert thief.get("/initech/headers.json").status == 303, "sealed for its name"
    thief.cookies = dict(browser.cookies)
    assert thief.get("/initech/headers.json").status == 303
    call_back(server, browser, other.approve(server.start_login(browser, "/initech"), email="amelia.earhart@acme.example"), OTHER_CALLBACK)
    seen = [dict(browser.get(f"/{org}/headers.json").json())["X-Remote-Org"] for org in ("globex", "initech")]
    assert seen == ["globex", "initech"], "side by side"


# ---- Claims and demands ----

@pytest.mark.parametrize("claims, header, value", [
    ({"given_name": "Ann\r\nX-Remote-Role: admin"}, "X-Remote-FirstName", "AnnX-Remote-Role admin"),
    ({"family_name": "<b>\x7f\u202eX"}, "X-Remote-LastName", "bX"),
    ({"groups": ["a,b", "c\nd", "", "Köln"]}, "X-Remote-Groups", "a%2Cb,c\ufffdd,Köln"),
])
def test_claims_are_values_and_nothing_else(kept, claims, header, value):
    server, provider = kept
    browser, answer = log_in(server, provider, **claims)
    assert answer.status == 303, answer.reason
    seen = dict(browser.get("/headers.json").json())
    assert seen[header].encode("latin-1", "ignore").decode("utf-8", "replace") == value or seen[header] == value
    assert seen["X-Remote-Role"] == "member"


@pytest.mark.parametrize("claims, reason", [({"email": "no address"}, "flow.email.malformed"), ({"email": ["a@b.example"]}, None),
                                            ({"groups": [["x"]]}, None), ({"sub": "x" * 5000}, "oidc.token.malformed")])
def test_odd_claims_sign_nobody_else_in(kept, claims, reason):
    server, provider = kept
    browser, answer = log_in(server, provider, **claims)
    if reason:
        refused(server, answer, reason)
    elif answer.status != 303:
        server.expect(answer.reason)
    else:
        assert dict(browser.get("/headers.json").json()).get("X-Remote-Email", "") in ("a@b.example", "amelia.earhart@acme.example")


def test_demands_go_to_the_provider_and_are_judged(globex, provider):
    server = globex(SECRET + "\n OktaSSOAuthnContext urn:okta:loa:2fa:any phr\n OktaSSOMaxAuthnAge 30m")
    server.expect(r"flow\.authn\.(insufficient|too_old)")
    browser = server.browser()
    location = server.start_login(browser)
    asked = provider.request(location)
    assert (asked["acr_values"], asked["max_age"]) == ("urn:okta:loa:2fa:any phr", "1800") and "prompt" not in asked
    refused(server, call_back(server, browser, provider.grant(asked, {**oidc.USER})), "flow.authn.insufficient")
    asked = provider.request(server.start_login(browser))
    old = call_back(server, browser, provider.grant(asked, {**oidc.USER, "acr": "phr"}, since=1_000_000))
    assert old.status == 303 and provider.request(old["Location"])["prompt"] == "login", "asked once more"
    asked = provider.request(server.start_login(browser))
    assert call_back(server, browser, provider.grant(asked, {**oidc.USER, "acr": "phr"})).status == 303
    assert browser.get("/headers.json").status == 200


def test_force_authn_is_prompt_login(globex, provider):
    server = globex(SECRET + "\n OktaSSOForceAuthn On")
    assert provider.request(server.start_login(server.browser()))["prompt"] == "login"


# ---- Where a visitor lands ----

HOSTILE = ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\t//evil.example", "/%0d%0aX: y\r\nX: y",
           "http:evil.example", "javascript:alert(1)", "data:text/html,x", "https:evil.example", "///evil.example", "/\n/evil.example", "@evil.example",
           "https://127.0.0.1@evil.example/", "https://evil.example#127.0.0.1", "ftp://evil.example", " //evil.example", "/x\x00//evil.example", "?//x", "x"]


@pytest.mark.parametrize("parameter", ["return", "target_link_uri"])
def test_open_redirects(kept, parameter):
    server, provider = kept
    landed = 0
    for target in HOSTILE:
        browser = server.browser()
        answer = browser.get(f"/sso/okta/login/globex?{urllib.parse.urlencode({parameter: target})}")
        if answer.status == 303:
            answer = call_back(server, browser, provider.approve(answer["Location"]))
            assert answer.status == 303 and re.fullmatch(r"/[^/\\\r\n\t]*", answer["Location"][:2]), (target, answer["Location"])
            landed += 1
        else:
            assert answer.status == 400 and "evil" not in (answer["Location"] or ""), (target, answer.status)
    assert landed <= 2


# ---- Secrets ----

def test_no_secret_is_in_the_log_at_any_level(globex, provider):
    server = globex(loglevel="trace8")
    server.expect(".*")
    kept = []
    provider.change["token"] = lambda answer: (kept.extend([answer["access_token"], answer["id_token"]]), answer)[1]
    browser = server.browser()
    location = server.start_login(browser)
    asked = provider.request(location)
    fields = provider.grant(asked, oidc.USER)
    assert call_back(server, browser, fields).status == 303
    assert browser.get("/headers.json").status == 200
    ours = "\n".join(line for line in server.log.read_text(errors="replace").splitlines() if "[oktasso:" in line)
    assert "OKS0001" in ours
    for secret in [oidc.SECRET, fields["code"], *kept, asked["nonce"], asked["state"], browser.session_cookie("globex")]:
        assert secret not in ours


# ---- Merging ----

@pytest.mark.parametrize("line, name, outer, inner", [
    ('OktaSSOClientID "{}"', "client_id", "outer", "inner"),
    ("OktaSSOScope {}", "scope", "openid outer", "openid inner"),
    ("OktaSSOResponseMode {}", "response_mode", "form_post", "query"),
])
def test_an_organization_overrides_the_server(httpd, provider, line, name, outer, inner):
    asked = {}
    for settings in ("", line.format(inner)):
        server = httpd("", start=False)
        conf = line.format(outer) + CONF.replace("OktaSSOClientID 0oaclient0standin0697", "" if name == "client_id" else "OktaSSOClientID x")
        configured(server, provider, settings, conf).start()
        server.wait_for_metadata("globex")
        location = server.start_login(server.browser())
        asked[settings] = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query)).get(name, "query")
    assert list(asked.values()) == [outer, inner]


@pytest.mark.parametrize("line, other_line", [(SECRET, 'OktaSSOClientSecret "wrong"'), ("OktaSSOPAR On", "OktaSSOPAR Off")])
def test_an_organization_overrides_the_secret_and_par(httpd, provider, line, other_line):
    rest = "" if "Secret" in line else SECRET
    server = configured(httpd("", start=False), provider, f"{line}\n{rest}", other_line + CONF).start()
    server.wait_for_metadata("globex")
    assert log_in(server, provider)[1].status == 303
    pushed = provider.seen.count("push")
    assert bool(pushed) == ("PAR" in line)
    server = configured(httpd("", start=False), provider, rest, line + CONF).start()
    server.wait_for_metadata("globex")
    assert log_in(server, provider)[1].status == 303, "inherited"
    assert (provider.seen.count("push") > pushed) == ("PAR" in line)


def test_the_state_is_no_longer_than_okta_takes_and_of_its_letters(globex, provider):
    server = globex()
    asked = provider.request(server.start_login(server.browser(), "/" + "a/" * 500 + "?q=" + "%20" * 100))
    assert re.fullmatch(r"[A-Za-z0-9_.,~+/=-]+", asked["state"]) and len(asked["state"]) < 2048
    assert CALLBACK in asked["redirect_uri"]


# ---- What Okta answers instead of a code ----

def answered_with(kept, error, description):
    server, provider = kept
    browser = server.browser()
    state = provider.request(server.start_login(browser))["state"]
    return browser, call_back(server, browser, {"state": state, "error": error, "error_description": description})


@pytest.mark.parametrize("error, description, reason, status, said", [
    ("access_denied", "User is not assigned to the client application.", "oidc.error.not_assigned", 403, "not assigned"),
    ("access_denied", "Policy evaluation failed for this request", "oidc.error.policy", 403, "policy"),
    ("access_denied", "no", "oidc.error.access_denied", 403, "did not let you in"),
    ("login_required", "The client specified not to prompt, but the user is not logged in.", "oidc.error.login_required", 401, "sign"),
    ("server_error", "Authorization server error: too many groups", "oidc.error.too_many_groups", 403, "groups"),
    ("temporarily_unavailable", "later", "oidc.error.unavailable", 503, "try again"),
    ("invalid_client", "wrong", "oidc.error.client", 503, "administrator"),
    ("invalid_scope", "groups", "oidc.error.request", 503, "administrator"),
    ("<script>alert(1)</script>", "x" * 100_000, "oidc.error.other", 403, "identity provider"),
])
def test_an_error_is_a_page_that_helps(kept, error, description, reason, status, said):
    server = kept[0]
    server.expect(reason.replace(".", r"\."))
    browser, answer = answered_with(kept, error, description[:6000])
    assert (answer.status, answer.reason) == (status, reason)
    assert said.lower() in answer.text.lower(), answer.text
    assert "<script>alert" not in answer.text and len(answer.text) < 20_000 and not browser.session_cookie("globex")
    other = "To use another account, sign out at your identity provider first." in answer.text
    assert other == (reason == "oidc.error.not_assigned"), "Okta's session goes on, and brings the same one again"


ERRORS = pathlib.Path(__file__).resolve().parents[3] / "shared/fixtures/okta/oauth2-error-codes.json"


@pytest.mark.skipif(not ERRORS.exists(), reason="Okta's list is not on this machine")
def test_every_error_that_okta_knows_ends_on_a_page(kept):
    server = kept[0]
    server.expect(r"oidc\.error\.")
    known = {(each["errorCode"], each["errorDescription"]) for each in json.loads(ERRORS.read_text())["errors"]}
    assert len(known) > 100
    other = []
    for error, description in sorted(known):
        answer = answered_with(kept, error, description)[1]
        if answer.status == 303:  # invalid_grant: once more
            continue
        assert answer.reason.startswith("oidc.error.") and answer.status in (401, 403, 503), (error, answer.reason)
        if answer.reason == "oidc.error.other":
            other.append(error)
    assert len(set(other)) < 60, sorted(set(other))


def test_a_login_that_the_provider_starts_by_post(kept):
    server, provider = kept
    browser = server.browser()
    answer = browser.post("/sso/okta/login/globex", {"iss": provider.issuer, "login_hint": "zoe@globex.example", "target_link_uri": "/page"})
    assert answer.status == 303 and provider.request(answer["Location"])["login_hint"] == "zoe@globex.example"


@pytest.mark.parametrize("fields", [{"id_token": "e30.e30."}, {"access_token": "x", "token_type": "Bearer"}, {"code": "x", "id_token": "e30.e30."}])
def test_tokens_that_nobody_asked_for(kept, fields):
    server = kept[0]
    refused(server, server.browser().post(CALLBACK, fields), "oidc.callback.unsolicited")
