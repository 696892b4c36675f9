"""Who is who: subjects, addresses, and the sessions of those whom they name."""

import contextlib
import hashlib
import sqlite3
import unicodedata

import harness
import postgres
import pytest
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
