"""Metadata that changes, ends or cannot be fetched, and the keys in it: what serves, until when, and who is told."""

import datetime
import re
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from harness import config, wait_until

AMELIA = "amelia.earhart@acme.example"
SERVER = """
{settings}
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{source}"
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""


def serve(httpd, source="{okta}", settings="", **options):
    server = httpd("", start=False, **options)
    server.expect(r"flow\.idp\.unavailable") if source == "{okta}" else None
    server.configure(SERVER.replace("{source}", source).replace("{settings}", settings).replace("{okta}", server.okta.metadata_url()))
    return server


def started(httpd, settings=""):
    server = serve(httpd, settings=settings).start()
    server.wait_for_metadata()
    return server


def metadata(okta):
    return urllib.request.urlopen(okta.metadata_url()).read().decode()


def roll(server):
    """A new key at Okta; returns when httpd has it."""
    server.expect(r"xml\.signature\.invalid")
    server.okta.control(roll={"listed": "new", "sign": "new"})
    wait_until(lambda: server.login()[1].status == 303, "the new key")


# ---- Overlap ----

def test_the_old_key_is_good_for_the_overlap_and_over_a_restart(httpd):
    server = started(httpd)
    roll(server)
    assert server.login(key="first")[1].status == 303 and server.login(key="last")[1].status == 303
    server.stop()
    server.expect("OKS0030")
    server.okta.control(metadata={"status": 503})
    server.start()
    assert server.login(key="first")[1].status == 303


def test_without_an_overlap_the_old_key_ends_with_the_metadata(httpd):
    server = started(httpd, "OktaSSOCertificateOverlap 0s")
    roll(server)
    assert server.login(key="first")[1].reason == "xml.signature.invalid"


def test_an_overlap_ends_by_itself(httpd):
    server = started(httpd, "OktaSSOCertificateOverlap 2s")
    roll(server)
    wait_until(lambda: server.login(key="first")[1].reason == "xml.signature.invalid", "the end of the overlap")
    assert server.login()[1].status == 303


def test_an_overlap_that_is_taken_away_ends_at_the_restart(httpd):
    server = started(httpd)
    roll(server)
    server.configure(server.file.read_text().removeprefix(server.head) + "OktaSSOCertificateOverlap 0s\n")
    server.graceful()
    wait_until(lambda: server.login(key="first")[1].reason == "xml.signature.invalid", "the children of the new generation")


@pytest.mark.parametrize("line,wanted", [
    ("OktaSSOCertificateOverlap 1", "write a whole number and a unit"), ("OktaSSOCertificateOverlap 31d", "at most 30d"),
    ("<VirtualHost 127.0.0.1:1>\nOktaSSOCertificateOverlap 1h\n</VirtualHost>", "belongs into the server config")])
def test_configtest(httpd, line, wanted):
    server = httpd(line + "\n", start=False)
    ok, said = server.configtest()
    assert not ok and wanted in said and str(server.file) in said, said


# ---- Fetching ----

def test_without_any_copy_the_page_says_what_is_missing(httpd, okta):
    okta.control(metadata={"status": 500})
    server = serve(httpd)
    server.expect("OKS0030")
    server.start()
    page = server.browser().get("/")
    assert (page.status, page.reason, page["Retry-After"]) == (503, "flow.idp.unavailable", "5")
    assert "connection to your identity provider is not ready yet" in page.text and "administrator of this server can help" in page.text
    url = okta.metadata_url()
    wait_until(lambda: "OKS0030" in server.log.read_text(), "the failure")
    page = server.browser().get("/")
    assert server.verdicts()[-1].endswith(f"flow.idp.unavailable: {url} was not fetched yet; last try: net.unreachable: {url} answered 500")
    assert "answered 500" not in page.text
    okta.control(clear=True)
    server.wait_for_metadata()


def test_start_up_without_the_identity_provider_serves_the_last_good_copy(httpd, okta):
    server = started(httpd)
    server.stop()
    okta.control(metadata={"status": 500})
    server.expect("OKS0030")
    server.start()
    assert server.login()[1].status == 303


@pytest.mark.parametrize("body", ["<html/>", "<md:EntityDescriptor"], ids=["HTML", "cut off"])
def test_a_document_that_is_no_metadata_replaces_nothing(httpd, okta, body):
    server = started(httpd)
    server.stop()
    okta.control(metadata={"body": body})
    server.expect("OKS0030")
    server.start()
    wait_until(lambda: "OKS0030" in server.log_since(0), "the refusal")
    assert server.login()[1].status == 303


def test_metadata_that_did_not_change_is_not_sent_again(httpd, okta):
    server = started(httpd)
    server.stop()
    assert okta.status()["metadata_unchanged"] == 0
    server.start()
    wait_until(lambda: okta.status()["metadata_unchanged"] == 1, "the answer 304")
    assert server.login()[1].status == 303


def test_one_look_a_minute_for_signatures_that_do_not_verify(httpd, okta):
    """Globex's look proves that the background work ran while acme's second wish waited."""
    server = serve(httpd)
    second = {**vars(config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/globex")), "exk": "exkglobex0standin0a6", "name": "globex_app_1"}
    okta.control(apps=[{**second, "entity_id": ""}])
    server.configure(server.file.read_text().removeprefix(server.head) + '<Location "/globex">\nOktaSSOOrg globex\n'
                     f'OktaSSOIdPMetadata "{okta.metadata_url(second["exk"])}"\n</Location>\n')
    server.expect(r"xml\.signature\.invalid")
    server.start()
    server.wait_for_metadata()
    server.wait_for_metadata("globex")

    def fetches(exk):
        return okta.status()["fetches_of"].get(exk, 0)

    def forge(org, path, exk):
        answer = server.login(path=path, acs=f"/sso/okta/acs/{org}", app=exk, key="wrong")[1]
        assert answer.reason == "xml.signature.invalid"
    acme = next(exk for exk in okta.status()["apps"] if exk != second["exk"])
    before = fetches(acme)
    forge("acme", "/", acme)
    wait_until(lambda: fetches(acme) == before + 1, "the first look")
    forge("acme", "/", acme)
    globex = fetches(second["exk"])
    forge("globex", "/globex/", second["exk"])
    wait_until(lambda: fetches(second["exk"]) == globex + 1, "globex's look")
    assert fetches(acme) == before + 1


# ---- Certificates that end, and that cannot be used ----

def reissued(okta_dir, days):
    """The stand-in's own key in a certificate that ends in so many days."""
    pem = next(okta_dir.glob("exk*-0.pem")).read_bytes()
    key, old = serialization.load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(issuer_name=old.issuer, subject_name=old.subject, public_key=key.public_key(), serial_number=7,
                                   not_valid_before=now - datetime.timedelta(days=3650), not_valid_after=now + datetime.timedelta(days=days))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def with_certificates(okta, *pems):
    keys = "".join(f"<md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>"
                   f"{re.sub('-----.*?-----', '', pem)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>" for pem in pems)
    return re.sub(r"<md:KeyDescriptor.*</md:KeyDescriptor>", keys, metadata(okta), flags=re.S)


