"""Who is switched off does not go on as a colleague: sessions and names that lead into other records that SCIM has pushed."""

import pytest
import test_local
import test_scim
import test_tokens
from test_identity import seen, sign_in
from test_takeover import ADMINS, MALLORY, MALLORY_ID, SCIM, TOKEN, VICTIM, VICTIM_ID, say

BOB, BOB_ID = "bob@acme.example", "00uBob00000000000001"
ANN, CORP, ANN_ID = "ann@acme.example", "ann@corp.example", "00uAnn00000000000001"


@pytest.fixture
def server(httpd):
    server = httpd(SCIM)
    server.expect(r"directory\.")
    return server


@pytest.fixture
def scim(server):
    return test_scim.Scim(server)


def off(scim, made):
    assert scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": False}}).json()["active"] is False


def on(scim, made):
    assert scim.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": True}}).json()["active"] is True


def denied_ann(server, scim):
    """SCIM knows her by another name than the identity provider."""
    sign_in(server, CORP, ANN, [])
    [ann] = scim.find(f'userName eq "{ANN}"')
    assert say(scim, ann, ANN, ANN_ID).status == 200
    return ann


@pytest.mark.parametrize("how", ["off", "delete"])
@pytest.mark.parametrize("bobs_id", [BOB_ID, None])
def test_a_session_in_a_colleagues_record_ends_with_the_switching_off(server, scim, how, bobs_id):
    ann = denied_ann(server, scim)
    bob = scim.make(userName=BOB, **({"externalId": bobs_id} if bobs_id else {}))
    scim.make_group(ADMINS, [bob["id"]])
    browser, answer = sign_in(server, CORP, BOB, [])
    assert answer.status == 303 and seen(browser) == (BOB, "admin"), "known: the first one by the address"
    if how == "off":
        off(scim, ann)
    else:
        assert scim.call("DELETE", f"/Users/{ann['id']}").status == 204
    assert sign_in(server, CORP, BOB, [])[1].reason == "directory.user.inactive", "so she is switched off by this name"
    assert seen(browser) == 303, "her session as Bob has ended"


@pytest.mark.parametrize("how", ["off", "delete"])
def test_who_is_switched_off_does_not_sign_in_as_a_colleague(server, scim, how):
    ann = denied_ann(server, scim)
    bob = scim.make(userName=BOB, externalId=BOB_ID)
    scim.make_group(ADMINS, [bob["id"]])
    assert sign_in(server, CORP, BOB, [])[1].status == 303
    if how == "off":
        off(scim, ann)
    else:
        assert scim.call("DELETE", f"/Users/{ann['id']}").status == 204
    browser, answer = sign_in(server, CORP, CORP, [])
    got = seen(browser) if answer.status == 303 else None
    assert (answer.reason, got) == ("directory.user.inactive", None), "nor by the address that is her NameID"


def test_a_later_denial_of_another_record_opens_no_closed_name(server, scim):
    """Two Alices, one after the other."""
    first = scim.make(userName="alice@acme.example", externalId=VICTIM_ID)
    sign_in(server, "alice@acme.example", "alice@acme.example", [])
    assert say(scim, first, "asmith@acme.example", VICTIM_ID).status == 200
    second = scim.make(userName="alice@acme.example", externalId=MALLORY_ID)
    sign_in(server, "alice@acme.example", "alice@acme.example", [])
    off(scim, first)
    assert say(scim, second, "ajones@acme.example", MALLORY_ID).status == 200
    assert sign_in(server, "alice@acme.example", "elsewhere@acme.example", [])[1].reason == "directory.user.inactive"


def test_a_denial_of_an_active_one_after_ann_is_off(server, scim):
    """Ann is off; a record that SCIM has pushed, and whose address was her NameID, gives that up."""
    ann = denied_ann(server, scim)
    bob = scim.make(userName="bob", externalId=BOB_ID, emails=[{"value": CORP, "primary": True}])
    assert sign_in(server, CORP, CORP, [])[1].status == 303
    off(scim, ann)
    assert say(scim, bob, "bob", BOB_ID, email=BOB).status == 200
    assert sign_in(server, CORP, "elsewhere@acme.example", [])[1].reason == "directory.user.inactive"


