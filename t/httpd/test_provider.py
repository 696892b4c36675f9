"""Where the identity provider comes from: inline metadata, the manual three; and what an unsolicited Response does."""

import base64
import re
import subprocess
import textwrap
import urllib.request

import pytest
from harness import post_fields, wait_until

AMELIA = "amelia.earhart@acme.example"
GUARD = '<Location "/">\nAuthType OktaSSO\nOktaSSOOrg acme\n{inside}Require valid-user\n</Location>\nProxyPass "/" "http://127.0.0.1:{backend}/"\n'


def metadata(okta):
    return urllib.request.urlopen(okta.metadata_url()).read().decode()


def certificate(okta):
    return re.sub(r"\s", "", re.search(r"X509Certificate>([^<]+)<", metadata(okta)).group(1))


def pem(bare, end="\n"):
    return "".join(f"{line}{end}" for line in ["-----BEGIN CERTIFICATE-----", *textwrap.wrap(bare, 64), "-----END CERTIFICATE-----"])


def other_certificate(tmp_path, days="1000"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", days, "-keyout",
                    tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    return (tmp_path / "cert.pem").read_text()


def serve(httpd, inside, files=()):
    server = httpd(start=False)
    for name, content in dict(files).items():
        (server.dir / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    server.configure(GUARD.replace("{inside}", inside))
    return server


def inline(xml):
    return f"<OktaSSOIdPMetadataXML>\n{xml}\n</OktaSSOIdPMetadataXML>\n"


def manual(okta, files="{dir}/okta.cert"):
    entity = re.search(r'entityID="([^"]+)"', metadata(okta)).group(1)
    url = re.search(r'HTTP-Redirect"[^>]*Location="([^"]+)"', metadata(okta)).group(1)
    return f'OktaSSOIdPSignOnURL "{url}"\nOktaSSOIdPIssuer "{entity}"\nOktaSSOIdPCertificate {files}\n'


# ---- Inline ----

@pytest.mark.parametrize("shape", {
    "as it is": lambda xml: xml,
    "a BOM": lambda xml: "\ufeff" + xml,
    "no declaration": lambda xml: re.sub(r"<\?xml.*?\?>\s*", "", xml),
    "indented, after blank lines": lambda xml: "\n\n" + textwrap.indent(re.sub(r"<\?xml.*?\?>\s*", "", xml), "      "),
    "a line a tag": lambda xml: xml.replace("><", ">\n<"),
}.items(), ids=lambda shape: shape[0])
def test_inline_metadata(httpd, okta, shape):
    server = serve(httpd, inline(shape[1](metadata(okta)))).start()
    assert server.login()[1].status == 303


def test_inline_metadata_in_a_section_of_the_organization(httpd, okta):
    server = serve(httpd, "")
    server.configure(f"<OktaSSOOrg acme>\n{inline(metadata(okta))}OktaSSODefaultRole guest\n</OktaSSOOrg>\n" + GUARD.replace("{inside}", ""))
    server.start()
    browser, answer = server.login()
    assert answer.status == 303 and ["X-Remote-Role", "guest"] in browser.get("/headers.json").json()


# ---- The manual three ----

@pytest.mark.parametrize("shape", {
    "PEM": pem,
    "PEM with CRLF": lambda bare: pem(bare, "\r\n"),
    "PEM after a text": lambda bare: "subject=CN = acme\n\n" + pem(bare),
    "bare base64": lambda bare: bare,
    "bare base64 in lines": lambda bare: "\r\n".join(textwrap.wrap(bare, 76)) + "\r\n",
    "DER": base64.b64decode,
}.items(), ids=lambda shape: shape[0])
def test_manual_set_up(httpd, okta, shape):
    server = serve(httpd, manual(okta), {"okta.cert": shape[1](certificate(okta))}).start()
    assert server.login()[1].status == 303


def test_every_certificate_of_a_rollover_is_trusted(httpd, okta, tmp_path):
    other = other_certificate(tmp_path)
    for inside, files in (({"okta.cert": other + pem(certificate(okta))}, "{dir}/okta.cert"),
                          ({"a.cert": other, "b.cert": pem(certificate(okta))}, "{dir}/a.cert {dir}/b.cert")):
        server = serve(httpd, manual(okta, files), inside).start()
        assert server.login()[1].status == 303


def test_a_certificate_of_somebody_else_verifies_nothing(httpd, okta, tmp_path):
    server = serve(httpd, manual(okta), {"okta.cert": other_certificate(tmp_path)})
    server.expect(r"xml\.signature\.invalid")
    answer = server.start().login()[1]
    assert (answer.status, answer.reason) == (403, "xml.signature.invalid")


WRONG = {
    "no issuer": (lambda text: re.sub(r"OktaSSOIdPIssuer.*\n", "", text), "OktaSSOIdPIssuer is missing"),
    "no certificate": (lambda text: re.sub(r"OktaSSOIdPCertificate.*\n", "", text), "OktaSSOIdPCertificate is missing"),
    "no sign-on URL": (lambda text: re.sub(r"OktaSSOIdPSignOnURL.*\n", "", text), "OktaSSOIdPSignOnURL is missing"),
    "metadata, too": (lambda text: text + "OktaSSOIdPMetadata https://acme.okta.com/m\n", "has its identity provider twice"),
    "http": (lambda text: re.sub(r'OktaSSOIdPSignOnURL "[^"]*"', "OktaSSOIdPSignOnURL http://acme.okta.com/x", text), "must be an https URL"),
    "an issuer that is none": (lambda text: re.sub(r'OktaSSOIdPIssuer "[^"]*"', "OktaSSOIdPIssuer acme", text), "takes the issuer that Okta shows"),
    "no such file": (lambda text: text.replace("okta.cert", "nowhere.cert"), "nowhere.cert cannot be read"),
    "a private key": (lambda text: text.replace("okta.cert", "key.cert"), "a private key, where only certificates belong"),
    "no certificate in it": (lambda text: text.replace("okta.cert", "empty.cert"), "is not usable"),
    "no file named": (lambda text: re.sub(r"OktaSSOIdPCertificate.*", "OktaSSOIdPCertificate", text), "takes one file or more"),
    "inline, broken": (lambda text: inline("<EntityDescriptor>"), "<OktaSSOIdPMetadataXML> is not usable"),
    "inline, not closed": (lambda text: "<OktaSSOIdPMetadataXML>\n<a/>\n", "lacks its </OktaSSOIdPMetadataXML>"),
    "inline, with an argument": (lambda text: "<OktaSSOIdPMetadataXML acme>\n</OktaSSOIdPMetadataXML>\n", "takes no argument"),
    "OktaSSOAlgorithms": (lambda text: text + "OktaSSOAlgorithms hmac-sha256\n", "write some of rsa-sha256"),
    "OktaSSOAlgorithms none": (lambda text: text + "OktaSSOAlgorithms\n", "takes one algorithm or more"),
    "IdPInitiated": (lambda text: text + "OktaSSOIdPInitiated maybe\n", "takes upgrade, on or off"),
}


@pytest.mark.parametrize("case", WRONG)
def test_configtest_tells_what_is_wrong(httpd, okta, case):
    change, wanted = WRONG[case]
    files = {"okta.cert": pem(certificate(okta)), "empty.cert": "", "key.cert": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}
    server = serve(httpd, change(manual(okta)), files)
    server.expect("OKS0011")
    ok, said = server.configtest()
    assert not ok and wanted in said, said
    assert f"{server.file}:" in said or f"of {server.file}" in said, said


# ---- Signature algorithms ----

@pytest.mark.parametrize("setting,options,reason", [
    ("", {}, None), ("", {"signature_algorithm": "rsa-sha512", "digest_algorithm": "sha512"}, None),
    ("", {"signature_algorithm": "rsa-sha1", "digest_algorithm": "sha1"}, "xml.signature.algorithm"),
    ("", {"digest_algorithm": "sha1"}, "xml.signature.algorithm"),
    ("OktaSSOAlgorithms rsa-sha256 rsa-sha1\n", {"signature_algorithm": "rsa-sha1", "digest_algorithm": "sha1"}, None),
    ("OktaSSOAlgorithms rsa-sha512\n", {}, "xml.signature.algorithm"),
    ("OktaSSOAlgorithms rsa-sha1\n", {"signature_algorithm": "hmac-sha1", "digest_algorithm": "sha1"}, "xml.signature.algorithm"),
], ids=str)
def test_algorithms(httpd, okta, setting, options, reason):
    server = serve(httpd, inline(metadata(okta)) + setting)
    server.expect("xml.signature.algorithm") if reason else None
    answer = server.start().login(**options)[1]
    assert (answer.status, answer.reason) == ((403, reason) if reason else (303, None))


# ---- Keys that change and end ----

def test_a_signature_that_does_not_verify_has_the_metadata_fetched_again(httpd, okta):
    server = serve(httpd, f'OktaSSOIdPMetadata "{okta.metadata_url()}"\n')
    server.expect(r"flow\.idp\.unavailable", r"xml\.signature\.invalid")
    server.start()
    server.wait_for_metadata()
    okta.control(roll={"listed": "new", "sign": "new"})
    fetched = okta.status()["metadata_fetches"]
    assert server.login()[1].reason == "xml.signature.invalid"
    wait_until(lambda: okta.status()["metadata_fetches"] > fetched, "the second look")
    wait_until(lambda: server.login()[1].status == 303, "the new key")


def test_a_certificate_that_ends_soon_is_told_once(httpd, okta, tmp_path):
    server = serve(httpd, manual(okta, "{dir}/okta.cert {dir}/soon.cert"), {"okta.cert": pem(certificate(okta)), "soon.cert": other_certificate(tmp_path, "1")})
    server.expect("OKS0033")
    server.start()
    wait_until(lambda: "OKS0033" in server.log_since(0), "the warning")
    assert re.findall(r"OKS0033: (.*) expires within (\d+) day: ", server.log.read_text()) == [("a signing certificate of acme's identity provider", "1")]
    assert server.login()[1].status == 303


# ---- A Response that answers no request ----

def initiated(httpd, okta, mode):
    return serve(httpd, inline(metadata(okta)) + f"OktaSSOIdPInitiated {mode}\n").start()


@pytest.mark.parametrize("relay_state,lands", [("/inbox?a=1", "/inbox?a=1"), (None, "/"), ("https://evil.example/", "/"), ("//evil.example", "/")])
def test_idp_initiated_on_signs_in(httpd, okta, relay_state, lands):
    server = initiated(httpd, okta, "on")
    browser = server.browser()
    answer = browser.post("/sso/okta/acs/acme", {**post_fields(okta.mint(user=AMELIA)), **({"RelayState": relay_state} if relay_state else {})})
    assert (answer.status, answer["Location"]) == (303, lands)
    assert browser.get("/headers.json").status == 200


def test_idp_initiated_on_takes_a_response_once(httpd, okta):
    server = initiated(httpd, okta, "on")
    server.expect(r"directory\.claim\.used")
    minted = post_fields(okta.mint(user=AMELIA))
    assert server.browser().post("/sso/okta/acs/acme", minted)["Location"] == "/"
    thief = server.browser()
    assert "/sso/okta/login/acme?again=" in thief.post("/sso/okta/acs/acme", minted)["Location"]
    assert not thief.session_cookie()


def test_idp_initiated_on_does_not_loosen_a_login_that_was_started(httpd, okta):
    """A stolen RelayState beside an unsolicited Response signs nobody in."""
    server = initiated(httpd, okta, "on")
    server.expect(r"saml\.response\.unsolicited")
    browser = server.browser()
    started = okta.answer(server.start_login(browser), user=AMELIA)
    answer = browser.post("/sso/okta/acs/acme", {"SAMLResponse": okta.mint(user=AMELIA)["SAMLResponse"], "RelayState": started["RelayState"]})
    assert answer.status == 303 and "/login/acme" in answer["Location"] and not browser.session_cookie()


def test_idp_initiated_off_explains(httpd, okta):
    server = initiated(httpd, okta, "off")
    browser = server.browser()
    answer = browser.post("/sso/okta/acs/acme", post_fields(okta.mint(user=AMELIA)))
    assert (answer.status, answer.reason) == (403, "flow.idp_initiated.off") and "sign in from there" in answer.text
    assert not browser.session_cookie() and server.login()[1].status == 303
