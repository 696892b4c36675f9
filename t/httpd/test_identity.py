"""Who is who: subjects, addresses, and the sessions of those whom they name."""

import contextlib
import hashlib
import sqlite3
import unicodedata

import harness
import openid
import postgres
import pytest
import test_local
import test_scim
import test_tokens
from conftest import SMALLEST
from harness import post_fields  # noqa: F401

ACME = """
<OktaSSOOrg acme>
    OktaSSORole admin Okta-Admins
</OktaSSOOrg>
"""
CONF = ACME + SMALLEST
SCIM = ACME.replace("</", f"    OktaSSOSCIMToken sha256:{hashlib.sha256(test_scim.TOKEN.encode()).hexdigest()}\n</") + SMALLEST


def seen(browser):
    """(user, role) as the backend reads them; or the status of the refusal."""
    answer = browser.get("/headers.json")
    got = dict(answer.json()) if answer.status == 200 else {}
    return (got["X-Remote-User"], got["X-Remote-Role"]) if got else answer.status


def sign_in(site, name_id, email, groups=("Everyone",)):
    browser, answer = site.login(path="/headers.json", name_id=name_id, attributes={"email": [email], "groups": list(groups)})
    return browser, answer


# ---- Subjects ----

def test_subjects_that_differ_in_case_are_two_people(site):
    victim, _ = sign_in(site, "00uAbC", "victim@acme.example", ["Okta-Admins"])
    mallory, answer = sign_in(site, "00uaBc", "mallory@acme.example")
    assert answer.status == 303, answer.reason
    assert (seen(victim), seen(mallory)) == (("victim@acme.example", "admin"), ("mallory@acme.example", "member"))
    sign_in(site, "00uAbC", "victim@acme.example", ["Okta-Admins"])
    assert seen(mallory) == ("mallory@acme.example", "member")


def test_addresses_that_look_alike_are_two_people(site):
    mike, _ = sign_in(site, "n1", "mike@acme.example", ["Okta-Admins"])
    kelvin, answer = sign_in(site, "n2", "mi\u212ae@acme.example")
    assert answer.status == 303, answer.reason
    sign_in(site, "n1", "mike@acme.example", ["Okta-Admins"])
    mine = "mi\u212ae@acme.example".encode().decode("latin-1")
    assert seen(mike) == ("mike@acme.example", "admin") and seen(kelvin)[1] == "member" and seen(kelvin)[0] in (mine, "mi\u212ae@acme.example")


# ---- One address, two subjects ----

def test_an_address_leads_to_no_record_of_another_subject(site):
    site.expect(r"directory\.subject\.changed")
    ordinary, _ = sign_in(site, "tim@acme.example", "tim.tam@acme.example")
    admin, answer = sign_in(site, "tim-admin@acme.example", "Tim.Tam@acme.example", ["Okta-Admins"])
    assert (answer.status, answer.reason) == (403, "directory.subject.changed") and not admin.session_cookie()
    assert seen(ordinary) == ("tim.tam@acme.example", "member"), "nor does the live session change"
    _, answer = sign_in(site, "tim.tam@acme.example", "other@acme.example", ["Okta-Admins"])
    assert answer.reason == "directory.subject.changed", "nor does a NameID that reads like the address of a record that SCIM never wrote"
    assert seen(ordinary) == ("tim.tam@acme.example", "member")
    assert sign_in(site, "TIM@acme.example", "tim.tam@acme.example")[1].status == 303, "a NameID that is the same address"


def test_oktassoctl_lets_a_new_name_id_have_the_record(site):
    site.expect(r"directory\.subject\.changed")
    before, _ = sign_in(site, "00uOld", "relink@acme.example")
    assert sign_in(site, "00uNew", "relink@acme.example")[1].reason == "directory.subject.changed"
    assert "directory.user.unknown" in test_tokens.run(site, "user", "relink", "acme", "nobody@acme.example", code=1).stderr
    assert "1 of acme" in test_tokens.run(site, "user", "relink", "acme", "Relink@acme.example").stderr
    assert seen(before) == ("relink@acme.example", "member")
    after, answer = sign_in(site, "00uNew", "relink@acme.example")
    assert answer.status == 303 and seen(after) == ("relink@acme.example", "member")
    assert seen(before) == 303, "a session of the other subject goes"
    test_tokens.run(site, "user", "relink-all", "acme")
    assert sign_in(site, "00uThird", "relink@acme.example")[1].status == 303
    test_tokens.run(site, "user", "relink", "acme", code=2)


