"""Okta's ordinary life: nobody is refused, nor signed out by a push that says nothing new of who they are."""

import pytest
import test_tokens
from test_identity import seen, sign_in
from test_takeover import ADMINS, VICTIM_ID, directory, say, scim, server  # noqa: F401

ANN, ANN_ID, SMITH = "ann@acme.example", "00uAnn00000000000001", "ann.smith@acme.example"
FORMS = pytest.mark.parametrize("form", ["email", "id", "opaque"])


def name_id(form, email=ANN, okta_id=ANN_ID):
    return {"email": email, "id": okta_id, "opaque": "persistent-1"}[form]


def switch(scim, user, email, on, how="patch"):
    if how == "patch":
        assert scim.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": on}}).status == 200
    else:
        assert say(scim, user, email, ANN_ID, active=on).status == 200


def titles(scim, user, browser, email=ANN, external_id=ANN_ID):
    for title in ("Pilot", "Captain"):
        assert say(scim, user, email, external_id, title=title).status == 200
        assert seen(browser) == (email, "member"), title
        assert scim.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"title": title + "!"}}).status == 200
        assert seen(browser) == (email, "member"), title


@FORMS
@pytest.mark.parametrize("first", ["login", "push"])
def test_a_life(server, scim, form, first):
    if first == "login":
        browser, _ = sign_in(server, name_id(form), ANN)
        [ann] = scim.find(f'userName eq "{ANN}"')
        assert say(scim, ann, ANN, ANN_ID).status == 200
    else:
        ann = scim.make(userName=ANN, externalId=ANN_ID)
        browser, _ = sign_in(server, name_id(form), ANN)
    assert seen(browser) == (ANN, "member")
    titles(scim, ann, browser)
    group = scim.make_group("Sales", [ann["id"]])
    scim.patch(f"/Groups/{group['id']}", {"op": "replace", "value": {"displayName": "Sales 2"}})
    assert seen(browser) == (ANN, "member")
    for how in ("patch", "put"):
        switch(scim, ann, ANN, False, how)
        assert seen(browser) == 303 and sign_in(server, name_id(form), ANN)[1].reason == "directory.user.inactive"
        switch(scim, ann, ANN, True, how)
        browser, _ = sign_in(server, name_id(form), ANN)
        titles(scim, ann, browser)
    assert say(scim, ann, SMITH, ANN_ID).status == 200 # marries
    assert seen(browser) == (303 if form == "email" else (SMITH, "member"))
    browser, _ = sign_in(server, name_id(form, SMITH), SMITH)
    titles(scim, ann, browser, SMITH)
    assert say(scim, ann, ANN, ANN_ID).status == 200 # and back
    browser, _ = sign_in(server, name_id(form), ANN)
    titles(scim, ann, browser)
    scim.call("DELETE", f"/Users/{ann['id']}")
    assert seen(browser) == 303 and sign_in(server, name_id(form), ANN)[1].reason == "directory.user.inactive"
    again = scim.make(userName=ANN, externalId=ANN_ID)
    if form == "opaque": # of which SCIM says nothing
        return
    browser, _ = sign_in(server, name_id(form), ANN)
    titles(scim, again, browser)


@pytest.mark.parametrize("form", ["email", "id", "opaque", "upn"])
def test_off_and_on(server, scim, form):
    name = "ann@corp.example" if form == "upn" else name_id(form)
    ann = scim.make(userName=ANN, externalId=ANN_ID)
    for how in ("patch", "put"):
        browser, answer = sign_in(server, name, ANN)
        assert answer.status == 303, (how, answer.reason)
        titles(scim, ann, browser)
        for on in (False, True):
            switch(scim, ann, ANN, on, how)
    browser, answer = sign_in(server, name, ANN)
    assert answer.status == 303, answer.reason
    titles(scim, ann, browser)


@FORMS
def test_a_rename_that_login_sees_first(server, scim, form):
    ann = scim.make(userName=ANN, externalId=ANN_ID)
    sign_in(server, name_id(form), ANN)
    browser, answer = sign_in(server, name_id(form, SMITH), SMITH)
    assert answer.status == 303 and seen(browser) == (SMITH, "member")
    assert say(scim, ann, SMITH, ANN_ID).status == 200
    if form == "email":
        assert seen(browser) == 303
        browser, answer = sign_in(server, name_id(form, SMITH), SMITH)
        assert answer.status == 303
    titles(scim, ann, browser, SMITH)
    assert [each["id"] for each in scim.get("/Users").json()["Resources"]] == [ann["id"]]


