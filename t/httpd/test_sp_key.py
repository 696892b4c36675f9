"""Signed AuthnRequests, our own key, and URLs as other systems have them."""

import base64
import os
import re
import subprocess
import urllib.parse
import urllib.request

import harness
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from conftest import GUARDED
from cryptography.hazmat.primitives.asymmetric import padding
from harness import post_fields

SECTION = "<OktaSSOOrg acme>\n{inside}</OktaSSOOrg>\n"
GUARD = '<Location "/">\nAuthType OktaSSO\nOktaSSOOrg acme\nRequire valid-user\n</Location>\nProxyPass "/" "http://127.0.0.1:{backend}/"\n'
METADATA = 'OktaSSOIdPMetadata "{dir}/idp.xml"\n'
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


def serve(httpd, okta, inside, change=lambda xml: xml, start=True):
    server = httpd(start=False)
    server.configure(SECTION.replace("{inside}", METADATA + inside) + GUARD)
    (server.dir / "idp.xml").write_text(change(urllib.request.urlopen(okta.metadata_url()).read().decode()))
    return server.start() if start else server


def certificates(pem):
    return [x509.load_pem_x509_certificate(block.encode()) for block in
            re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)]


def verify(location, certificate):
    """Over the exact octets, as SAML Bindings 3.4.4.1 says; by OpenSSL's other user, python3-cryptography."""
    query = location.split("?", 1)[1]
    signed, signature = query.rsplit("&Signature=", 1)
    names = [part.split("=")[0] for part in signed.split("&")]
    assert names == ["SAMLRequest", "RelayState", "SigAlg"]
    assert urllib.parse.parse_qs(query)["SigAlg"] == [RSA_SHA256]
    certificate.public_key().verify(base64.b64decode(urllib.parse.unquote(signature)), signed.encode(), padding.PKCS1v15(), hashes.SHA256())


def make_key(directory, name="sp", *options):
    subprocess.run(["openssl", "req", "-x509", *(options or ["-newkey", "rsa:2048", "-nodes"]), "-subj", f"/CN={name}", "-days", "30",
                    "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.crt"], check=True, capture_output=True)


def pem(server):
    answer = server.browser().get("/sso/okta/pem/acme")
    assert (answer.status, answer["Content-Type"]) == (200, "application/x-pem-file")
    return answer.text


def test_unsigned_by_default(httpd, okta):
    server = serve(httpd, okta, "")
    assert "Signature=" not in server.start_login(server.browser())
    text = server.browser().get("/sso/okta/metadata/acme").text
    assert 'AuthnRequestsSigned="false"' in text and "KeyDescriptor" not in text


def test_requests_signed_by_a_key_made_here(httpd, okta):
    server = serve(httpd, okta, "OktaSSOSignRequests On\n")
    location = server.start_login(server.browser())
    [certificate] = certificates(pem(server))
    verify(location, certificate)
    with pytest.raises(InvalidSignature):
        verify(location.replace("RelayState=", "RelayState=x"), certificate)
    assert server.login()[1].status == 303
    # in the metadata, too; and the same after a restart, in every child
    text = server.browser().get("/sso/okta/metadata/acme").text
    assert 'AuthnRequestsSigned="true"' in text and pem(server).replace("\n", "")[27:-25] in text
    before = pem(server)
    server.graceful()
    assert pem(server) == before
    assert b"PRIVATE KEY" not in (server.state / "directory.db").read_bytes() + (server.state / "directory.db-wal").read_bytes()


def test_requests_signed_because_the_identity_provider_wants_it(httpd, okta):
    server = serve(httpd, okta, "", lambda xml: re.sub(r'WantAuthnRequestsSigned="\w+"', 'WantAuthnRequestsSigned="true"', xml))
    verify(server.start_login(server.browser()), certificates(pem(server))[0])


def test_a_configured_key_and_the_next_certificate(httpd, okta):
    server = serve(httpd, okta, 'OktaSSOSignRequests On\nOktaSSOSPKey "{dir}/sp.key"\nOktaSSOSPCertificate "{dir}/sp.crt" "{dir}/next.crt"\n', start=False)
    make_key(server.dir)
    make_key(server.dir, "next")
    server.start()
    first, second = certificates(pem(server))
    assert [c.subject.rfc4514_string() for c in (first, second)] == ["CN=sp", "CN=next"]
    verify(server.start_login(server.browser()), first)
    assert server.browser().get("/sso/okta/metadata/acme").text.count('<md:KeyDescriptor use="signing">') == 2


