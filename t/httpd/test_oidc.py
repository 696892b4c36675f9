"""Logins by OpenID Connect against the stand-in: what signs in, what is refused and why."""

import time

import pytest
from openid import CALLBACK, CONF, SECRET, call_back, configured, log_in, refused
from okta import oidc

def test_login_with_a_thin_id_token(globex, provider):
    server = globex()
    browser, answer = log_in(server, provider)
    assert (answer.status, answer["Location"]) == (303, "/headers.json?a=b"), answer.text
    headers = {name.lower(): value for name, value in browser.get("/headers.json").json()}
    assert headers["x-remote-email"] == "amelia.earhart@acme.example" and headers["x-remote-firstname"] == "Amelia"
    assert headers["x-remote-groups"] == "Everyone,Engineering" and headers["x-remote-org"] == "globex"
    assert "userinfo" in provider.seen and oidc.SECRET not in server.log.read_text()


@pytest.mark.parametrize("settings", [SECRET + " post", SECRET + "\n OktaSSOPAR On", SECRET + "\n OktaSSOScope openid email groups",
                                      SECRET + "\n OktaSSOAlgorithms RS256"])
def test_settings_that_sign_in(globex, provider, settings):
    assert log_in(globex(settings), provider)[1].status == 303


PUSHED_MAX, PUSHED_WINDOW = 120, 60


def early_in_the_window():
    if time.time() % PUSHED_WINDOW > PUSHED_WINDOW / 2:
        time.sleep(PUSHED_WINDOW + 1 - time.time() % PUSHED_WINDOW)


def test_pushed_requests_are_limited(httpd, provider):
    """Each costs a worker's time and some of the provider's rate limit, and anybody may start one."""
    server = configured(httpd("", start=False, modules=("remoteip",)), provider, SECRET + "\n OktaSSOPAR On",
                        "RemoteIPHeader X-Test-Client\n" + CONF).start()
    server.wait_for_metadata("globex")
    server.expect(r"flow\.login\.limited")
    early_in_the_window()
    browser = server.browser()
    for i in range(PUSHED_MAX):
        assert browser.get("/", headers={"X-Test-Client": f"2001:db8::{i}"}).status == 303
    pushed = provider.seen.count("push")
    answer = browser.get("/", headers={"X-Test-Client": "2001:db8::ffff"})
    assert (answer.status, answer.reason, answer["Retry-After"]) == (429, "flow.login.limited", str(PUSHED_WINDOW))
    assert provider.seen.count("push") == pushed
    assert browser.get("/", headers={"X-Test-Client": "2001:db8:0:1::"}).status == 303


def test_invented_codes_are_limited(httpd, provider):
    """One login that anybody may start would send the provider's token endpoint as many codes as somebody cares to invent."""
    server = configured(httpd("", start=False, modules=("remoteip",)), provider, conf="RemoteIPHeader X-Test-Client\n" + CONF).start()
    server.wait_for_metadata("globex")
    server.expect(r"flow\.login\.limited")
    early_in_the_window()
    browser = server.browser()
    state = provider.request(server.start_login(browser))["state"]

    def invented(client):
        return browser.get(f"{CALLBACK}?code=x&state={state}", headers={"X-Test-Client": client})
    for i in range(PUSHED_MAX):
        assert invented(f"2001:db8::{i}").status == 303
    asked = provider.seen.count("token")
    answer = invented("2001:db8::ffff")
    assert (answer.status, answer.reason, answer["Retry-After"]) == (429, "flow.login.limited", str(PUSHED_WINDOW))
    assert provider.seen.count("token") == asked >= PUSHED_MAX
    assert invented("2001:db8:0:1::").status == 303
    for _ in range(3):
        assert log_in(server, provider)[1].status == 303, "who signs in is not counted"


def test_form_post(globex, provider):
    server = globex(SECRET + "\n OktaSSOResponseMode form_post")
    browser = server.browser()
    location = server.start_login(browser)
    assert "response_mode=form_post" in location
    assert browser.post(CALLBACK, provider.approve(location)).status == 303


