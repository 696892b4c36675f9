"""Nobody gets into another person's record, and nobody stays who was switched off: where logins come before SCIM, or between its pushes."""

import hashlib
import itertools

import openid
import postgres
import pytest
import test_local
import test_scim
import test_tokens
from harness import wait_until
from test_identity import SCIM, seen, sign_in

TOKEN = f"    OktaSSOSCIMToken sha256:{hashlib.sha256(test_scim.TOKEN.encode()).hexdigest()}\n"
MALLORY, VICTIM = "mallory@acme.example", "victim@acme.example"
MALLORY_ID, VICTIM_ID = "00uMallory0000000001", "00uVictim00000000001"
ADMINS = "Okta-Admins"


@pytest.fixture(scope="module", params=["sqlite3", pytest.param("pgsql", marks=[postgres.needed, postgres.once])])
def directory(request):
    """What OktaSSODirectory says of an empty one, each time; None: the default."""
    if request.param == "sqlite3":
        yield lambda: None
        return
    with postgres.started() as database:
        numbers = itertools.count()

        def fresh():
            name = f"takeover{next(numbers)}"
            database.query(f"CREATE DATABASE {name}")
            return database.spec.replace("dbname=postgres", f"dbname={name}")
        yield fresh


@pytest.fixture
def server(httpd, directory):
    spec = directory()
    server = httpd((f'OktaSSODirectory "{spec}"\n' if spec else "") + SCIM)
    server.spec = spec
    server.expect(r"directory\.")
    return server


@pytest.fixture
def scim(server):
    return test_scim.Scim(server)


def say(scim, user, name, external_id, email=None, **more):
    """A PUT of the whole user, as Okta sends it."""
    body = {"schemas": [test_scim.USER], "userName": name, "externalId": external_id, "emails": [{"value": email or name, "primary": True}], "active": True}
    return scim.call("PUT", f"/Users/{user['id']}", {**body, **more})


def names(scim):
    return sorted(each["userName"] for each in scim.get("/Users").json()["Resources"])


# ---- Who came before SCIM, with another's address ----

def test_a_record_that_scim_says_is_the_victims(server, scim):
    mallory, _ = sign_in(server, MALLORY, VICTIM)
    assert seen(mallory) == (VICTIM, "member")
    [found] = scim.find(f'userName eq "{VICTIM}"')
    assert say(scim, found, VICTIM, VICTIM_ID).status == 200
    scim.make_group(ADMINS, [found["id"]])
    assert seen(mallory) == 303, "the session was not the victim's"
    assert seen(sign_in(server, MALLORY, MALLORY)[0]) == (MALLORY, "member")
    assert sign_in(server, "second@acme.example", VICTIM)[1].reason == "directory.subject.changed", "nor by the address, in which nobody has come yet"
    assert seen(sign_in(server, VICTIM, VICTIM)[0]) == (VICTIM, "admin")


def test_nor_by_openid_connect(httpd, provider):
    server = openid.configured(httpd("", start=False), provider, conf=openid.CONF.replace("</OktaSSOOrg>", TOKEN + "</OktaSSOOrg>"))
    server.expect(r"directory\.", r"flow\.idp\.unavailable")
    server.start()
    wait_until(lambda: server.browser().get("/headers.json").status == 303, "the provider's documents")
    scim = test_scim.Scim(server, "globex")
    mallory, answer = openid.log_in(server, provider, sub=MALLORY_ID, email="victim@globex.example", groups=[])
    assert answer.status == 303
    [found] = scim.find('userName eq "victim@globex.example"')
    assert say(scim, found, "victim@globex.example", VICTIM_ID).status == 200
    assert mallory.get("/headers.json").status == 303
    assert openid.log_in(server, provider, sub=MALLORY_ID, email="victim@globex.example", groups=[])[1].reason == "directory.subject.changed"