# ---- Encrypted assertions ----

TWO = 'OktaSSOSPKey "{dir}/sp.key" "{dir}/next.key"\nOktaSSOSPCertificate "{dir}/sp.crt" "{dir}/next.crt"\n'


def encrypted_login(server, certificate, **fields):
    return server.login(encrypt={"certificate": certificate}, **fields)


def test_an_encrypted_assertion_for_the_key_made_here(httpd, okta):
    server = serve(httpd, okta, "")
    server.expect(r"saml\.assertion\.encrypted", r"xml\.encryption\.failed")
    with_another = harness.keys.Signer.generate().certificate_pem().decode()
    assert encrypted_login(server, with_another)[1].reason == "saml.assertion.encrypted", "there is no key yet"
    certificate = pem(server)
    assert encrypted_login(server, with_another)[1].reason == "xml.encryption.failed"
    browser, answer = encrypted_login(server, certificate)
    assert answer.status == 303 and "amelia.earhart" in browser.get("/headers.json").text
    assert server.browser().get("/sso/okta/metadata/acme").text.count('use="encryption"') == 1
    log = server.log.read_text()
    assert "amelia.earhart" not in "".join(line for line in log.splitlines() if "user=" not in line)


def test_either_key_of_a_rollover_decrypts(httpd, okta):
    server = serve(httpd, okta, TWO, start=False)
    for name in ("sp", "next"):
        make_key(server.dir, name)
    server.start()
    text = server.browser().get("/sso/okta/metadata/acme").text
    assert (text.count('use="signing"'), text.count('use="encryption"')) == (2, 2) and "xmlenc11#aes256-gcm" in text
    for name in ("sp", "next"):
        assert encrypted_login(server, (server.dir / f"{name}.crt").read_text())[1].status == 303


@pytest.mark.parametrize("sign,reason", [("both", None), ("response", None), ("assertion", "xml.encryption.algorithm")])
def test_cbc_only_under_the_signature_of_the_response(httpd, okta, sign, reason):
    server = serve(httpd, okta, "")
    server.expect(r"xml\.encryption\.algorithm")
    answer = server.login(encrypt={"certificate": pem(server), "data": "aes256-cbc"}, sign=sign)[1]
    assert answer.status == 403 and answer.reason == reason if reason else answer.status == 303


BOTH = 'OktaSSOSPKey "{dir}/sp.key"\nOktaSSOSPCertificate "{dir}/sp.crt"\n'
WRONG = {
    "OktaSSOSPKey alone": ('OktaSSOSPKey "{dir}/sp.key"\n', "belong together"),
    "OktaSSOSPCertificate alone": ('OktaSSOSPCertificate "{dir}/sp.crt"\n', "belong together"),
    "more keys than certificates": (BOTH.replace('sp.key"', 'sp.key" "{dir}/other.key"'), "has no certificate in OktaSSOSPCertificate"),
    "the second of another key": (TWO.replace("next.key", "other.key").replace("next.crt", "sp.crt"), "one of another key"),
    "of another key": (BOTH.replace("sp.crt", "other.crt"), "one of another key"),
    "locked": (BOTH.replace("sp.", "locked."), "without a passphrase"),
    "an elliptic curve": (BOTH.replace("sp.", "ec."), "not an RSA key"),
    "no key": (BOTH.replace("sp.key", "sp.crt"), "no private key"),
    "nowhere": (BOTH.replace("sp.key", "nowhere.key"), "nowhere.key cannot be read"),
    "OktaSSOSignRequests": ("OktaSSOSignRequests maybe\n", "must be On or Off"),
    "OktaSSOACSURL": ("OktaSSOACSURL http://app.example.com/acs\n", "must be an https URL"),
    "OktaSSOACSURL no URL": ("OktaSSOACSURL /acs\n", 'OktaSSOACSURL "/acs"'),
}