def from_file(httpd, document):
    server = serve(httpd, source="{dir}/idp.xml")
    (server.dir / "idp.xml").write_text(document)
    return server


@pytest.mark.parametrize("days,step", [(59.9, 60), (30.1, 60), (29.9, 30), (13.9, 14), (6.9, 7), (0.5, 1)])
def test_a_certificate_that_ends_is_told_in_steps(httpd, okta, okta_dir, days, step):
    server = from_file(httpd, with_certificates(okta, reissued(okta_dir, days)))
    server.expect("OKS0033")
    server.start()
    wait_until(lambda: "OKS0033" in server.log_since(0), "the warning")
    assert re.findall(r"OKS0033: .* expires within (\d+) days?: ", server.log.read_text()) == [str(step)]
    assert server.login()[1].status == 303


@pytest.mark.parametrize("days", [61, -1, -3000])
def test_one_that_lasts_and_one_that_has_ended_work_in_silence(httpd, okta, okta_dir, days):
    server = from_file(httpd, with_certificates(okta, reissued(okta_dir, days), reissued(okta_dir, 10.5)))
    server.expect("OKS0033")
    server.start()
    wait_until(lambda: "OKS0033" in server.log_since(0), "the warning of the other one")
    assert len(re.findall("OKS0033", server.log.read_text())) == 1
    assert server.login()[1].status == 303


def test_a_certificate_that_has_ended_is_a_key_all_the_same(httpd, okta, okta_dir):
    server = from_file(httpd, with_certificates(okta, reissued(okta_dir, -1))).start()
    assert server.login()[1].status == 303


def test_a_broken_certificate_is_left_out_and_told(httpd, okta, okta_dir):
    server = from_file(httpd, with_certificates(okta, "AAAA", reissued(okta_dir, 1000)))
    server.expect("OKS0034")
    server.start()
    wait_until(lambda: "OKS0034" in server.log_since(0), "the warning")
    assert "acme's identity provider is left out: crypto.cert.malformed" in server.log.read_text()
    assert server.login()[1].status == 303


# ---- validUntil ----

def until(okta, delta):
    end = datetime.datetime.now(datetime.timezone.utc) + delta
    return metadata(okta).replace("<md:EntityDescriptor ", f'<md:EntityDescriptor validUntil="{end:%Y-%m-%dT%H:%M:%SZ}" ')


def test_metadata_of_a_file_ends_with_its_validity(httpd, okta):
    server = from_file(httpd, until(okta, datetime.timedelta(hours=-1)))
    server.expect(r"saml\.metadata\.expired")
    assert server.configtest()[0]  # a start must not fail because a day has come
    server.start()
    answer = server.browser().get("/")
    assert (answer.status, answer.reason) == (503, "saml.metadata.expired") and "validUntil" in server.log.read_text()


def test_the_end_of_a_file_is_told_beforehand(httpd, okta):
    server = from_file(httpd, until(okta, datetime.timedelta(days=6)))
    server.expect("OKS0035")
    server.start()
    wait_until(lambda: "OKS0035" in server.log_since(0), "the warning")
    assert "may be used for 7 days more at most" in server.log.read_text()
    assert server.login()[1].status == 303


def test_a_fetched_document_that_has_ended_replaces_nothing(httpd, okta):
    server = started(httpd)
    server.stop()
    okta.control(metadata={"body": until(okta, datetime.timedelta(minutes=-1))})
    server.expect(r"OKS0030: .*saml\.metadata\.expired")
    server.start()
    wait_until(lambda: "saml.metadata.expired" in server.log_since(0), "the refusal")
    assert server.login()[1].status == 303