@pytest.mark.parametrize("change", [{"userName": "maiden@acme.example"}, {"externalId": "maiden@acme.example"}], ids=["userName", "externalId"])
def test_scim_says_whose_a_new_name_id_is(httpd, change):
    server = httpd(SCIM)
    server.expect(r"directory\.subject\.changed")
    scim = test_scim.Scim(server)
    made = scim.make(userName="name@acme.example", emails=[{"value": "one@acme.example"}])
    before, answer = sign_in(server, "name@acme.example", "one@acme.example")
    assert answer.status == 303 and seen(before) == ("one@acme.example", "member")
    assert sign_in(server, "maiden@acme.example", "one@acme.example")[1].reason == "directory.subject.changed"
    operation = {"op": "replace", "value": change}
    assert scim.patch(f"/Users/{made['id']}", operation).status == 200
    after, answer = sign_in(server, "maiden@acme.example", "one@acme.example")
    assert answer.status == 303 and seen(after) == ("one@acme.example", "member") and seen(before) == 303


def test_an_address_is_free_when_who_had_it_has_another(httpd):
    server = httpd(SCIM)
    server.expect(r"directory\.subject\.changed")
    first, _ = sign_in(server, "00uSam", "sam@acme.example")
    assert sign_in(server, "00uNext", "sam@acme.example")[1].reason == "directory.subject.changed"
    assert sign_in(server, "00uSam", "samantha@acme.example")[1].status == 303 and seen(first)[0] == "samantha@acme.example"
    second, answer = sign_in(server, "00uNext", "sam@acme.example")
    assert answer.status == 303 and seen(second)[0] == "sam@acme.example" and seen(first)[0] == "samantha@acme.example"
    names = {each["userName"] for each in test_scim.Scim(server).get("/Users").json()["Resources"]}
    assert names == {"sam@acme.example", "samantha@acme.example"}
    assert "1 of acme" in test_tokens.run(server, "user", "relink", "acme", "sam@acme.example").stderr
    assert sign_in(server, "00uThird", "sam@acme.example")[1].status == 303 and seen(first)[0] == "samantha@acme.example"


VICTIM, MALLORY = "00uVictim00000000001", "00uMallory0000000001"


def test_who_scim_says_somebody_is_by_okta_s_id_no_other_id_becomes(httpd):
    server = httpd(SCIM)
    server.expect(r"directory\.subject\.changed")
    scim = test_scim.Scim(server)
    made = scim.make(userName="victim@acme.example", externalId=VICTIM)
    scim.make_group("Okta-Admins", [made["id"]])
    mallory, answer = sign_in(server, MALLORY, "victim@acme.example")
    assert (answer.status, answer.reason) == (403, "directory.subject.changed") and not mallory.session_cookie()
    assert "SCIM says externalId" in server.verdicts()[-1] and VICTIM in server.verdicts()[-1]
    for subject in (VICTIM, "victim@acme.example", "employee-1"):
        test_tokens.run(server, "user", "relink-all", "acme")
        assert sign_in(server, MALLORY, "victim@acme.example")[1].reason == "directory.subject.changed", "nor when each subject is forgotten"
        browser, answer = sign_in(server, subject, "victim@acme.example")
        assert answer.status == 303 and seen(browser) == ("victim@acme.example", "admin"), "NameIDs of other forms go by the address"
    assert scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"externalId": MALLORY}}).status == 200
    assert sign_in(server, MALLORY, "victim@acme.example")[1].status == 303, "Okta has made the user again"