@pytest.mark.parametrize("case", WRONG)
def test_configtest_tells_what_is_wrong(httpd, okta, case):
    server = serve(httpd, okta, WRONG[case][0], start=False)
    make_key(server.dir)
    make_key(server.dir, "other")
    make_key(server.dir, "locked", "-newkey", "rsa:2048", "-passout", "pass:secret")
    make_key(server.dir, "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    server.expect("OKS0011")
    ok, said = server.configtest()
    assert not ok and WRONG[case][1] in said and f"{server.file}" in said, said
    assert "crypto.key.malformed" in said or case not in ("of another key", "locked", "an elliptic curve", "no key")


def test_the_connection_form_of_urls(httpd, okta):
    server = serve(httpd, okta, 'OktaSSOACSURL "http://127.0.0.1:{port}/sso/okta/acs?connection=acme"\n')
    acs = f"http://127.0.0.1:{server.port}/sso/okta/acs?connection=acme"
    audience = f"http://127.0.0.1:{server.port}/sso/okta/metadata/acme"
    okta.control(apps=[{**vars(harness.config.default_app(acs)), "audience": audience}])
    assert server.login(acs="/sso/okta/acs?connection=acme")[1].status == 303
    assert f'Location="{acs}"' in server.browser().get("/sso/okta/metadata?connection=acme").text
    # Recipient and Destination are compared with the query
    okta.control(apps=[{**vars(harness.config.default_app(acs.split("?")[0])), "audience": audience}])
    server.expect(r"saml\.destination\.mismatch")
    answer = server.browser().post("/sso/okta/acs?connection=acme", post_fields(okta.mint(user="amelia.earhart@acme.example")))
    assert answer.reason == "saml.destination.mismatch"


@pytest.mark.parametrize("path,status,reason", [
    ("/sso/okta/metadata?connection=nobody", 404, "flow.org.unknown"), ("/sso/okta/metadata", 404, "flow.path.unknown"),
    ("/sso/okta/metadata?connection=", 404, "flow.path.unknown"), ("/sso/okta/pem?cert=nobody", 404, "flow.org.unknown"),
    ("/sso/okta/metadata?connection=acme&connection=b", 400, "base.form.repeated"), ("/sso/okta/pem?connection=acme", 404, "flow.path.unknown")])
def test_the_connection_form_refused(shared_signing, path, status, reason):
    answer = shared_signing.browser().get(path)
    assert (answer.status, answer.reason) == (status, reason)


def test_pem_by_parameter(shared_signing):
    assert shared_signing.browser().get("/sso/okta/pem?cert=acme").text == pem(shared_signing)
    assert shared_signing.browser().get("/sso/okta/login?connection=acme").status == 303


@pytest.fixture
def shared_signing(httpd, okta):
    return serve(httpd, okta, "OktaSSOSignRequests On\n")


# ---- session.keys ----

def roll(server, keep):
    """A new key first; of the old ones the first `keep`."""
    file = server.state / "session.keys"
    file.write_text("\n".join([os.urandom(32).hex(), *file.read_text().split()[:keep]]) + "\n")
    server.stop()
    server.start()
    server.wait_for_metadata()


def test_keys_that_were_made_here_follow_a_rollover_of_session_keys(httpd):
    server = httpd(GUARDED.replace("    Require", "    OktaSSOAssertionHeader X-Remote-Assertion\n    Require") + 'ProxyPass "/" "http://127.0.0.1:{backend}/"\n')
    browser, _ = server.login()
    assert browser.get("/headers.json").status == 200
    before, keys = pem(server), server.browser().get("/sso/okta/jwks").json()
    roll(server, 1)
    assert browser.get("/headers.json").status == 200, "a session of before"
    assert pem(server) == before and server.browser().get("/sso/okta/jwks").json() == keys
    roll(server, 1)  # the first one is gone now
    assert pem(server) == before and server.browser().get("/sso/okta/jwks").json() == keys, "they were sealed anew in time"
    roll(server, 0)
    server.expect(r"flow\.keys\.gone")
    answer = server.browser().get("/sso/okta/pem/acme")
    assert (answer.status, answer.reason) == (503, "flow.keys.gone"), "no new key in its place: it could be that of an attacker's directory"
    assert any("flow.keys.gone: sp-key:" in line for line in server.verdicts())