@pytest.mark.parametrize("name_id", [VICTIM, VICTIM.upper(), VICTIM_ID])
def test_who_is_the_same_stays_signed_in(server, scim, name_id):
    browser, _ = sign_in(server, name_id, VICTIM)
    [found] = scim.find(f'userName eq "{VICTIM}"')
    assert say(scim, found, VICTIM, VICTIM_ID).status == 200
    assert seen(browser) == (VICTIM, "member")


@pytest.mark.parametrize("name_id", [VICTIM_ID, "victim", "upn@corp.example"])
@pytest.mark.parametrize("silent", [{}, {"title": "Pilot"}])
def test_what_scim_does_not_say_denies_nobody(server, scim, name_id, silent):
    """A PUT without externalId, or of a user whose NameID SCIM has no place for."""
    browser, _ = sign_in(server, name_id, VICTIM)
    [found] = scim.find(f'userName eq "{VICTIM}"')
    if name_id != "upn@corp.example":
        assert say(scim, found, VICTIM, None, **silent).status == 200
        assert seen(browser) == (VICTIM, "member")
        assert sign_in(server, "other", VICTIM)[1].reason == "directory.subject.changed"
    assert say(scim, found, VICTIM, None, active=False).status == 200 and seen(browser) == 303
    for email in (VICTIM, "elsewhere@acme.example"):
        assert sign_in(server, name_id, email)[1].reason == "directory.user.inactive"


def test_a_name_of_another_place_is_relinked(server, scim):
    """NameIDs that look like addresses, and are none of those that SCIM pushes."""
    scim.make(userName="bob@acme.example")
    assert sign_in(server, "bob@corp.example", "bob@acme.example")[1].status == 303, "the first one has the record"
    browser, _ = sign_in(server, "ann@corp.example", "ann@acme.example")
    [found] = scim.find('userName eq "ann@acme.example"')
    assert say(scim, found, "ann@acme.example", VICTIM_ID).status == 200 and seen(browser) == 303, "SCIM may mean somebody else"
    assert sign_in(server, "ann@corp.example", "ann@acme.example")[1].reason == "directory.subject.changed"
    assert "1 of acme" in test_tokens.run(server, "user", "relink", "acme", "ann@acme.example", spec=server.spec).stderr
    assert seen(sign_in(server, "ann@corp.example", "ann@acme.example")[0]) == ("ann@acme.example", "member")


@pytest.mark.parametrize("said_before", [None, MALLORY_ID])
def test_another_okta_id_ends_the_sessions_of_a_pushed_user_too(server, scim, said_before):
    made = scim.make(userName=VICTIM, **({"externalId": said_before} if said_before else {}))
    mallory, _ = sign_in(server, MALLORY_ID, VICTIM, [])
    assert seen(mallory) == (VICTIM, "member")
    assert scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"externalId": VICTIM_ID}}).status == 200
    scim.make_group(ADMINS, [made["id"]])
    assert seen(mallory) == 303 and sign_in(server, MALLORY_ID, VICTIM)[1].reason == "directory.subject.changed"
    assert seen(sign_in(server, VICTIM_ID, VICTIM, [])[0]) == (VICTIM, "admin")


# ---- A name that somebody gave up ----

