"""Logins against pysaml2: another implementation reads our metadata and requests, and writes what we verify."""

import base64
import functools
import html
import re
import urllib.parse

import pytest
import saml2.entity
import saml2.sigver
from conftest import headers
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, config, saml, server
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_EMAILADDRESS, NameID
from saml2.sigver import verify_redirect_signature
from saml2.xmldsig import DIGEST_SHA256, DIGEST_SHA512, SIG_RSA_SHA1, SIG_RSA_SHA256, SIG_RSA_SHA512

ENTITY = "https://idp.example/pysaml2"
SSO = "http://127.0.0.1:9/sso"
IDENTITY = {"email": "zoe@acme.example", "firstName": "Zoë", "lastName": "O'Brien & Sons <x>", "groups": ["Everyone", "Köln, Büro"]}


def configuration(key, sp_metadata=None, want_signed=False):
    return config.IdPConfig().load({
        "entityid": ENTITY, "xmlsec_binary": "/usr/bin/xmlsec1", "key_file": str(key[0]), "cert_file": str(key[1]),
        "allow_unknown_attributes": True,
        "service": {"idp": {"endpoints": {"single_sign_on_service": [(SSO, BINDING_HTTP_REDIRECT)]}, "want_authn_requests_signed": want_signed,
                            "name_id_format": [NAMEID_FORMAT_EMAILADDRESS], "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None,
                            "name_form": saml.NAME_FORMAT_UNSPECIFIED}}}},
        **({"metadata": {"inline": [sp_metadata]}} if sp_metadata else {})})


def metadata(key, **options):
    return str(entity_descriptor(configuration(key, **options)))


def respond(site, key, location, **options):
    """(SAMLResponse, RelayState), as this identity provider answers the request at `location`."""
    fields = {name: values[0] for name, values in urllib.parse.parse_qs(urllib.parse.urlsplit(location).query).items()}
    want_signed = options.pop("want_signed", False)
    sp_metadata = site.browser().get("/sso/okta/metadata/acme").text
    idp = server.Server(config=configuration(key, sp_metadata))
    if want_signed:
        [certificate] = idp.metadata.certs(f"http://127.0.0.1:{site.port}/sso/okta/metadata/acme", "any", "signing")
        assert verify_redirect_signature(fields, idp.sec.sec_backend, cert=certificate[1] if isinstance(certificate, tuple) else certificate)
    request = idp.parse_authn_request(fields["SAMLRequest"], BINDING_HTTP_REDIRECT)
    arguments = idp.response_args(request.message, [BINDING_HTTP_POST])
    assert arguments["destination"].endswith("/sso/okta/acs/acme")
    options = {"sign_response": True, "sign_assertion": True, "sign_alg": SIG_RSA_SHA256, "digest_alg": DIGEST_SHA256, **options}
    response = idp.create_authn_response(
        IDENTITY, userid="zoe", name_id=NameID(format=NAMEID_FORMAT_EMAILADDRESS, text="zoe@acme.example"),
        authn={"class_ref": saml.AUTHN_PASSWORD_PROTECTED, "authn_auth": ENTITY}, **arguments, **options)
    return {"SAMLResponse": base64.b64encode(str(response).encode()).decode(), "RelayState": fields["RelayState"]}


def sign_in(site, key, **options):
    browser = site.browser()
    fields = respond(site, key, site.start_login(browser, "/headers.json?a=1"), **options)
    return browser, browser.post("/sso/okta/acs/acme", fields)


@pytest.mark.parametrize("options", [
    {}, {"sign_assertion": False}, {"sign_response": False}, {"sign_alg": SIG_RSA_SHA512, "digest_alg": DIGEST_SHA512},
], ids=["both signed", "Response signed", "Assertion signed", "SHA-512"])
def test_login(guarded, idp_key, options):
    site = guarded(metadata(idp_key))
    browser, answer = sign_in(site, idp_key, **options)
    assert (answer.status, answer["Location"]) == (303, "/headers.json?a=1"), answer.reason
    seen = headers(browser)
    assert (seen["X-Remote-Email"], seen["X-Remote-FirstName"], seen["X-Remote-LastName"]) == (IDENTITY["email"], "Zoë", "O'Brien & Sons x")  # < and > go (FEATURES.md 40)
    assert seen["X-Remote-Groups"] == "Everyone,Köln%2C Büro"


