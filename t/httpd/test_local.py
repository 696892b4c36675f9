"""Local accounts beside single sign-on, Require SSO, and break-glass: DESIGN.md 5."""

import base64
import concurrent.futures
import ctypes
import hashlib
import html
import re
import sqlite3
import time

import pytest

import harness
from test_scim import Scim

CONF = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain acme.example
    OktaSSORole admin break-glass Okta-Admins
    OktaSSOLocalProvider file
    %s
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    AuthUserFile "{dir}/users"
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
AMELIA = "amelia.earhart@acme.example"
USERS = {AMELIA: "local-1", "ops": "local-2", "root@acme.example": "local-3", "zoë": "pässwörd"}
LOGIN, GLASS = "/sso/okta/login/acme", "/sso/okta/break-glass/acme"


def started(httpd, extra="", conf=CONF, okta=True, **options):
    server = httpd(conf % extra if "%s" in conf else conf, start=False, **options)
    (server.dir / "users").write_text("".join(
        f"{user}:{{SHA}}{base64.b64encode(hashlib.sha1(word.encode()).digest()).decode()}\n" for user, word in USERS.items()))
    (server.dir / "users").chmod(0o644)
    server.expect(r"OKS0001: refused .*flow\.idp\.unavailable", r"AH01617|AH01618|mod_authn_file|AH01620")
    server.start()
    if okta:
        harness.wait_until(lambda: server.browser().get(LOGIN + "?sso=1").status == 303, "metadata")
    return server


def state_of(page):
    return html.unescape(re.search(r'name="state" value="([^"]+)"', page.text).group(1))


def submit(browser, user, password, path=LOGIN, page=None, **options):
    page = page or browser.get(path + "?return=/page?x=1")
    return browser.post(path, {"username": user, "password": password, "state": state_of(page)}, **options)


def headers(browser, **options):
    answer = browser.get("/headers.json", **options)
    assert answer.status == 200, (answer.status, answer.reason)
    return {name: value for name, value in answer.json()}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# ---- Where the passwords are ----

PASSWORDS = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOLocalProvider %s
    OktaSSOBreakGlass ops