@pytest.mark.parametrize("pushed", [False, True])
def test_a_name_given_up_leads_to_who_has_it_now(server, scim, pushed):
    victim = scim.make(userName="alice@acme.example", externalId=VICTIM_ID)
    scim.make_group(ADMINS, [victim["id"]])
    if pushed:
        other = scim.make(userName=MALLORY, externalId=MALLORY_ID)
    browser, _ = sign_in(server, "alice@acme.example", "alice@acme.example", [])
    assert say(scim, victim, "alice.smith@acme.example", VICTIM_ID).status == 200
    mallory, answer = sign_in(server, "alice@acme.example", "alice@acme.example", [])
    assert answer.status == 303 and seen(mallory) == ("alice@acme.example", "member")
    assert seen(browser) == 303, "whichever of the two it was"
    assert seen(sign_in(server, "alice.smith@acme.example", "alice.smith@acme.example", [])[0]) == ("alice.smith@acme.example", "admin")
    if pushed: # and her own push finds whom she has become meanwhile
        assert say(scim, other, "alice@acme.example", MALLORY_ID, active=False).json()["active"] is False
        assert seen(mallory) == 303


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("old, new", [("alice", "asmith"), ("alice@acme.example", "asmith")])
def test_a_name_of_any_form_is_given_up(server, scim, old, new, pushed):
    first = scim.make(userName=old, externalId=VICTIM_ID, emails=[{"value": "alice@acme.example", "primary": True}])
    scim.make_group(ADMINS, [first["id"]])
    sign_in(server, old, "alice@acme.example", [])
    assert say(scim, first, new, VICTIM_ID, email="asmith@acme.example").status == 200
    if pushed:
        scim.make(userName=old, externalId=MALLORY_ID, emails=[{"value": "alice@acme.example", "primary": True}])
    assert seen(sign_in(server, old, "alice@acme.example", [])[0]) == ("alice@acme.example", "member")
    assert seen(sign_in(server, new, "asmith@acme.example", [])[0]) == ("asmith@acme.example", "admin")


def test_nor_does_being_off_and_on_again_keep_it(server, scim):
    sign_in(server, MALLORY, VICTIM, [])
    [found] = scim.find(f'userName eq "{VICTIM}"')
    for active in (False, True):
        assert say(scim, found, VICTIM, VICTIM_ID, active=active).status == 200
    scim.make_group(ADMINS, [found["id"]])
    assert sign_in(server, MALLORY, VICTIM, [])[1].reason == "directory.subject.changed"
    assert seen(sign_in(server, MALLORY, MALLORY, [])[0]) == (MALLORY, "member")


def test_the_address_that_a_login_brought_is_nothing_of_scims(server, scim):
    made = scim.make(userName="alice@acme.example", externalId=VICTIM_ID)
    scim.make_group(ADMINS, [made["id"]])
    assert seen(sign_in(server, "alice@acme.example", "shared@acme.example", [])[0]) == ("shared@acme.example", "admin")
    assert say(scim, made, "alice.smith@acme.example", VICTIM_ID, email="alice@acme.example").status == 200
    assert seen(sign_in(server, "alice@acme.example", "alice@acme.example", [])[0]) == ("alice@acme.example", "admin"), "SCIM says so still"
    assert seen(sign_in(server, "shared@acme.example", "shared@acme.example", [])[0]) == ("shared@acme.example", "member")


def test_an_address_is_given_up_whatever_a_login_brought_since(server, scim):
    made = scim.make(userName="alice", externalId=VICTIM_ID, emails=[{"value": "alice@acme.example", "primary": True}])
    scim.make_group(ADMINS, [made["id"]])
    for email in ("alice@acme.example", "shared@acme.example"):
        assert seen(sign_in(server, "alice@acme.example", email, [])[0]) == (email, "admin")
    assert say(scim, made, "alice", VICTIM_ID, email="asmith@acme.example").status == 200
    assert seen(sign_in(server, "alice@acme.example", "alice@acme.example", [])[0]) == ("alice@acme.example", "member"), "another Alice"


def test_nor_is_what_a_login_brought_given_up(server, scim):
    """By a push that says of addresses what all pushes have said."""
    made = scim.make(userName="bob@acme.example", externalId=VICTIM_ID)
    scim.make_group(ADMINS, [made["id"]])
    for email in ("bob@acme.example", "bob@corp.example"):
        browser, _ = sign_in(server, "bob@corp.example", email, [])
    assert say(scim, made, "bob@acme.example", VICTIM_ID, title="Pilot").status == 200
    assert seen(browser) == ("bob@corp.example", "admin")
    assert seen(sign_in(server, "bob@corp.example", "bob@corp.example", [])[0]) == ("bob@corp.example", "admin")