def test_nor_by_openid_connect(httpd, provider):
    token = f"    OktaSSOSCIMToken sha256:{hashlib.sha256(test_scim.TOKEN.encode()).hexdigest()}\n</OktaSSOOrg>"
    server = openid.configured(httpd("", start=False), provider, conf=openid.CONF.replace("</OktaSSOOrg>", token))
    server.start()
    harness.wait_until(lambda: server.browser().get("/headers.json").status == 303, "the provider")
    scim = test_scim.Scim(server, "globex")
    scim.make(userName="victim@globex.example", externalId=VICTIM)
    openid.refused(server, openid.log_in(server, provider, sub=MALLORY, email="victim@globex.example")[1], "directory.subject.changed")
    assert openid.log_in(server, provider, sub=VICTIM, email="other@globex.example")[1].status == 303
    scim.make(userName="entra@globex.example", externalId="mail.nickname")
    assert openid.log_in(server, provider, sub="AAAAAEntraPairwise", email="entra@globex.example")[1].status == 303


# ---- An address of another organization ----

STAR = '''
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain acme.example *.acme.example
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOAttribute login login
    OktaSSOLocalProvider file
    OktaSSOBreakGlass ceo@acme.example
    OktaSSOSCIMToken sha256:%s
    %s
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg *
    AuthUserFile "{dir}/users"
    Require valid-user
</Location>
<Location "/globex">
    OktaSSOOrg globex
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
'''


def star(httpd, extra=""):
    server = httpd(STAR % (hashlib.sha256(test_scim.TOKEN.encode()).hexdigest(), extra), start=False)
    (server.dir / "users").write_text("ceo@acme.example:{SHA}Tnr+vPuuAAsix8heVWD4mioCgLQ=\nann:{SHA}Tnr+vPuuAAsix8heVWD4mioCgLQ=\n")
    (server.dir / "users").chmod(0o644)
    server.expect(r"flow\.idp\.unavailable", "OKS0030", r"flow\.email\.foreign")
    server.start()
    server.wait_for_metadata("acme")
    server.okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/globex"))])
    return server


def enter_globex(server, **attributes):
    browser = server.browser()
    location = browser.get("/sso/okta/login/globex?return=/headers.json&sso=1")["Location"]
    minted = server.okta.answer(location, user="amelia.earhart@acme.example", attributes={name: [value] for name, value in attributes.items()})
    return browser, browser.post("/sso/okta/acs/globex", post_fields(minted))


@pytest.mark.parametrize("email", ["ceo@acme.example", "ceo@ACME.example", "ceo@eu.acme.example"])
def test_no_organization_signs_in_an_address_of_another(httpd, email):
    server = star(httpd)
    browser, answer = enter_globex(server, email=email)
    assert (answer.status, answer.reason) == (403, "flow.email.foreign") and not browser.session_cookie("globex")
    assert "the domain is that of acme" in server.verdicts()[-1]
    assert enter_globex(server, email="ceo@acme.example.globex.example")[1].status == 303


def test_nor_by_a_local_account_nor_by_scim(httpd):
    server = star(httpd)
    for path in ("login", "break-glass"):
        browser = server.browser()
        answer = test_local.submit(browser, "ceo@acme.example", "Admin", f"/sso/okta/{path}/globex")
        assert (answer.status, answer.reason) == (403, "flow.email.foreign") and not browser.session_cookie("globex")
    answer = server.browser().get("/globex/x", headers=test_local.basic("ceo@acme.example", "Admin"), navigate=False)
    assert (answer.status, answer.reason) == (403, "flow.email.foreign")
    assert server.browser().get("/globex/headers.json", headers=test_local.basic("ann", "Admin"), navigate=False).status in (200, 404)
    server.expect(r"scim\.value\.invalid")
    answer = test_scim.Scim(server, "globex").call("POST", "/Users", {"schemas": [test_scim.USER], "userName": "ceo@acme.example"})
    assert (answer.status, test_scim.code_of(answer)) == (400, "scim.value.invalid")