</OktaSSOOrg>
<Location "/app">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
"""
FILE = 'AuthUserFile "/etc/passwd"\n'


@pytest.mark.parametrize("section", ["", f'<Location "/app">\n{FILE}</Location>\n', f"<Location /app>\n{FILE}</Location>\n",
                                     f'<Directory "/">\n{FILE}</Directory>\n', f'<Files "x">\n{FILE}</Files>\n',
                                     f'<VirtualHost 127.0.0.1:1>\n<Location "/sso/saml">\n{FILE}</Location>\n</VirtualHost>\n'])
def test_a_password_file_that_the_sign_in_page_has_not_is_told(httpd, section):
    ok, said = httpd(PASSWORDS % "file" + section, start=False).configtest()
    assert ok and re.search(r"OKS0059: \S+/httpd\.conf:\d+: OktaSSOLocalProvider file: no AuthUserFile holds at /sso/okta, where local accounts "
                            'sign in: write it into <Location "/"> or <Location "/sso/okta">', said), said


@pytest.mark.parametrize("more, told", [("", True), (f'<Location "/sso">\n{FILE}</Location>\n', False)])
def test_a_password_file_that_does_not_exist_is_told(httpd, more, told):
    ok, said = httpd(PASSWORDS % "file" + '<Location "/">\nAuthUserFile "/nowhere/users"\n</Location>\n' + more, start=False).configtest()
    assert ok and told == bool(re.search(r"OKS0060: \S+/httpd\.conf:\d+: AuthUserFile \"?/nowhere/users\"? is not there, so that no local account can "
                                         "sign in: htpasswd -cB makes it", said)), said


@pytest.mark.parametrize("provider, section", [
    ("file", f'<Location "/">\n{FILE}</Location>\n'), ("file", f"<Location />\n{FILE}</Location>\n"),
    ("file", f'<Location "/sso/okta/break-glass">\n{FILE}</Location>\n'), ("file", f'<Location "/sso">\n<If "true">\n{FILE}</If>\n</Location>\n'),
    ("file", f'<LocationMatch "^/s">\n{FILE}</LocationMatch>\n'), ("file", f'<Location ~ "^/s">\n{FILE}</Location>\n'),
    ("file", f'<Location "/s*">\n{FILE}</Location>\n'), ("dbm", f'<Location "/app">\n{FILE}</Location>\n'),
    ("file", f'<VirtualHost 127.0.0.1:1>\nOktaSSOPath /auth\n<Location "/auth">\n{FILE}</Location>\n</VirtualHost>\n')])
def test_a_password_file_that_may_be_there_is_no_matter(httpd, provider, section):
    ok, said = httpd(PASSWORDS % provider + section, start=False, modules=["authn_dbm"]).configtest()
    assert ok and "OKS0059" not in said and "OKS0060" not in said, said


# ---- Both ways in ----

def test_the_sign_in_page_has_both_ways(httpd):
    server = started(httpd)
    browser = server.browser()
    asked = browser.get("/page?x=1")
    assert asked.status == 303 and asked["Location"].endswith(LOGIN + "?return=%2Fpage%3Fx%3D1")
    page = browser.get(LOGIN + "?return=%2Fpage%3Fx%3D1")
    assert page.status == 200
    for piece in ('autocomplete="username"', 'type="password" value="" autocomplete="current-password"', '<label for="password">',
                  'action="/sso/okta/login/acme"'):
        assert piece in page.text
    assert re.findall(r'type="(text|password)"[^>]* maxlength="(\d+)"', page.text) == [("text", "320"), ("password", "1024")]
    other = html.unescape(re.search(r'<p class="other"><a href="([^"]+)">', page.text).group(1))
    assert browser.get(other[other.index("/sso"):])["Location"].startswith(server.okta.url)
    answer = submit(browser, AMELIA, "local-1", page=page)
    assert (answer.status, answer["Location"]) == (303, "/page?x=1")
    got = headers(browser)
    assert (got["X-Remote-User"], got["X-Remote-Email"], got["X-Remote-Role"]) == (AMELIA, AMELIA, "member")
    assert "X-Remote-Groups" not in got
    assert any("login.local" in line and f"user={AMELIA}" in line for line in server.verdicts())
    assert "local-1" not in server.log.read_text()


def test_a_local_account_without_an_address(httpd):
    server = started(httpd)
    for user in ("ops", "zoë"):
        browser = server.browser()
        assert submit(browser, user, USERS[user]).status == 303
        got = headers(browser)
        assert got["X-Remote-User"] == user and "X-Remote-Email" not in got


def test_a_record_that_okta_filled_keeps_what_it_says(httpd):
    server = started(httpd)
    before = headers(server.login(path=LOGIN + "?sso=1")[0])
    browser = server.browser()
    assert submit(browser, AMELIA, "local-1").status == 303
    after = headers(browser)
    same = {name for name in before if name.startswith("X-Remote-")}
    assert same and {n: before[n] for n in same} == {n: after[n] for n in same} and after["X-Remote-Role"] == "admin"


@pytest.mark.parametrize("user,password", [(AMELIA, "wrong"), ("nobody", "local-1"), ("nobody@acme.example", "x"), (AMELIA, "local-1 "),
                                           ("o:ps", "local-2"), (AMELIA, "x" * 2000), ("u" * 300, "x")],
                         ids=["password", "name", "address", "blank", "colon", "long password", "long name"])
def test_a_wrong_password_and_no_such_account_read_alike(httpd, user, password):
    server = started(httpd)
    browser = server.browser()
    page = browser.get(LOGIN)
    answer = submit(browser, user, password, page=page)
    assert answer.status == 401 and "The user name or the password is wrong." in answer.text and 'role="alert"' in answer.text
    assert not any("session" in cookie for cookie in browser.cookies) and f'"{password}"' not in answer.text
    assert submit(browser, user, password, page=page, navigate=False).reason == "flow.local.wrong"
    assert submit(browser, AMELIA, "local-1", page=answer).status == 303, "the page goes on where it was"


def test_no_other_site_can_sign_somebody_in(httpd):
    server = started(httpd)
    attacker, victim = server.browser(), server.browser()
    page = attacker.get(LOGIN)
    server.expect(r"flow\.state\.foreign")
    assert victim.post(LOGIN, {"username": AMELIA, "password": "local-1", "state": state_of(page)}).reason == "flow.state.foreign"
    victim.get(LOGIN)
    assert victim.post(LOGIN, {"username": AMELIA, "password": "local-1", "state": state_of(page)}).reason == "flow.state.foreign"
    assert victim.post(LOGIN, {"username": AMELIA, "password": "local-1"}).reason == "crypto.seal.broken"
    assert victim.post(LOGIN, {"username": "", "password": "local-1", "state": "x"}).reason == "flow.parameter.missing"
    assert victim.get(LOGIN + f"?username={AMELIA}&password=local-1&state={state_of(page)}").status == 200, "never in a URL"
    assert not any("session" in cookie for cookie in victim.cookies)


def test_a_name_that_is_as_long_as_a_form(httpd):
    """Folded, each of its characters would be eighteen, and it would be kept and hashed a dozen times: it is no account's, and is not shown again."""
    server = started(httpd)
    server.expect(r"reason=flow\.local\.wrong")
    answer = submit(server.browser(), "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 50000, "x")
    assert answer.status == 403 or answer.status == 401
    assert len(answer.text) < 20000, "not 150 KB"
    assert submit(server.browser(), AMELIA, "local-1").status == 303


def test_wrong_passwords_are_limited(httpd):
    server = started(httpd)
    server.expect(r"flow\.local\.limited")
    browser = server.browser()
    page = browser.get(LOGIN)
    reasons = [submit(browser, "ops", f"guess-{i}", page=page, navigate=False).reason for i in range(25)]
    # A window may end in between: then the count starts again.
    assert reasons[:3] == ["flow.local.wrong"] * 3 and reasons.count("flow.local.wrong") in range(20, 25)
    answer = submit(browser, "ops", "guess", page=page)
    if reasons[-1] == "flow.local.limited":
        assert answer.status == 429 and answer["Retry-After"] == "300"
        assert browser.get("/", headers=basic("ops", "local-2"), navigate=False).reason == "flow.local.limited"


MANY = CONF.replace('<Location "/">', """
<AuthnProviderAlias file staff>
    AuthUserFile "{dir}/nobody"
</AuthnProviderAlias>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOLocalProvider staff file
</OktaSSOOrg>
RemoteIPHeader X-Test-Client
<Location "/">""", 1).replace("\nProxyPass", """
<Location "/globex">
    OktaSSOOrg globex
</Location>
ProxyPass""", 1)


@pytest.fixture
def many(httpd):
    """A site where requests say where they come from, and a window of the limiter that has just begun."""
    def start(users=None):
        server = started(httpd, conf=MANY, modules=("remoteip",))
        (server.dir / "nobody").write_text("")
        server.expect(r"flow\.local\.limited")
        if users:
            (server.dir / "users").write_text(users)
        if time.time() % 300 > 240:
            time.sleep(301 - time.time() % 300)
        return server
    return start


def knock(server, user, password="wrong", client="192.0.2.1", path="/headers.json"):
    answer = server.browser().get(path, headers={**basic(user, password), "X-Test-Client": client}, navigate=False)
    return "in" if answer.status == 200 else answer.reason


def crypted(password):
    """For some hundred milliseconds of somebody's processor."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(password.encode(), b"$6$rounds=150000$somesalt").decode()


def test_of_many_guesses_at_once_no_more_are_answered(many):
    server = many(f"ops:{crypted('local-2')}\n")
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        reasons = list(pool.map(lambda i: knock(server, "ops", f"guess-{i}", f"192.0.2.{i}"), range(60)))
    assert (reasons.count("flow.local.wrong"), reasons.count("flow.local.limited")) == (20, 40)


def test_right_passwords_at_once_wait_for_each_other(many):
    server = many(f"ops:{crypted('local-2')}\n")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert set(pool.map(lambda i: knock(server, "ops", "local-2"), range(40))) == {"in"}
    assert knock(server, "ops") == "flow.local.wrong", "and none of them counts"


def test_spellings_of_an_account_and_organizations_count_together(many):
    server = many()
    spellings = ["ops", "OPS", "Ops ", " ops", "o p s", "ｏｐｓ", "öps", "o\u00adps", "OPS\u200b", "oPs\u00a0"]
    paths = ("/headers.json", "/globex/headers.json")
    reasons = [knock(server, spellings[i % 10], client=f"192.0.2.{i}", path=paths[i // 10]) for i in range(20)]
    assert reasons == ["flow.local.wrong"] * 20
    assert knock(server, "ops", "local-2", "192.0.2.99") == "flow.local.limited"
    assert knock(server, AMELIA, "local-1", "192.0.2.99") == "in"


def test_an_ipv6_network_counts_as_one_address(many):
    server = many()
    reasons = [knock(server, f"nobody-{i}", client=f"2001:db8:0:1::{i}") for i in range(20)]
    assert reasons == ["flow.local.wrong"] * 20
    assert knock(server, "ops", "local-2", "2001:db8:0:1:ffff::1") == "flow.local.limited"
    assert knock(server, "ops", "local-2", "2001:db8:0:2::1") == "in"


# ---- HTTP Basic ----

def test_basic_credentials_make_one_session_without_a_cookie(httpd):
    server = started(httpd)
    browser = server.browser()
    for _ in range(3):
        got = headers(browser, headers=basic(AMELIA, "local-1"), navigate=False)
        assert got["X-Remote-User"] == AMELIA and "Authorization" not in got
    assert not browser.cookies
    with sqlite3.connect(server.state / "directory.db") as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    told = [line for line in server.verdicts() if "login.basic" in line]
    assert len(told) == 1 and f"status=200 org=acme user={AMELIA} " in told[0], "the first request of the session"
    answer = browser.get("/", headers=basic(AMELIA, "wrong"), navigate=False)
    assert (answer.status, answer.reason) == (401, "flow.local.wrong")
    assert browser.get("/", headers={"Authorization": "Basic !!!"}, navigate=False).reason == "flow.session.none"
    assert browser.get("/", headers=basic("", "x"), navigate=False).reason == "flow.local.wrong"


@pytest.mark.parametrize("name", [AMELIA + " ", AMELIA + "   ", " " + AMELIA, AMELIA + "\t"])
def test_a_blank_at_the_end_makes_no_other_account(httpd, name):
    """SQL and LDAP compare without it, so it would be the same person under another name, whom no deactivation meets."""
    conf = CONF.replace("Provider file", "Provider dbd").replace('AuthUserFile "{dir}/users"', "AuthDBDUserPWQuery \"SELECT password "
                        "FROM people WHERE trim(name) = trim(%s, ' ' || char(9))\"").replace("    %s\n", "    \n", 1)
    server = httpd('DBDriver sqlite3\nDBDParams "{dir}/people.db"\n' + conf, start=False, modules=("dbd", "authn_dbd"))
    with sqlite3.connect(server.dir / "people.db") as database:
        database.execute("CREATE TABLE people (name TEXT, password TEXT)")
        database.execute("INSERT INTO people VALUES (?, ?)", (
            AMELIA, "{SHA}" + base64.b64encode(hashlib.sha1(b"local-1").digest()).decode()))
    (server.dir / "people.db").chmod(0o644)
    server.expect(r"flow\.idp\.unavailable")
    server.start()
    assert headers(server.browser(), headers=basic(AMELIA, "local-1"), navigate=False)["X-Remote-User"] == AMELIA
    answer = server.browser().get("/headers.json", headers=basic(name, "local-1"), navigate=False)
    assert (answer.status, answer.reason) == (401, "flow.local.wrong")


def test_the_account_of_a_certificate_has_no_password(httpd):
    """mod_ssl's FakeBasicAuth: all of them have "password", so that mod_ssl itself refuses it in an Authorization header."""
    boss = "/C=US/O=Acme/CN=boss"
    server = started(httpd, "OktaSSOBreakGlass " + boss)
    with open(server.dir / "users", "a") as file:
        file.write(f"{boss}:xxj31ZMTZzkVA\n/cn=own:{crypted('its own')}\n")
    server.expect(r"login\.break_glass|flow\.local\.wrong")
    for path in (LOGIN, GLASS):
        answer = submit(server.browser(), boss, "password", path=path, navigate=False)
        assert (answer.status, answer.reason) == (401, "flow.local.wrong")
    got = headers(server.browser(), headers=basic("/cn=own", "its own"), navigate=False)
    assert got["X-Remote-User"] == "/cn=own", "any other password is one"


HOP = CONF.replace('ProxyPass "/" ', """
<Location "/headers.json">
    AuthUserFile "{dir}/users"
</Location>
<Directory "{dir}/htdocs">
    RewriteEngine On
    RewriteRule "^hop$" "/headers.json" [L]
    RewriteRule "^sent$" "/headers.json" [L]
</Directory>
<Location "/sent">
    RequestHeader set Authorization "Basic c2VydmljZTpzZWNyZXQ="
</Location>
ProxyPass "/hop" "!"
ProxyPass "/sent" "!"
ProxyPass "/" """, 1)


@pytest.mark.parametrize("path,sent", [("/hop", None), ("/sent", "Basic c2VydmljZTpzZWNyZXQ=")])
def test_basic_credentials_go_with_an_internal_redirect(httpd, path, sent):
    server = started(httpd, conf=HOP)
    (server.dir / "htdocs" / path[1:]).write_text("")
    answer = server.browser().get(path, headers=basic(AMELIA, "local-1"), navigate=False)
    assert answer.status == 200, answer.reason
    got = dict(answer.json())
    assert (got["X-Remote-User"], got.get("Authorization")) == (AMELIA, sent), "the password stays here, what the site says goes on"
    assert server.browser().get(path, headers=basic(AMELIA, "wrong"), navigate=False).reason == "flow.local.wrong"


def test_basic_is_offered_to_programs_and_not_to_browsers(httpd):
    server = started(httpd)
    program = server.browser().get("/", navigate=False)
    assert program.status == 401 and [c.split()[0] for c in program.all("WWW-Authenticate")] == ["OktaSSO", "Basic"]
    script = server.browser().get("/", navigate=False, headers={"Sec-Fetch-Mode": "cors"})
    assert [c.split()[0] for c in script.all("WWW-Authenticate")] == ["OktaSSO"]


def test_a_deactivated_user_has_no_local_way_in(httpd):
    server = started(httpd)
    browser = server.browser()
    assert submit(browser, AMELIA, "local-1").status == 303
    headers(server.browser(), headers=basic(AMELIA, "local-1"), navigate=False)
    server.stop()
    with sqlite3.connect(server.state / "directory.db") as database:
        database.execute("UPDATE users SET active = 0")
    server.start()
    server.expect(r"directory\.user\.inactive")
    assert browser.get("/", navigate=False).reason == "directory.user.inactive"
    assert server.browser().get("/", headers=basic(AMELIA, "local-1"), navigate=False).reason == "directory.user.inactive"
    assert submit(server.browser(), AMELIA, "local-1").reason == "directory.user.inactive"


def test_an_expired_basic_session_is_made_again(httpd):
    server = started(httpd, "OktaSSOSession lifetime=2s idle=2s")
    def made():
        headers(server.browser(), headers=basic(AMELIA, "local-1"), navigate=False)
        with sqlite3.connect(server.state / "directory.db") as database:
            return database.execute("SELECT created FROM sessions").fetchone()
    first = made()
    harness.wait_until(lambda: made() != first, "another session after the first one's end")


def test_a_context_that_a_password_is_not(httpd):
    server = started(httpd, conf=CONF.replace("Require valid-user", "Require valid-user\n    OktaSSOAuthnContext urn:okta:loa:2fa:any") % "")
    assert server.browser().get("/", headers=basic(AMELIA, "local-1"), navigate=False).reason == "flow.authn.weak"
    assert server.browser().get("/")["Location"].startswith(server.okta.url), "no choice where a password is not enough"


# ---- Require SSO ----

def test_switching_it_on_ends_local_sessions(httpd):
    server = started(httpd)
    browser, earlier = server.browser(), server.browser()
    assert submit(earlier, AMELIA, "local-1").status == 303
    page = server.browser().get(LOGIN)
    server.login(path=LOGIN + "?sso=1")
    assert earlier.get("/headers.json", navigate=False).reason == "directory.session.absent", "the account became a record of Okta's"
    assert submit(browser, AMELIA, "local-1").status == 303
    server.configure(CONF % "OktaSSORequireSSO on")
    server.graceful()
    harness.wait_until(lambda: browser.get("/headers.json", navigate=False).status == 401, "the new configuration")
    assert browser.get("/headers.json", navigate=False).reason == "flow.session.local"
    assert browser.get("/headers.json")["Location"].startswith(server.okta.url)
    server.expect(r"flow\.sso\.required")
    assert submit(server.browser(), AMELIA, "local-1", page=page).reason == "flow.sso.required"
    refused = server.browser().get("/", headers=basic(AMELIA, "local-1"), navigate=False)
    assert (refused.status, refused.reason) == (403, "flow.sso.required")
    assert server.browser().get(LOGIN).status == 303, "straight to the identity provider"
    assert headers(server.login()[0])["X-Remote-User"] == AMELIA


def test_members_only(httpd):
    server = started(httpd)
    server.login(path=LOGIN + "?sso=1")
    server.configure(CONF % "OktaSSORequireSSO members")
    server.graceful()
    harness.wait_until(lambda: server.browser().get(LOGIN).status == 303, "the new configuration")
    assert headers(server.login()[0])["X-Remote-User"] == AMELIA
    server.expect(r"directory\.user\.unknown")
    answer = server.login(user="zoe.gruen@acme.example")[1]
    assert (answer.status, answer.reason) == (403, "directory.user.unknown")


def test_the_lock_out_guard(httpd):
    server = httpd(CONF % "OktaSSORequireSSO on", start=False)
    server.expect(r"OKS0036: .*httpd\.conf:\d+: OktaSSORequireSSO of the organization acme: you may lock yourself out",
                  r"flow\.idp\.unavailable", "OKS0060")
    server.start()
    server.wait_for_metadata()
    assert "OKS0036" in server.log.read_text()
    server.login()
    offset = server.log.stat().st_size
    server.graceful()
    assert "OKS0036" not in server.log_since(offset)


BYPASS = CONF.replace('ProxyPass "/"', """
<Location "/basic">
    AuthType Basic
    AuthName x
    AuthBasicProvider file
</Location>
<Location "/elsewhere">
    AuthType Basic
    AuthName x
    AuthBasicProvider file
    AuthUserFile "{dir}/users"
    OktaSSOOrg other
    Require valid-user
</Location>
<OktaSSOOrg other>
    OktaSSOIdPMetadata "{okta}"
</OktaSSOOrg>
ProxyPass "/\"""")


def test_another_auth_type_is_no_way_around(httpd):
    server = started(httpd, "OktaSSORequireSSO on\n    OktaSSOBreakGlass ops", conf=BYPASS)
    server.expect(r"flow\.sso\.required")
    for path, user, wanted in [("/basic", AMELIA, "flow.sso.required"), ("/basic", "ops", "flow.sso.required"),
                               ("/elsewhere", AMELIA, "flow.sso.required"), ("/elsewhere", "ops", None)]:
        answer = server.browser().get(path, headers=basic(user, USERS[user]), navigate=False)
        assert (answer.status, answer.reason if wanted else None) == (403 if wanted else 200, wanted), (path, user)
    assert server.browser().get("/basic", navigate=False).status == 401


@pytest.mark.parametrize("spelling", [AMELIA + " ", AMELIA.replace("acme", "ACME") + "\u00a0", AMELIA.replace("acme", "a\u00adcme"),
                                      AMELIA.replace("acme", "ａcme")], ids=["blank", "no-break space", "soft hyphen", "wide"])
def test_no_spelling_of_an_address_is_a_way_around(httpd, spelling):
    """As with a provider that takes it for the account's own: a directory server does."""
    server = started(httpd, "OktaSSORequireSSO on\n    OktaSSOBreakGlass ops", conf=BYPASS)
    (server.dir / "users").write_text(f"{spelling}:{{SHA}}{base64.b64encode(hashlib.sha1(b'x').digest()).decode()}\n")
    server.expect(r"flow\.sso\.required")
    answer = server.browser().get("/elsewhere", headers=basic(spelling, "x"), navigate=False)
    assert (answer.status, answer.reason) == (403, "flow.sso.required")


def test_another_auth_type_stays_where_sso_is_optional(httpd):
    server = started(httpd, conf=BYPASS)
    assert server.browser().get("/basic", headers=basic(AMELIA, "local-1"), navigate=False).status == 200


# ---- Break-glass ----

def glass(httpd, **options):
    server = started(httpd, "OktaSSOBreakGlass ops root@acme.example\n    OktaSSORequireSSO on", **options)
    server.expect(r"OKS0001: login\.break_glass .*org=acme user=", r"OKS0001: refused .*flow\.local\.wrong: account")
    return server


def test_break_glass_works_with_okta_dead(httpd):
    server = glass(httpd, conf=CONF.replace("{okta}", "http://127.0.0.1:1/metadata"), okta=False)
    server.expect(r"net\.unreachable")
    assert server.browser().get("/").reason == "flow.idp.unavailable"
    for user, email in (("ops", None), ("root@acme.example", "root@acme.example")):
        browser = server.browser()
        page = browser.get(GLASS + "?return=/page")
        assert page.status == 200 and "Emergency sign-in" in page.text and server.okta.url not in page.text
        answer = submit(browser, user, USERS[user], path=GLASS, page=page)
        assert (answer.status, answer["Location"]) == (303, "/page")
        got = headers(browser)
        assert (got["X-Remote-User"], got.get("X-Remote-Email"), got["X-Remote-Role"]) == (user, email, "admin")
    assert any("login.break_glass" in line and ":warn]" in line and "user=ops" in line for line in server.verdicts())


@pytest.mark.parametrize("user, path", [("ops", GLASS), (AMELIA, LOGIN)])
def test_signing_out_says_nothing_of_an_identity_provider(httpd, user, path):
    server = started(httpd, "OktaSSOBreakGlass ops")
    server.expect(r"OKS0001: login\.break_glass .*user=ops")
    browser = server.browser()
    submit(browser, user, USERS[user], path=path, page=browser.get(path))
    page = browser.get("/sso/okta/logout/acme").text
    assert "You are signed out" in page and "identity provider" not in page
    assert re.search(r'href="([^"]+)">Sign in again<', page).group(1).endswith(path)


def test_break_glass_is_for_its_accounts_alone(httpd):
    server = glass(httpd)
    answer = submit(server.browser(), AMELIA, "local-1", path=GLASS)
    assert answer.status == 401 and "Emergency sign-in" in answer.text
    assert server.verdicts()[-1].endswith(f'flow.local.wrong: account "{AMELIA}" from 127.0.0.1 is no OktaSSOBreakGlass account of acme')
    other = submit(server.browser(), "ops", "wrong", path=GLASS)
    assert other.status == 401
    assert server.verdicts()[-1].endswith('flow.local.wrong: account "ops" from 127.0.0.1'), "for the log alone:"
    alike = [re.sub(r'value="[^"]*"', "", each.text) for each in (answer, other)]
    assert alike[0] == alike[1] and "OktaSSOBreakGlass" not in alike[0]
    assert sum("flow.local.wrong" in line and ":warn]" in line for line in server.verdicts()) == 2
    assert server.browser().get("/sso/okta/break-glass/nosuch").reason == "flow.org.unknown"


def test_break_glass_asks_the_provider_of_any_account(httpd):
    """How long an answer takes would tell which accounts are listed: here, that a provider without its file fails for all."""
    server = glass(httpd)
    server.expect(r"flow\.local\.unavailable")
    (server.dir / "users").unlink()
    reasons = {submit(server.browser(), user, "x", path=GLASS, navigate=False).reason for user in ("ops", AMELIA, "nobody")}
    assert reasons == {"flow.local.unavailable"}


def test_scim_does_not_see_accounts_without_an_address(httpd):
    token = "a-token"
    server = glass(httpd, conf=CONF.replace("<OktaSSOOrg acme>", "<OktaSSOOrg acme>\n    OktaSSOSCIMToken sha256:"
                                            + hashlib.sha256(token.encode()).hexdigest()))
    scim = Scim(server, token=token)
    pushed = scim.make(userName="ops", emails=[])
    assert submit(server.browser(), "ops", USERS["ops"], path=GLASS).status == 303, "another one than who was pushed by that name"
    assert [each["id"] for each in scim.get("/Users").json()["Resources"]] == [pushed["id"]]
    with sqlite3.connect(server.state / "directory.db") as database:
        own = database.execute("SELECT id FROM users WHERE id <> ?", (pushed["id"],)).fetchone()[0]
    server.expect(r"scim\.resource\.unknown")
    assert scim.patch(f"/Users/{own}", {"op": "replace", "value": {"active": False}}).status == 404
    assert scim.call("DELETE", f"/Users/{own}").status == 404 and scim.make_group("G", [own])["members"] == []
    scim.patch(f"/Users/{pushed['id']}", {"op": "replace", "value": {"active": False}})
    assert submit(server.browser(), "ops", USERS["ops"], path=GLASS).status == 303


def test_a_break_glass_session_is_short_and_ends_with_its_account(httpd):
    server = glass(httpd)
    browser = server.browser()
    assert submit(browser, "ops", "local-2", path=GLASS).status == 303
    with sqlite3.connect(server.state / "directory.db") as database:
        created, expires = database.execute("SELECT created, expires FROM sessions").fetchone()
    assert expires - created == 30 * 60 * 1_000_000
    server.configure(CONF % "OktaSSORequireSSO on\n    OktaSSOBreakGlass root@acme.example")
    server.graceful()
    harness.wait_until(lambda: browser.get("/headers.json", navigate=False).status == 401, "the new configuration")
    assert browser.get("/headers.json", navigate=False).reason == "flow.session.local"


def test_no_break_glass_where_there_is_no_account(httpd):
    server = started(httpd)
    assert server.browser().get(GLASS).reason == "flow.path.unknown"


def test_a_provider_that_fails(httpd):
    server = started(httpd)
    (server.dir / "users").unlink()
    server.expect(r"flow\.local\.unavailable", r"authn_file:error", r"AH0161\d")
    answer = submit(server.browser(), AMELIA, "local-1")
    assert answer.status == 503
    assert server.browser().get("/", headers=basic(AMELIA, "local-1"), navigate=False).reason == "flow.local.unavailable"


def test_a_password_file_that_only_the_application_has(httpd):
    server = glass(httpd, conf=CONF.replace('<Location "/">', '<Location "/app">'))
    server.expect("OKS0059", "AH01619", r"flow\.local\.unavailable: what the provider needs \(AuthUserFile\) must hold for /sso/okta, too: "
                  'put it into <Location "/">$')
    assert submit(server.browser(), "ops", USERS["ops"], path=GLASS, navigate=False).reason == "flow.local.unavailable"


def test_an_alias_and_the_cache_of_httpd(httpd):
    conf = CONF.replace('    AuthUserFile "{dir}/users"\n', "").replace("Provider file", "Provider socache staff") % ""
    server = started(httpd, conf="AuthnCacheSOCache shmcb\n<AuthnProviderAlias file staff>\n    AuthUserFile \"{dir}/users\"\n"
                     "</AuthnProviderAlias>\nAuthnCacheEnable\n<Location />\nAuthnCacheProvideFor staff\n</Location>\n" + conf,
                     modules=("authn_socache", "socache_shmcb"))
    assert submit(server.browser(), AMELIA, "local-1").status == 303
    assert submit(server.browser(), AMELIA, "wrong").status == 401


# ---- Configuration ----

@pytest.mark.parametrize("lines,said", [
    ("OktaSSORequireSSO maybe", "OktaSSORequireSSO takes off, on or members"),
    ("OktaSSOBreakGlass a:b", "is no account name"),
    ("OktaSSOBreakGlass", "OktaSSOBreakGlass takes the names"),
    ("OktaSSOLocalProvider", "OktaSSOLocalProvider takes httpd's authentication providers"),
    ("OktaSSOLocalProvider file dbm file", 'OktaSSOLocalProvider names "file" twice'),
    ("OktaSSOLocalProvider nosuch", 'httpd has no authentication provider "nosuch"'),
    ("OktaSSOBreakGlass ops", "OktaSSOBreakGlass needs OktaSSOLocalProvider")])
def test_configtest_tells(httpd, lines, said):
    good, output = httpd(CONF.replace("    OktaSSOLocalProvider file\n", "") % lines, start=False, metadata=False).configtest()
    assert not good and said in output and "httpd.conf" in output


def test_the_three_merge_from_server_to_section(httpd):
    conf = "OktaSSORequireSSO on\nOktaSSOLocalProvider file\nOktaSSOBreakGlass ops\n" + CONF.replace("    OktaSSOLocalProvider file\n", "")
    server = started(httpd, "OktaSSORequireSSO off", conf=conf)
    assert server.browser().get(LOGIN).status == 200, "off in the section wins, and the provider is inherited"
    assert "Emergency" in server.browser().get(GLASS).text