def test_who_was_deleted_does_not_come_back_as_a_colleague(server, scim):
    scim.make(userName=VICTIM, externalId=VICTIM_ID)
    mallory = scim.make(userName=MALLORY, externalId=MALLORY_ID)
    assert sign_in(server, MALLORY, VICTIM)[1].reason == "directory.user.conflict"
    scim.call("DELETE", f"/Users/{mallory['id']}")
    assert sign_in(server, MALLORY, MALLORY)[1].reason == "directory.user.inactive"
    assert sign_in(server, MALLORY, VICTIM)[1].reason == "directory.user.inactive"


# ---- Deactivation ends the sessions of the person, not of one record ----

@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("subject", ["m1@acme.example", MALLORY_ID], ids=["userName", "externalId"])
def test_a_login_before_the_push_with_another_address(server, scim, subject, delete):
    browser, _ = sign_in(server, subject, "m2@acme.example", [ADMINS])
    assert seen(browser) == ("m2@acme.example", "admin")
    made = scim.make(userName="m1@acme.example", externalId=MALLORY_ID)
    assert names(scim) == ["m1@acme.example"] and seen(browser)[1] == "admin", "one person, still signed in"
    if delete:
        assert scim.call("DELETE", f"/Users/{made['id']}").status == 204
    else:
        assert scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": False}}).json()["active"] is False
    assert seen(browser) == 303
    for email in ("m1@acme.example", "m2@acme.example"):
        assert sign_in(server, subject, email)[1].reason == "directory.user.inactive"


@pytest.mark.parametrize("subject", [MALLORY, MALLORY_ID])
@pytest.mark.parametrize("active", [True, False])
def test_a_push_ends_the_sessions_of_its_name_in_the_record_of_another(server, scim, subject, active):
    """Where that one was pushed before, and has the same address."""
    victim = scim.make(userName=VICTIM, title="Pilot")
    mallory, _ = sign_in(server, subject, VICTIM, [ADMINS])
    assert seen(mallory) == (VICTIM, "admin")
    scim.make(userName=MALLORY, externalId=MALLORY_ID, active=active)
    assert seen(mallory) == 303, "SCIM says whose name it is"
    for email in (VICTIM, MALLORY):
        refused = "directory.user.conflict" if email == VICTIM else None if active else "directory.user.inactive"
        assert sign_in(server, subject, email, [])[1].reason == refused
    scim.make_group("Sales", [victim["id"]])
    assert seen(sign_in(server, VICTIM, VICTIM, [])[0]) == (VICTIM, "member")


def test_who_took_an_address_along_is_pushed(server, scim):
    """And is no longer in the record into which that person came by another address."""
    victim = scim.make(userName=VICTIM)
    scim.make_group(ADMINS, [victim["id"]])
    for email in (VICTIM, MALLORY):
        mallory, answer = sign_in(server, MALLORY, email, [])
        assert answer.status == 303
    made = scim.call("POST", "/Users", {"schemas": [test_scim.USER], "userName": MALLORY, "externalId": MALLORY_ID,
                                        "emails": [{"value": MALLORY, "primary": True}], "active": True})
    assert made.status == 201, made.text
    assert seen(mallory) == 303
    assert seen(sign_in(server, MALLORY, MALLORY, [])[0]) == (MALLORY, "member")


@pytest.mark.parametrize("how", ["put", "patch"])
def test_a_deactivation_that_names_another_ends_nothing_of_theirs(server, scim, how):
    scim.make(userName=VICTIM, externalId=VICTIM_ID)
    mallory = scim.make(userName=MALLORY, externalId=MALLORY_ID)
    browser, _ = sign_in(server, VICTIM, VICTIM, [ADMINS])
    if how == "put":
        assert say(scim, mallory, VICTIM, MALLORY_ID, active=False).json()["active"] is False
    else:
        scim.patch(f"/Users/{mallory['id']}", {"op": "replace", "value": {"active": False, "userName": VICTIM}})
    assert scim.get(f"/Users/{mallory['id']}").json()["active"] is False
    assert seen(browser) == (VICTIM, "admin")


