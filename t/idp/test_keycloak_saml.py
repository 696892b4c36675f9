"""SAML logins against Keycloak: it reads our metadata as it is, verifies our signed requests, and writes what we verify."""

import html
import re

import pytest
from conftest import headers

MAPPERS = [
    *({"name": name, "protocol": "saml", "protocolMapper": "saml-user-property-mapper",
       "config": {"attribute.name": name, "user.attribute": name, "attribute.nameformat": "Basic"}} for name in ("email", "firstName", "lastName")),
    {"name": "groups", "protocol": "saml", "protocolMapper": "saml-group-membership-mapper",
     "config": {"attribute.name": "groups", "single": "true", "full.path": "false", "attribute.nameformat": "Basic"}}]


def sign_in(keycloak, site, **attributes):
    """A client out of our metadata, changed by `attributes`, and one login: (browser, answer)"""
    metadata = site.browser().get("/sso/okta/metadata/acme").text
    client = keycloak.admin("post", "/acme/client-description-converter", data=metadata.encode()).json()
    client["attributes"].update(attributes)
    client["protocolMappers"] = MAPPERS
    keycloak.admin("post", "/acme/clients", client)
    browser = site.browser()
    page = keycloak.sign_in(site.start_login(browser, "/headers.json?a=1"))
    fields = {name.lower(): html.unescape(value) for name, value in re.findall(r'name="(SAMLResponse|RelayState)" value="([^"]*)"', page.text, re.I)}
    assert len(fields) == 2, (page.status_code, page.text[:2000])
    return browser, browser.post("/sso/okta/acs/acme", {"SAMLResponse": fields["samlresponse"], "RelayState": fields["relaystate"]})


@pytest.mark.parametrize("attributes", [
    {}, {"saml.server.signature": "true", "saml.assertion.signature": "false"}, {"saml.server.signature": "false", "saml.assertion.signature": "true"},
    {"saml.signature.algorithm": "RSA_SHA512"},
    {"saml.signature.algorithm": "RSA_SHA256_MGF1"}, {"saml.signature.algorithm": "RSA_SHA512_MGF1"}, {"saml.server.signature.keyinfo.ext": "true"},
], ids=["as our metadata says", "Response signed", "Assertion signed", "SHA-512", "PSS SHA-256", "PSS SHA-512", "key name in Extensions"])
def test_login(guarded, keycloak, attributes):
    site = guarded(keycloak.saml_metadata())
    browser, answer = sign_in(keycloak, site, **attributes)
    assert (answer.status, answer["Location"]) == (303, "/headers.json?a=1"), answer.reason
    seen = headers(browser)
    assert (seen["X-Remote-User"], seen["X-Remote-FirstName"], seen["X-Remote-LastName"]) == ("zoe@acme.example", "Zoë", "山田 Søn")
    assert sorted(seen["X-Remote-Groups"].split(",")) == ["Everyone", "Köln%2C Büro"]


def test_encrypted(guarded, keycloak):
    site = guarded(keycloak.saml_metadata())
    assert site.browser().get("/sso/okta/pem/acme").status == 200
    browser, answer = sign_in(keycloak, site, **{"saml.encrypt": "true", "saml.encryption.algorithm": "http://www.w3.org/2009/xmlenc11#aes256-gcm"})
    assert answer.status == 303, answer.reason
    assert headers(browser)["X-Remote-User"] == "zoe@acme.example"