def test_expelled_leaves_no_names(httpd):
    """What Mallory called herself goes with her."""
    server = test_local.started(httpd, f"{TOKEN.strip()}\n    OktaSSORole admin {ADMINS}")
    server.expect(r"directory\.")
    scim = test_scim.Scim(server)
    scim.make(userName=test_local.AMELIA, name={"givenName": "Amelia", "familyName": "Earhart"})
    browser, answer = server.login(path="/sso/okta/login/acme?sso=1&return=/headers.json", name_id=MALLORY,
                                   attributes={"email": [test_local.AMELIA], "firstName": ["Chief"], "lastName": ["Executive"], "groups": [ADMINS]})
    assert answer.status == 303
    scim.make(userName=MALLORY, externalId=MALLORY_ID)
    got = dict(server.browser().get("/headers.json", headers=test_local.basic(test_local.AMELIA, "local-1"), navigate=False).json())
    assert got["X-Remote-User"] == test_local.AMELIA and got["X-Remote-Role"] == "member"
    assert (got["X-Remote-FirstName"], got["X-Remote-LastName"]) == ("Amelia", "Earhart")


def test_a_local_session_ends_when_scim_renames_the_record(httpd):
    server = test_local.started(httpd, f"{TOKEN.strip()}\n    OktaSSORole admin {ADMINS}")
    server.expect(r"directory\.")
    scim = test_scim.Scim(server)
    browser = server.browser()
    assert test_local.submit(browser, test_local.AMELIA, "local-1").status == 303
    before = dict(browser.get("/headers.json").json())
    assert before["X-Remote-User"] == test_local.AMELIA
    [found] = scim.find(f'userName eq "{test_local.AMELIA}"')
    assert say(scim, found, "boss@acme.example", VICTIM_ID).status == 200
    scim.make(userName=test_local.AMELIA, externalId=MALLORY_ID)
    scim.make_group(ADMINS, [found["id"]])
    answer = server.browser().get("/headers.json", headers=test_local.basic(test_local.AMELIA, "local-1"), navigate=False)
    basic = dict(answer.json()).get("X-Remote-User") if answer.status == 200 else answer.reason
    answer = browser.get("/headers.json")
    got = dict(answer.json()) if answer.status == 200 else {}
    assert (basic, got.get("X-Remote-User"), got.get("X-Remote-Role")) == ("directory.user.conflict", None, None)


def test_relink_all_does_not_open_an_expelled_record_to_the_expelled(server, scim):
    victim = scim.make(userName=VICTIM)
    scim.make_group(ADMINS, [victim["id"]])
    sign_in(server, MALLORY, VICTIM, [])
    scim.make(userName=MALLORY, externalId=MALLORY_ID)
    test_tokens.run(server, "user", "relink-all", "acme")
    assert sign_in(server, MALLORY, VICTIM, [])[1].reason == "directory.user.conflict"
    assert seen(sign_in(server, MALLORY, MALLORY, [])[0]) == (MALLORY, "member")


def test_who_was_deleted_does_not_come_back_by_a_colleagues_address(server, scim):
    gone = scim.make(userName=MALLORY, externalId=MALLORY_ID)
    sign_in(server, "n-1", MALLORY, [])
    bob = scim.make(userName=BOB, externalId=BOB_ID)
    scim.make_group(ADMINS, [bob["id"]])
    assert scim.call("DELETE", f"/Users/{gone['id']}").status == 204
    for email in (BOB, MALLORY, "n-1@acme.example"):
        assert sign_in(server, "n-1", email, [])[1].reason == "directory.user.inactive"
    for subject in (MALLORY, MALLORY_ID):
        for email in (BOB, MALLORY, "n-1@acme.example"):
            assert sign_in(server, subject, email, [])[1].reason == "directory.user.inactive"