@pytest.mark.parametrize("how", ["put", "patch", "delete"])
def test_a_denied_name_is_switched_off_too(server, scim, how):
    sign_in(server, "ann@corp.example", "ann@acme.example", [])
    [found] = scim.find('userName eq "ann@acme.example"')
    assert say(scim, found, "ann@acme.example", VICTIM_ID).status == 200
    browser, _ = sign_in(server, "ann@corp.example", "other@acme.example", [])
    assert seen(browser) == ("other@acme.example", "member")
    if how == "put":
        say(scim, found, "ann@acme.example", VICTIM_ID, active=False)
    elif how == "patch":
        scim.patch(f"/Users/{found['id']}", {"op": "replace", "value": {"active": False}})
    else:
        scim.call("DELETE", f"/Users/{found['id']}")
    assert seen(browser) == 303
    assert sign_in(server, "ann@corp.example", "elsewhere@acme.example")[1].reason == "directory.user.inactive"


def test_who_was_denied_one_record_frees_it_by_no_other(server, scim):
    """Whoever is denied a second record by the same name is a stranger to the first one still, and goes with both."""
    sign_in(server, MALLORY, VICTIM, [])
    [victim] = scim.find(f'userName eq "{VICTIM}"')
    assert say(scim, victim, VICTIM, VICTIM_ID).status == 200
    scim.make_group(ADMINS, [victim["id"]])
    sign_in(server, MALLORY, "bob@acme.example", [])
    [bob] = scim.find('userName eq "bob@acme.example"')
    assert say(scim, bob, "bob@acme.example", "00uBob00000000000001").status == 200
    for email in (VICTIM, "bob@acme.example"):
        assert sign_in(server, MALLORY, email, [])[1].reason == "directory.subject.changed"
    browser, _ = sign_in(server, MALLORY, "elsewhere@acme.example", [])
    assert seen(browser) == ("elsewhere@acme.example", "member")
    assert say(scim, victim, VICTIM, VICTIM_ID, active=False).status == 200 and seen(browser) == 303
    assert sign_in(server, MALLORY, "elsewhere@acme.example")[1].reason == "directory.user.inactive"


def test_a_name_that_two_gave_up_leaves_both_closed(server, scim):
    first = scim.make(userName="alice@acme.example", externalId=VICTIM_ID)
    scim.make_group(ADMINS, [first["id"]])
    sign_in(server, "alice@acme.example", "alice@acme.example", [])
    assert say(scim, first, "asmith@acme.example", VICTIM_ID).status == 200
    sign_in(server, "alice@acme.example", "alice@acme.example", [])
    [second] = scim.find('userName eq "alice@acme.example"')
    assert say(scim, second, "ajones@acme.example", MALLORY_ID).status == 200
    for email in ("asmith@acme.example", "ajones@acme.example"):
        assert sign_in(server, "somebody", email, [])[1].reason == "directory.subject.changed"


def test_relinking_all_lets_nobody_in_who_is_switched_off(server, scim):
    made = scim.make(userName=MALLORY, externalId=MALLORY_ID)
    sign_in(server, "n-1", MALLORY)
    scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": False}})
    test_tokens.run(server, "user", "relink-all", "acme", code=1, spec=server.spec)
    assert sign_in(server, "n-1", "elsewhere@acme.example")[1].reason == "directory.user.inactive"
    scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": True}})
    assert sign_in(server, "n-2", MALLORY)[1].reason == "directory.subject.changed"
    test_tokens.run(server, "user", "relink", "acme", MALLORY, spec=server.spec)
    assert sign_in(server, "n-2", MALLORY)[1].status == 303


def test_a_login_by_a_new_name_before_the_push_of_it(server, scim):
    made = scim.make(userName="m1@acme.example", externalId=MALLORY_ID)
    browser, _ = sign_in(server, "m2@acme.example", "m2@acme.example", [ADMINS])
    assert seen(browser) == ("m2@acme.example", "admin") and len(names(scim)) == 2
    assert say(scim, made, "m2@acme.example", MALLORY_ID).status == 200
    assert names(scim) == ["m2@acme.example"] and seen(browser) == 303
    assert say(scim, made, "m2@acme.example", MALLORY_ID, active=False).json()["active"] is False
    assert sign_in(server, "m2@acme.example", "m2@acme.example")[1].reason == "directory.user.inactive"