def test_nor_by_the_field_that_is_the_user(httpd):
    server = star(httpd, "OktaSSOUserField login")
    assert enter_globex(server, email="ceo@globex.example", login="ceo@acme.example")[1].reason == "flow.email.foreign"
    browser, answer = enter_globex(server, email="ceo@globex.example", login="ceo")
    assert answer.status == 303 and dict(browser.get("/headers.json").json())["X-Remote-User"] == "ceo"


def test_nor_what_only_reads_like_its_address(httpd):
    server = star(httpd, "OktaSSOEmailDomain globex.example \u00e1cme.example\n    OktaSSOUserField login")
    server.expect(r"flow\.user\.malformed")
    foreign = ["ceo@acme.example.", "ceo@acme.example..", "ceo@ACME\uff0eexample", "ceo\uff20acme.example", "ceo@acm\u00e9.example", "\u3000ceo@acme.example",
               "ceo@acme.example\u00a0", "ceo@acme.example,x@globex.example", "x@globex.example;ceo@acme.example", "<ceo@acme.example>", "ceo@acme.example x@y.z"]
    for login in foreign:
        browser, answer = enter_globex(server, email="ceo@globex.example", login=login)
        assert (answer.status, answer.reason) == (403, "flow.email.foreign") and not browser.session_cookie("globex"), login
    for login in ("ceo\u00a0", "\u2003ceo", "ceo\u3000x", "ceo@globex.example\u00a0"):
        browser, answer = enter_globex(server, email="ceo@globex.example", login=login)
        assert (answer.status, answer.reason) == (403, "flow.user.malformed") and not browser.session_cookie("globex"), login
    for login in ("ceo", "ceo of globex", "ceo@\u00e1cme.example", "ceo@globex.example", "ceo@globex.example,x@elsewhere.example"):
        assert enter_globex(server, email="ceo@globex.example", login=login)[1].status == 303, login
    assert enter_globex(server, email="ceo@\u00e1cme.example", login="c")[1].status == 303, "a domain of its own, though it is like another"
    assert test_scim.Scim(server, "globex").call("POST", "/Users", {
        "schemas": [test_scim.USER], "userName": "ceo", "emails": [{"value": "ceo@acm\u00e9.example"}]}).status == 400
    server.expect(r"scim\.value\.invalid")


def test_a_live_session_ends_with_its_address(httpd):
    """A record that was written before acme said that the domain is its own."""
    server = star(httpd)
    browser, answer = enter_globex(server, email="ceo@later.example")
    assert answer.status == 303 and browser.get("/headers.json").status == 200
    server.configure(STAR.replace("*.acme.example", "later.example") % ("0" * 64, ""))
    server.graceful()
    harness.wait_until(lambda: browser.get("/headers.json").status != 200, "the new configuration")
    assert browser.get("/headers.json").reason == "flow.email.foreign"


# ---- The session that a second login replaces ----

STRONG = "urn:okta:loa:2fa:any"
STEP_UP = f'<Location "/up">\n    OktaSSOAuthnContext {STRONG}\n    OktaSSOMaxAuthnAge 5m\n</Location>\n'


def ticket(server, cookies):
    """A browser with the cookies of another time."""
    browser = server.browser()
    browser.cookies = dict(cookies)
    return browser


@pytest.mark.parametrize("ages", [[0], [3600, 0]], ids=["at once", "asked again"])
@pytest.mark.parametrize("lax", [False, True], ids=["with the old cookie", "without, as the cookie is SameSite=Lax"])
def test_a_second_login_ends_the_session_that_it_replaces(httpd, lax, ages):
    server = httpd(SMALLEST + STEP_UP)
    server.expect(r"flow\.authn\.too_old")
    browser, _ = server.login(path="/headers.json")
    old = dict(browser.cookies)
    location = browser.get("/up/headers.json")["Location"]
    posting = ticket(server, {name: value for name, value in old.items() if not lax or "session" not in name})
    for age in ages:
        assert ticket(server, old).get("/headers.json").status == 200
        minted = server.okta.answer(location, user="amelia.earhart@acme.example", authn_age=age, authn_context=STRONG)
        location = posting.post("/sso/okta/acs/acme", post_fields(minted))["Location"]
    assert location == "/up/headers.json" and posting.get("/headers.json").status == 200
    assert ticket(server, old).get("/headers.json").status == 303, "the ticket of before, wherever it was copied to"