@pytest.mark.parametrize("source", ["file:{dir}/secret", "file:{dir}/marked", "exec:cat {dir}/secret", "env:OKS_TEST_SECRET"])
def test_secret_sources(httpd, provider, monkeypatch, source):
    monkeypatch.setenv("OKS_TEST_SECRET", oidc.SECRET)
    server = httpd("", start=False)
    (server.dir / "secret").write_text(oidc.SECRET + "\n")
    (server.dir / "marked").write_text("\ufeff" + oidc.SECRET + "\r\n")
    configured(server, provider, f'OktaSSOClientSecret "{source}"').start()
    server.wait_for_metadata("globex")
    assert log_in(server, provider)[1].status == 303


def test_callbacks_that_are_refused(kept):
    server, provider = kept
    browser = server.browser()
    location = server.start_login(browser)
    state = provider.request(location)["state"]
    refused(server, call_back(server, browser, {"code": "x"}), "oidc.callback.unsolicited")
    refused(server, call_back(server, browser, {"state": state}), "flow.parameter.missing")
    refused(server, call_back(server, browser, {"state": state, "code": "x", "iss": "https://evil.example"}), "oidc.callback.issuer")
    refused(server, browser.get(f"{CALLBACK}?state={state}&state={state}&code=x"), "base.form.repeated")
    answer = call_back(server, browser, {"state": state, "error": "access_denied",
                                         "error_description": "User is not assigned to the client application. <script>"})
    refused(server, answer, "oidc.error.not_assigned")
    assert "<script>" not in answer.text
    assert not browser.session_cookie("globex")


def test_a_state_that_cannot_be_opened_starts_again_once(kept):
    server, provider = kept
    browser = server.browser()
    answer = call_back(server, browser, {"state": "garbage", "code": "x"})
    assert answer.status == 303 and "again=cookie" in answer["Location"]
    assert "flow.state.unknown" in server.verdicts()[-1]
    refused(server, call_back(server, browser, {"state": "garbage", "code": "x"}), "flow.login.loop")


def test_another_browser_and_a_replay_start_again(kept):
    server, provider = kept
    browser = server.browser()
    fields = provider.approve(server.start_login(browser))
    stranger = call_back(server, server.browser(), fields)
    assert stranger.status == 303 and "flow.state.foreign" in server.verdicts()[-1]
    assert call_back(server, browser, fields)["Location"] == "/"
    again = call_back(server, browser, fields)
    assert again.status == 303 and "oidc.error.code" in server.verdicts()[-1]


@pytest.mark.parametrize("switch, change, reason", [
    ("claims", lambda c: {**c, "nonce": "another"}, "oidc.token.nonce"),
    ("claims", lambda c: {**c, "iss": "https://evil.example"}, "oidc.token.issuer"),
    ("claims", lambda c: {**c, "aud": "another"}, "oidc.token.audience"),
    ("userinfo", lambda u: {**u, "sub": "00uanother"}, "oidc.userinfo.subject"),
    ("userinfo", lambda u: (500, {}), "oidc.userinfo.failed"),
    ("token", lambda t: (200, "<html>"), "oidc.answer.malformed"),
    ("token", lambda t: (302, {}), "oidc.answer.malformed"),
    ("token", lambda t: (500, {}), "oidc.error.unavailable"),
    ("token", lambda t: {**t, "pad": "x" * 2_000_000}, "net.response.too_large"),
])
def test_answers_that_are_refused(kept, switch, change, reason):
    server, provider = kept
    provider.change[switch] = change
    browser, answer = log_in(server, provider)
    refused(server, answer, reason)
    assert not browser.session_cookie("globex")


def test_a_rate_limit_is_passed_on(kept):
    server, provider = kept
    provider.change["token"] = lambda t: (429, {"errorCode": "E0000047"})
    answer = log_in(server, provider)[1]
    refused(server, answer, "oidc.error.limited")
    assert answer["Retry-After"] == "17"