def test_it_verifies_our_signed_requests(guarded, idp_key):
    site = guarded(metadata(idp_key, want_signed=True))
    assert sign_in(site, idp_key, want_signed=True)[1].status == 303


def post_only(xml):
    """Metadata that offers HTTP-POST alone."""
    return xml.replace(BINDING_HTTP_REDIRECT, BINDING_HTTP_POST)


@pytest.mark.parametrize("signed", [False, True])
def test_it_reads_our_request_by_http_post(guarded, idp_key, signed):
    site = guarded(post_only(metadata(idp_key)), "OktaSSOSignRequests On" if signed else "")
    answer = site.browser().get("/")
    assert answer.status == 200 and f'action="{SSO}"' in answer.text and "script-src 'sha256-" in answer["Content-Security-Policy"]
    fields = {name: html.unescape(value) for name, value in re.findall(r'name="(SAMLRequest|RelayState)" value="([^"]*)"', answer.text)}
    idp = server.Server(config=configuration(idp_key, site.browser().get("/sso/okta/metadata/acme").text, signed))
    request = idp.parse_authn_request(fields["SAMLRequest"], BINDING_HTTP_POST)  # verifies the signature by xmlsec1's command line
    assert request.message.assertion_consumer_service_url.endswith("/sso/okta/acs/acme") and bool(request.message.signature) == signed
    if signed:
        xml = base64.b64decode(fields["SAMLRequest"]).replace(b"AssertionConsumerServiceURL=\"http", b"AssertionConsumerServiceURL=\"xttp")
        with pytest.raises(Exception):
            idp.parse_authn_request(base64.b64encode(xml).decode(), BINDING_HTTP_POST)


@pytest.mark.parametrize("options,reason", [
    ({"sign_assertion": False, "sign_response": False}, "saml.response.unsigned"),
    ({"sign_alg": SIG_RSA_SHA1}, "xml.signature.algorithm")], ids=["unsigned", "SHA-1"])
def test_refused(guarded, idp_key, options, reason):
    site = guarded(metadata(idp_key))
    site.expect(f"OKS0001: refused .*{re.escape(reason)}")
    answer = sign_in(site, idp_key, **options)[1]
    assert (answer.status, answer.reason) == (403, reason)


def test_a_response_is_taken_once_and_by_its_browser_alone(guarded, idp_key):
    site = guarded(metadata(idp_key))
    site.expect(r"directory\.claim\.used", r"flow\.state\.foreign")
    browser = site.browser()
    fields = respond(site, idp_key, site.start_login(browser, "/"))
    assert site.browser().post("/sso/okta/acs/acme", fields)["Location"].startswith(f"http://127.0.0.1:{site.port}/sso/okta/login/acme?again=")
    assert browser.post("/sso/okta/acs/acme", fields)["Location"] == "/"
    browser.cookies = {name: value for name, value in browser.cookies.items() if "session" not in name}
    assert "?again=" in browser.post("/sso/okta/acs/acme", fields)["Location"]


# ---- Encryption: xmlsec1's command line seals, for the certificate in our metadata ----

SIGNS = "OktaSSOSignRequests On"
GCM = "http://www.w3.org/2009/xmlenc11#aes256-gcm"


@pytest.fixture
def modern(monkeypatch):
    """pysaml2 knows no setting for the cipher, and takes 3DES by itself."""
    monkeypatch.setattr(saml2.entity, "pre_encryption_part", functools.partial(saml2.sigver.pre_encryption_part, msg_enc=GCM))
    monkeypatch.setattr(saml2.sigver.SecurityContext.encrypt_assertion, "__defaults__", ("aes-256", None))


@pytest.mark.parametrize("options", [{}, {"sign_assertion": False}], ids=["both signed", "Response signed"])
def test_encrypted(guarded, idp_key, modern, options):
    site = guarded(metadata(idp_key), SIGNS)
    browser, answer = sign_in(site, idp_key, encrypt_assertion=True, **options)
    assert (answer.status, answer["Location"]) == (303, "/headers.json?a=1"), answer.reason
    assert headers(browser)["X-Remote-LastName"] == "O'Brien & Sons x"


def test_its_triple_des_is_refused(guarded, idp_key):
    site = guarded(metadata(idp_key), SIGNS)
    site.expect(r"xml\.encryption\.algorithm: cipher .*tripledes-cbc")
    assert sign_in(site, idp_key, encrypt_assertion=True)[1].reason == "xml.encryption.algorithm"