def test_so_does_one_by_openid_connect_and_another_browser_keeps_its_own(globex, provider):
    server = globex()
    (first, _), (second, _) = openid.log_in(server, provider), openid.log_in(server, provider)
    old = dict(first.cookies)
    location = first.get("/sso/okta/login/globex?prompt=login&return=/headers.json")["Location"]
    assert openid.call_back(server, first, provider.approve(location)).status == 303
    assert ticket(server, old).get("/headers.json").status == 303
    assert [browser.get("/headers.json").status for browser in (first, second)] == [200, 200]


def test_so_does_one_by_a_local_account(httpd):
    server = test_local.started(httpd)
    browser = server.browser()
    assert test_local.submit(browser, "ops", "local-2").status == 303
    old = dict(browser.cookies)
    assert test_local.submit(browser, "ops", "local-2", page=server.browser_with(ticket(server, {
        name: value for name, value in old.items() if "session" not in name})).get(test_local.LOGIN)).status == 303
    assert browser.session_cookie() and ticket(server, old).get("/headers.json", navigate=False).status == 401


# ---- What cannot be seen ----

@pytest.mark.parametrize("email", ["x\u0085y@acme.example", "ceo\u200b@acme.example", "ceo\u202e@acme.example", "ceo@acme\u00ad.example"])
def test_an_address_holds_nothing_that_cannot_be_seen(site, email):
    site.expect(r"flow\.email\.malformed")
    browser, answer = sign_in(site, "n" + email.encode().hex(), email)
    assert (answer.status, answer.reason) == (403, "flow.email.malformed") and not browser.session_cookie()


# ---- A database of schema version 3 ----

def key(scope, text):
    """As version 3 made it: of the text without case, by Unicode's rules."""
    folded = unicodedata.normalize("NFC", text.casefold())
    return hashlib.sha256(f"{scope}\0{folded}".encode()).hexdigest()


@pytest.mark.parametrize("database", ["sqlite3", pytest.param("pgsql", marks=[postgres.needed, postgres.once])])
def test_a_database_of_version_3_is_migrated(httpd, database):
    people = [("00uAbC", "Amelia@acme.example"), ("00uXyZ", "mi\u212ae@acme.example")]
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(postgres.started()) if database == "pgsql" else None
        server = httpd((f'OktaSSODirectory "{running.spec}"\n' if running else "") + CONF)
        stack.callback(server.stop)

        def ask(sql):
            if running:
                return running.query(sql)
            with contextlib.closing(sqlite3.connect(server.state / "directory.db")) as connection, connection:
                return "\n".join("|".join(map(str, row)) for row in connection.execute(sql))

        live = [sign_in(server, *person)[0] for person in people]
        server.stop()
        for subject, email in people:
            ask(f"UPDATE users SET subject_key = '{key('subject', subject)}', email_key = '{key('email', email)}',"
                f" user_name_key = '{key('email', email)}' WHERE subject = '{subject}'")
        ask("UPDATE meta SET value = '3'")
        server.start()
        assert [seen(browser)[1] for browser in live] == ["member"] * 2, "sessions go on"
        assert ask("SELECT value FROM meta WHERE name = 'schema_version'") == "4"
        for subject, email in [*people, ("00uabc", "other@acme.example"), ("00uMike", "mike@acme.example")]:
            assert sign_in(server, subject, email)[1].status == 303
        assert set(ask("SELECT subject FROM users").split("\n")) == {"00uAbC", "00uXyZ", "00uabc", "00uMike"}
        assert ask("SELECT COUNT(*) FROM users") == "4"
