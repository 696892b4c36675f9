"""Who is who: subjects, addresses, and the sessions of those whom they name."""

import contextlib
import hashlib
import sqlite3
import unicodedata

import harness
import postgres
import pytest
from conftest import SMALLEST
from harness import post_fields  # noqa: F401

ACME = """
<OktaSSOOrg acme>
    OktaSSORole admin Okta-Admins
</OktaSSOOrg>
"""
CONF = ACME + SMALLEST


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