@pytest.mark.parametrize("address_first", ["login", "push"])
def test_another_address_under_the_same_login(server, scim, address_first):
    """userName and NameID are the login, which is no address."""
    ann = scim.make(userName="ann", externalId=ANN_ID, emails=[{"value": ANN, "primary": True}])
    browser, _ = sign_in(server, "ann", ANN)
    for address in (SMITH, ANN):
        if address_first == "login":
            browser, _ = sign_in(server, "ann", address)
        assert say(scim, ann, "ann", ANN_ID, email=address).status == 200
        assert seen(browser) == (address, "member")
        assert sign_in(server, "ann", address)[1].status == 303
    assert say(scim, ann, "ann", ANN_ID, email=ANN, title="Pilot").status == 200 and seen(browser) == (ANN, "member")


@pytest.mark.parametrize("how", ["put", "post"])
def test_made_again_in_okta(server, scim, how):
    """With another id, under the same name; by OpenID Connect. Okta deactivates, and later finds the user by its name."""
    ann = scim.make(userName=ANN, externalId=ANN_ID)
    assert sign_in(server, ANN_ID, ANN)[1].status == 303
    if how == "post":
        scim.call("DELETE", f"/Users/{ann['id']}")
        ann = scim.make(userName=ANN, externalId=VICTIM_ID)
    else:
        switch(scim, ann, ANN, False)
        assert sign_in(server, VICTIM_ID, ANN)[1].reason == "directory.user.inactive"
        assert say(scim, ann, ANN, VICTIM_ID).status == 200
    for _ in range(2):
        browser, answer = sign_in(server, VICTIM_ID, ANN)
        assert answer.status == 303, answer.reason
        titles(scim, ann, browser, external_id=VICTIM_ID)
    for on in (False, True):
        switch(scim, ann, ANN, on)
    assert sign_in(server, VICTIM_ID, ANN)[1].status == 303
    assert sign_in(server, ANN_ID, ANN)[1].reason == ("directory.user.inactive" if how == "post" else "directory.subject.changed")


@pytest.mark.parametrize("pushed", ["first", "between", "never"])
def test_saml_and_then_openid_connect(server, scim, pushed):
    if pushed == "first":
        ann = scim.make(userName=ANN, externalId=ANN_ID)
    sign_in(server, ANN, ANN)
    if pushed == "between":
        [ann] = scim.find(f'userName eq "{ANN}"')
        assert say(scim, ann, ANN, ANN_ID).status == 200
    if pushed == "never":
        assert sign_in(server, ANN_ID, ANN)[1].reason == "directory.subject.changed"
        test_tokens.run(server, "user", "relink-all", "acme", spec=server.spec)
    browser, answer = sign_in(server, ANN_ID, ANN)
    assert answer.status == 303, answer.reason
    if pushed != "never":
        titles(scim, ann, browser)
        assert say(scim, ann, SMITH, ANN_ID).status == 200 and seen(browser) == (SMITH, "member")
        assert sign_in(server, ANN, ANN)[1].status == 303, "somebody else, by now"


def test_two_swap_names(server, scim):
    """By way of a third one: no push is refused, and each has the own record at the end."""
    ann, bob = scim.make(userName=ANN, externalId=ANN_ID), scim.make(userName=SMITH, externalId=VICTIM_ID)
    scim.make_group(ADMINS, [ann["id"]])
    for name in (ANN, SMITH):
        assert sign_in(server, name, name, [])[1].status == 303
    assert say(scim, ann, "third@acme.example", ANN_ID).status == 200
    assert say(scim, bob, ANN, VICTIM_ID).status == 200
    assert say(scim, ann, SMITH, ANN_ID).status == 200
    for _ in range(2):
        assert seen(sign_in(server, SMITH, SMITH, [])[0]) == (SMITH, "admin")
        assert seen(sign_in(server, ANN, ANN, [])[0]) == (ANN, "member")
        assert say(scim, ann, SMITH, ANN_ID, title="Pilot").status == say(scim, bob, ANN, VICTIM_ID, title="Pilot").status == 200


@pytest.mark.parametrize("how", ["put", "patch"])
def test_a_name_given_to_who_comes_next(server, scim, how):
    """Ann leaves, another Ann gets her address, before or after Okta pushes her."""
    ann = scim.make(userName=ANN, externalId=ANN_ID)
    sign_in(server, ANN, ANN)
    assert say(scim, ann, SMITH, ANN_ID).status == 200
    sign_in(server, SMITH, SMITH)
    switch(scim, ann, SMITH, False, how)
    next_one, answer = sign_in(server, ANN, ANN)
    assert answer.status == 303, answer.reason
    [found] = scim.find(f'userName eq "{ANN}"')
    assert found["id"] != ann["id"] and say(scim, found, ANN, VICTIM_ID).status == 200
    titles(scim, found, next_one, external_id=VICTIM_ID)
    scim.call("DELETE", f"/Users/{ann['id']}")
    assert seen(next_one) == (ANN, "member") and sign_in(server, ANN, ANN)[1].status == 303