def test_groups_come_along(server, scim):
    made = scim.make(userName="m1@acme.example", externalId=MALLORY_ID)
    sign_in(server, "m2@acme.example", "m2@acme.example", [])
    [other] = scim.find('userName eq "m2@acme.example"')
    both, one = scim.make_group(ADMINS, [made["id"], other["id"]]), scim.make_group("Sales", [other["id"]])
    assert say(scim, made, "m2@acme.example", MALLORY_ID).status == 200
    assert scim.members(both["id"]) == scim.members(one["id"]) == [made["id"]]
    assert seen(sign_in(server, "m2@acme.example", "m2@acme.example", [])[0]) == ("m2@acme.example", "admin")


@pytest.mark.parametrize("pushed", [False, True])
def test_groups_meant_for_another_do_not(server, scim, pushed):
    if pushed:
        mallory = scim.make(userName="m0@acme.example", externalId=MALLORY_ID)
    sign_in(server, MALLORY, VICTIM, [])
    [found] = scim.find(f'userName eq "{VICTIM}"')
    scim.make_group(ADMINS, [found["id"]])
    if pushed:
        assert say(scim, mallory, MALLORY, MALLORY_ID).status == 200
    else:
        scim.make(userName=MALLORY, externalId=MALLORY_ID)
    assert seen(sign_in(server, MALLORY, MALLORY, [])[0]) == (MALLORY, "member")


def test_two_records_of_logins_become_the_pushed_one(server, scim):
    first, _ = sign_in(server, "m1@acme.example", "one@acme.example")
    second, _ = sign_in(server, MALLORY_ID, "two@acme.example")
    scim.make(userName="m1@acme.example", externalId=MALLORY_ID)
    assert names(scim) == ["m1@acme.example"]
    assert [seen(first), seen(second)] == [303, ("m1@acme.example", "member")]


def test_a_user_whom_scim_sees_is_not_made_again(server, scim):
    browser, _ = sign_in(server, VICTIM, VICTIM)
    answer = scim.call("POST", "/Users", {"schemas": [test_scim.USER], "userName": VICTIM})
    assert (answer.status, answer.json()["scimType"]) == (409, "uniqueness") and seen(browser) == (VICTIM, "member")


@pytest.mark.parametrize("field, value", [("title", "x" * 9000), ("locale", 7), ("emails", [{"value": f"a{i}@acme.example"} for i in range(1001)]),
                                          ("addresses", [{"formatted": "y" * 8000, "streetAddress": str(i)} for i in range(40)])])
@pytest.mark.parametrize("inactive", [False, "False"])
def test_nobodys_profile_keeps_a_deactivation_from_being_done(server, scim, field, value, inactive):
    """By PUT, with a profile that the person may edit."""
    server.expect(r"scim\.value\.invalid")
    made = scim.make(userName=MALLORY, externalId=MALLORY_ID, title="Pilot")
    browser, _ = sign_in(server, MALLORY, MALLORY)
    assert say(scim, made, MALLORY, MALLORY_ID, **{field: value}).status == 400 and seen(browser) == (MALLORY, "member")
    answer = say(scim, made, MALLORY, MALLORY_ID, **{"active": inactive, field: value})
    assert (answer.status, answer.json()["active"], answer.json()["title"]) == (200, False, "Pilot")
    assert seen(browser) == 303
    assert scim.call("POST", "/Users", {"schemas": [test_scim.USER], "userName": "new@acme.example", "active": False, field: value}).status == 400


# ---- Groups and accounts that only look like it ----