def test_a_new_key_is_fetched_once_a_minute(globex, provider):
    server = globex()
    provider.roll()
    before = provider.seen.count("keys")
    assert log_in(server, provider)[1].status == 303
    assert provider.seen.count("keys") == before + 1
    provider.change["header"] = lambda header: {**header, "kid": "nobody's"}
    for _ in range(5):
        refused(server, log_in(server, provider)[1], "crypto.jws.key_unknown")
    assert provider.seen.count("keys") <= before + 2  # a window may have ended in between


def test_login_that_the_provider_starts(kept):
    server, provider = kept
    browser = server.browser()
    chosen = browser.get(f"/sso/okta/login?iss={provider.issuer}&login_hint=amelia&target_link_uri=/page")
    assert chosen.status == 303, chosen.text
    path = chosen["Location"].split(str(server.port), 1)[1]
    location = browser.get(path)["Location"]
    assert provider.request(location)["login_hint"] == "amelia"
    assert call_back(server, browser, provider.approve(location))["Location"] == "/page"
    refused(server, server.browser().get("/sso/okta/login?iss=https://evil.example"), "oidc.initiate.issuer")
    refused(server, server.browser().get("/sso/okta/login/globex?iss=https://evil.example"), "oidc.initiate.issuer")
    refused(server, server.browser().get("/sso/okta/login/globex?target_link_uri=https://evil.example/"), "base.return.refused")
    refused(server, server.browser().get("/sso/okta/login/globex?prompt=sideways"), "flow.parameter.malformed")
    assert provider.request(server.browser().get("/sso/okta/login/globex?prompt=login")["Location"])["prompt"] == "login"
    refused(server, server.browser().get("/sso/okta/metadata/globex"), "flow.protocol.other")


WRONG = [
    ('OktaSSOIdPMetadata "acme.okta.com"', "OktaSSOClientID is missing, or for SAML the Metadata URL of the app's Sign On tab"),
    ('OktaSSOIdPMetadata "https://acme.okta.com"', "needs OktaSSOClientID; for SAML write the Metadata URL of the app's Sign On tab"),
    ('OktaSSOClientID ""', "OktaSSOClientID takes"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret "file:/nonexistent"', "OktaSSOClientSecret file:/nonexistent"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret "file:/dev/zero"', "/dev/zero is no regular file"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret "env:OKS_NOT_SET"', "is not set"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret "exec:exit 3"', "exec:exit 3: the command ended with status 3"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret "exec:kill -9 $$"', "the command was ended by signal 9"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret /etc/apache2/acme.secret', "looks like a path, and would be sent as it is: write file:PATH"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret File:/etc/apache2/acme.secret', "looks like a path"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret htdocs/index.html', "looks like a path"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret x digest', "and then basic or post"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientKey "/nonexistent.pem"', "OktaSSOClientKey"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret x\nOktaSSOClientKey "/k.pem"', "keep one of them"),
    ('OktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOAlgorithms rsa-sha256', "names none of OpenID Connect"),
    ("OktaSSOResponseMode fragment", "takes query or form_post"),
    ("OktaSSOPAR maybe", "On or Off"),
    ("OktaSSOScope", "OktaSSOScope takes scopes"),
    ("OktaSSOClientID x", "has no OktaSSOIdPMetadata"),
]


@pytest.mark.parametrize("secret", ["aZ09_-", "a secret/of+another=", "htdocs-index.html"])
def test_a_secret_is_no_path(httpd, secret):
    server = httpd(f'<OktaSSOOrg globex>\nOktaSSOIdPMetadata "acme.okta.com"\nOktaSSOClientID x\nOktaSSOClientSecret "{secret}"\n</OktaSSOOrg>\n', start=False)
    good, text = server.configtest()
    assert good, text


@pytest.mark.parametrize("settings, said", WRONG)
def test_configtest_tells(httpd, settings, said):
    server = httpd(f"<OktaSSOOrg globex>\n{settings}\n</OktaSSOOrg>\n", start=False)
    good, text = server.configtest()
    assert not good and said in text, text