@pytest.mark.parametrize("group", ["Okta-Adm\u200bins", "Okta-Admins\u00ad", "Okta-\u007fAdmins"])
def test_a_group_that_looks_like_another_gives_no_role(server, scim, group):
    browser, _ = sign_in(server, MALLORY, MALLORY, [group])
    assert seen(browser) == (MALLORY, "member")
    made = scim.make(userName=VICTIM)
    pushed, _ = sign_in(server, VICTIM, VICTIM, [])
    scim.make_group(ADMINS, [])
    scim.make_group(group, [made["id"]])
    assert seen(pushed) == (VICTIM, "member")


def test_a_group_of_the_emergency_accounts_name_is_not_theirs(httpd):
    server = test_local.started(httpd, "OktaSSOBreakGlass ops\n    OktaSSORole admin break-glass")
    browser, answer = server.login(path="/sso/okta/login/acme?sso=1&return=/headers.json", name_id=MALLORY,
                                   attributes={"email": [MALLORY], "groups": ["break-glass", "Sales"]})
    got = dict(browser.get("/headers.json").json())
    assert (answer.status, got["X-Remote-Groups"], got["X-Remote-Role"]) == (303, "Sales", "member")


def test_a_local_account_has_nothing_of_who_was_in_its_record(httpd):
    """Nor the groups, nor a field of the administrator's, which here is the user."""
    extra = f"{TOKEN.strip()}\n    OktaSSOAttribute login login\n    OktaSSOUserField login\n    OktaSSORole admin {ADMINS}"
    server = test_local.started(httpd, extra)
    scim = test_scim.Scim(server)
    browser, answer = server.login(path="/sso/okta/login/acme?sso=1&return=/headers.json", name_id=MALLORY,
                                   attributes={"email": [test_local.AMELIA], "groups": [ADMINS], "login": ["mallory"]})
    assert answer.status == 303 and seen(browser) == ("mallory", "admin")
    [found] = scim.find(f'userName eq "{test_local.AMELIA}"')
    assert say(scim, found, test_local.AMELIA, VICTIM_ID).status == 200 and seen(browser) == 303
    got = dict(server.browser().get("/headers.json", headers=test_local.basic(test_local.AMELIA, "local-1"), navigate=False).json())
    assert (got["X-Remote-User"], got["X-Remote-Role"], got.get("X-Remote-Groups")) == (test_local.AMELIA, "member", None)


def test_http_basic_goes_on_as_who_has_the_address_now(httpd):
    server = test_local.started(httpd, TOKEN.strip())
    server.expect(r"directory\.user\.inactive")
    scim = test_scim.Scim(server)
    first = scim.make(userName=test_local.AMELIA, externalId=VICTIM_ID, title="boss")

    def asked():
        answer = server.browser().get("/headers.json", headers=test_local.basic(test_local.AMELIA, "local-1"), navigate=False)
        return dict(answer.json())["X-Remote-User"] if answer.status == 200 else answer.reason
    assert asked() == test_local.AMELIA
    assert say(scim, first, "boss@acme.example", VICTIM_ID).status == 200
    second = scim.make(userName=test_local.AMELIA, externalId=MALLORY_ID)
    assert asked() == test_local.AMELIA
    assert say(scim, first, "boss@acme.example", VICTIM_ID, active=False).status == 200 and asked() == test_local.AMELIA
    assert say(scim, second, test_local.AMELIA, MALLORY_ID, active=False).status == 200 and asked() == "directory.user.inactive"


def test_an_account_whose_record_scim_renamed_has_one_session(httpd):
    server = test_local.started(httpd, TOKEN.strip())
    scim = test_scim.Scim(server)

    def asked():
        answer = server.browser().get("/headers.json", headers=test_local.basic(test_local.AMELIA, "local-1"), navigate=False)
        assert answer.status == 200
    asked()
    [found] = scim.find(f'userName eq "{test_local.AMELIA}"')
    assert say(scim, found, "boss@acme.example", VICTIM_ID).status == 200
    for _ in range(5):
        asked()
    assert sum("login.basic" in line for line in server.verdicts()) == 2, "one before, and one after"
