"""The stand-in for Okta checked by itself: /usr/bin/python3 -m pytest t/okta/test_okta.py"""

import base64
import datetime
import html
import http.client
import http.cookiejar
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from lxml import etree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from okta import backend, client, config, keys, saml  # noqa: E402
from okta.encrypt import encrypted  # noqa: E402

ACS = "http://127.0.0.1:9/sso/okta/acs/acme"
EXK = "exkacme0standin0a697"
AMELIA, JOHN = "amelia.earhart@acme.example", "john.doe@acme.example"
NS = {"p": saml.NS_SAML2P, "a": saml.NS_SAML2, "ds": saml.NS_DS, "md": saml.NS_MD, "ec": saml.EXC_C14N}
SIGNATURES = {"response": "/*/*[local-name()='Signature']",
              "assertion": "/*/*[local-name()='Assertion']/*[local-name()='Signature']"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    apps = [config.default_app(ACS),
            config.default_app("http://127.0.0.1:9/sso/okta/acs/globex", exk="exkglobex0000000a697", name="globex_1",
                               label="Globex", org="globex", name_id_format=saml.EMAIL, default_relay_state="/start",
                               requestable=["http://127.0.0.1:9/other"], group_filter=["STARTS_WITH", "Eng"])]
    with client.started(tmp_path_factory.mktemp("okta"), apps=apps) as okta:
        yield okta


@pytest.fixture
def okta(running):
    running.control(clear=True, sign_out=True)
    return running


class Browser:
    """urllib with cookies; redirects are followed, forms are sent by hand."""

    def __init__(self, okta):
        self.url = okta.url
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPCookieProcessor(self.jar))

    def open(self, url, form=None):
        url = urllib.parse.urljoin(self.url, url)
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self.opener.open(url, data, timeout=10) as answer:
                return answer.status, answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.url, error.read().decode()

    def sign_in(self, url, user=AMELIA, password=config.PASSWORD):
        status, _, page = self.open(url)
        assert status == 200 and "Test accounts" in page
        state = re.search(r'name="state" value="([^"]*)"', page)[1]
        return self.open("/login", {"state": html.unescape(state), "username": user, "password": password})


def form_of(page):
    """(action, [(name, value)]) of the form that brings the Response."""
    action = re.search(r'<form id="appForm" method="post" action="([^"]*)"', page)
    assert action, page
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return html.unescape(action[1]), [(name, html.unescape(value)) for name, value in fields]


def response_of(page):
    return base64.b64decode(dict(form_of(page)[1])["SAMLResponse"])


def request_xml(acs=ACS, identifier="_request1", extra="", body=""):
    return (f'<samlp:AuthnRequest xmlns:samlp="{saml.NS_SAML2P}" ID="{identifier}" Version="2.0" '
            f'IssueInstant="2026-11-24T12:00:00Z" AssertionConsumerServiceURL="{acs}" {extra}>'
            f'<saml:Issuer xmlns:saml="{saml.NS_SAML2}">http://sp</saml:Issuer>{body}</samlp:AuthnRequest>')


def sso(okta, exk=EXK, relay_state="relay", **fields):
    return saml.redirect_url(okta.app(exk)["sso_url"], request_xml(**fields), relay_state)


def verifies(xml, which, signer, tmp_path):
    """Whether xmlsec1's own program accepts the signature with this key."""
    document, certificate = tmp_path / "response.xml", tmp_path / "certificate.pem"
    document.write_bytes(xml)
    certificate.write_bytes(signer.certificate_pem())
    run = subprocess.run(
        [shutil.which("xmlsec1"), "--verify", "--id-attr:ID", f"{saml.NS_SAML2P}:Response",
         "--id-attr:ID", f"{saml.NS_SAML2}:Assertion", "--enabled-key-data", "rsa",
         "--pubkey-cert-pem", str(certificate), "--node-xpath", SIGNATURES[which], str(document)],
        capture_output=True, text=True)
    return run.returncode == 0


def first(xml, path):
    found = etree.fromstring(xml).xpath(path, namespaces=NS)
    return found[0] if found else None


def xml_of(okta, **fields):
    return okta.mint(**fields)["xml"].encode()


def signer_of(okta, exk=EXK):
    ring = okta.idp.rings[exk]
    return ring.signers[ring.active]


def utcnow():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


# --- shapes ---

def test_metadata_has_oktas_bytes(okta):
    """OKTA.md B.1.2: one line, the certificate in lines of 76, POST before Redirect."""
    with urllib.request.urlopen(okta.metadata_url()) as answer:
        body = answer.read().decode()
        assert answer.headers["Content-Type"] == "application/xml"
    location = okta.url + f"/app/acme_webapp_1/{EXK}/sso/saml"
    certificate = signer_of(okta).certificate_base64()
    assert {len(line) for line in certificate.split("\n")[:-1]} == {76}
    assert body == (
        f'<?xml version="1.0" encoding="UTF-8"?><md:EntityDescriptor entityID="http://www.okta.com/{EXK}" xmlns:md='
        '"urn:oasis:names:tc:SAML:2.0:metadata"><md:IDPSSODescriptor WantAuthnRequestsSigned="false" '
        'protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>' + certificate +
        '</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:NameIDFormat>'
        'urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified</md:NameIDFormat><md:SingleSignOnService '
        f'Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{location}"/><md:SingleSignOnService '
        f'Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{location}"/></md:IDPSSODescriptor>'
        "</md:EntityDescriptor>")


def test_certificate_is_a_key_container_like_oktas(okta):
    certificate = signer_of(okta).certificate
    assert certificate.subject == certificate.issuer
    assert [attribute.value for attribute in certificate.subject] == [
        "US", "California", "San Francisco", "Okta", "SSOProvider", "acme", "info@okta.com"]
    assert certificate.public_key().key_size == 2048
    assert certificate.not_valid_after.year - certificate.not_valid_before.year == 10


def skeleton(element):
    """Names, attribute names and order, without values: what two documents of one shape share."""
    return (element.tag, sorted(element.attrib), [skeleton(child) for child in element])


def test_response_without_attributes_has_the_shape_of_the_captured_one(okta):
    fixture = pathlib.Path(__file__).resolve().parents[3] / "shared/fixtures/okta/saml-response-idp-initiated.xml"
    if not fixture.exists():
        pytest.skip("the captured Response is not on this machine")
    ours = xml_of(okta, preset="no-attributes")
    assert skeleton(etree.fromstring(ours)) == skeleton(etree.fromstring(fixture.read_bytes()))
    # Namespaces are declared where Okta declares them: the same start tags, but for their values.
    tags = [re.sub(r'="[^"]*"', "=", tag) for tag in re.findall(r"<[a-z0-9]+:[^>]*>", ours.decode())]
    assert tags == [re.sub(r'="[^"]*"', "=", tag) for tag in re.findall(r"<[a-z0-9]+:[^>]*>", fixture.read_text())]


def test_both_signatures_verify(okta, tmp_path):
    for fields in ({}, {"in_response_to": "_r"}, {"user": "yamada.taro@acme.example"}, {"preset": "no-attributes"},
                   {"user": "many.groups@acme.example"}, {"user": "special.john@acme.example"}):
        xml = xml_of(okta, **fields)
        for which in SIGNATURES:
            assert verifies(xml, which, signer_of(okta), tmp_path), (fields, which)
            assert not verifies(xml, which, keys.Signer.generate(), tmp_path)


def test_any_changed_character_breaks_a_signature(okta, tmp_path):
    xml = xml_of(okta)
    for old, new in ((b"amelia", b"amelie"), (b"Engineering", b"engineering"), (b"Success", b"success")):
        changed = xml.replace(old, new)
        assert changed != xml and not verifies(changed, "response", signer_of(okta), tmp_path)


def test_prefix_list_comes_with_attributes(okta):
    """OKTA.md B.1.4: PrefixList="xs" when the message declares xmlns:xs, absent otherwise."""
    path = "//ds:Transform/ec:InclusiveNamespaces/@PrefixList"
    assert etree.fromstring(xml_of(okta)).xpath(path, namespaces=NS) == ["xs", "xs"]
    bare = xml_of(okta, preset="no-attributes")
    assert etree.fromstring(bare).xpath(path, namespaces=NS) == [] and b"xmlns:xs" not in bare


def test_signature_stands_directly_after_issuer(okta):
    root = etree.fromstring(xml_of(okta))
    for element in (root, root.find("a:Assertion", NS)):
        assert [etree.QName(child).localname for child in element][:2] == ["Issuer", "Signature"]
        assert element.find("ds:Signature//ds:Reference", NS).get("URI") == "#" + element.get("ID")
        assert re.fullmatch(r"id\d{26}", element.get("ID"))


def test_times_audience_and_session_index(okta):
    xml = xml_of(okta, in_response_to="_r")
    moment = lambda value: datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: E731
    issued = moment(first(xml, "/*/@IssueInstant"))
    assert abs(issued - utcnow()) < datetime.timedelta(seconds=10)
    five = datetime.timedelta(minutes=5)
    assert moment(first(xml, "//a:Conditions/@NotBefore")) == issued - five
    assert moment(first(xml, "//a:Conditions/@NotOnOrAfter")) == issued + five
    assert moment(first(xml, "//a:SubjectConfirmationData/@NotOnOrAfter")) == issued + five
    assert first(xml, "//a:Audience/text()") == "http://127.0.0.1:9/sso/okta/metadata/acme"
    assert first(xml, "//a:AuthnStatement/@SessionIndex") == "_r"
    idp_initiated = xml_of(okta)
    assert re.fullmatch(r"id\d{13}\.\d+", first(idp_initiated, "//a:AuthnStatement/@SessionIndex"))
    assert b"InResponseTo" not in idp_initiated


def test_attributes_and_groups(okta):
    root = etree.fromstring(xml_of(okta, user="zoe.gruen@acme.example"))
    values = {a.get("Name"): [v.text for v in a] for a in root.iterfind(".//a:Attribute", NS)}
    assert values == {"email": ["zoe.gruen@acme.example"], "firstName": ["Zoë"], "lastName": ["Grün"],
                      "groups": ["Everyone", "Engineering", "Köln, Büro"]}
    many = etree.fromstring(xml_of(okta, user="many.groups@acme.example"))
    assert len(many.xpath("//a:Attribute[@Name='groups']/a:AttributeValue", namespaces=NS)) == 121
    special = etree.fromstring(xml_of(okta, user="special.john@acme.example"))
    assert special.xpath("//a:Attribute[@Name='displayName']//text()", namespaces=NS) == ["#John Do`e¥"]
    filtered = etree.fromstring(xml_of(okta, app="exkglobex0000000a697"))
    assert filtered.xpath("//a:Attribute[@Name='groups']//text()", namespaces=NS) == ["Engineering"]


# --- the sign-in page ---

def test_sp_initiated_login(okta, tmp_path):
    browser = Browser(okta)
    status, _, page = browser.sign_in(sso(okta, relay_state="a&b=\"<ü>"))
    action, fields = form_of(page)
    assert status == 200 and action == ACS
    assert [name for name, _ in fields] == ["SAMLResponse", "RelayState"] and fields[1][1] == "a&b=\"<ü>"
    xml = response_of(page)
    assert first(xml, "/*/@InResponseTo") == first(xml, "//a:SubjectConfirmationData/@InResponseTo") == "_request1"
    assert first(xml, "//a:NameID/text()") == AMELIA
    assert verifies(xml, "response", signer_of(okta), tmp_path) and "submit()" in page and 'id="continue"' in page
    logged = okta.status()["requests"][-1]
    assert (logged["id"], logged["issuer"], logged["acs_url"]) == ("_request1", "http://sp", ACS)


def test_okta_remembers_who_signed_in(okta):
    browser = Browser(okta)
    browser.sign_in(sso(okta))
    status, _, page = browser.open(sso(okta, identifier="_second"))
    assert status == 200 and first(response_of(page), "/*/@InResponseTo") == "_second"
    assert "Signed in as" in browser.open("/")[2]
    browser.open("/login/signout", {})
    assert "Test accounts" in browser.open(sso(okta, identifier="_third"))[2]


def test_picking_an_account_needs_no_password(okta):
    browser = Browser(okta)
    state = re.search(r'name="state" value="([^"]*)"', browser.open(sso(okta))[2])[1]
    page = browser.open("/login", {"state": state, "account": JOHN})[2]
    assert first(response_of(page), "//a:NameID/text()") == JOHN


def test_wrong_password_stays(okta):
    for user, password in ((AMELIA, "wrong"), ("nobody@acme.example", config.PASSWORD), (AMELIA, "")):
        status, _, page = Browser(okta).sign_in(sso(okta), user, password)
        assert status == 401 and "Unable to sign in" in page and "SAMLResponse" not in page


def test_unassigned_user_never_comes_back(okta):
    status, _, page = Browser(okta).sign_in(sso(okta), "carl.contractor@acme.example")
    assert status == 403 and "App Not Assigned" in page and "SAMLResponse" not in page


def test_post_binding(okta):
    browser = Browser(okta)
    url = okta.app(EXK)["sso_url"]
    form = {"SAMLRequest": base64.b64encode(request_xml().encode()).decode(), "RelayState": "r"}
    status, url_then, page = browser.open(url, form)
    assert "Test accounts" in page and "/login?state=" in url_then
    state = re.search(r'name="state" value="([^"]*)"', page)[1]
    page = browser.open("/login", {"state": state, "account": JOHN})[2]
    assert dict(form_of(page)[1])["RelayState"] == "r"
    page = browser.open(url, form)[2]
    assert first(response_of(page), "/*/@InResponseTo") == "_request1"


def test_force_authn_and_is_passive(okta):
    browser = Browser(okta)
    page = browser.open(sso(okta, extra='IsPassive="true"'))[2]
    assert first(response_of(page), "//p:StatusCode/p:StatusCode/@Value") == saml.STATUS + "NoPassive"
    browser.sign_in(sso(okta))
    status, _, page = browser.sign_in(sso(okta, extra='ForceAuthn="true"'))
    assert status == 200 and first(response_of(page), "//a:NameID/text()") == AMELIA


def test_idp_initiated_from_the_tile(okta):
    browser = Browser(okta)
    status, _, page = browser.sign_in("/")
    tiles = re.findall(r'class="tile" href="([^"]*)"', page)
    assert status == 200 and len(tiles) == 2
    action, fields = form_of(browser.open(tiles[0])[2])
    assert action == ACS and dict(fields)["RelayState"] == ""
    assert b"InResponseTo" not in base64.b64decode(dict(fields)["SAMLResponse"])
    assert dict(form_of(browser.open(tiles[1])[2])[1])["RelayState"] == "/start"


@pytest.mark.parametrize("fields, told", [
    ({"acs": "http://127.0.0.1:9/elsewhere"}, "Single sign-on URL"),
    ({"extra": 'Destination="http://elsewhere/"'}, "Destination"),
    ({"extra": f'ProtocolBinding="{saml.REDIRECT}"'}, "ProtocolBinding"),
    ({"body": f'<samlp:NameIDPolicy Format="{saml.EMAIL}"/>'}, "NameIDPolicy"),
    ({"identifier": "1digit"}, "valid ID"),
])
def test_bad_authn_requests(okta, fields, told):
    status, _, page = Browser(okta).open(sso(okta, **fields))
    assert status == 400 and told in page and "SAMLResponse" not in page


def test_good_name_id_policies_and_other_acs(okta):
    for policy in (saml.UNSPECIFIED,):
        body = f'<samlp:NameIDPolicy Format="{policy}" AllowCreate="true"/>'
        assert Browser(okta).open(sso(okta, body=body))[0] == 200
    page = Browser(okta).sign_in(sso(okta, exk="exkglobex0000000a697", acs="http://127.0.0.1:9/other"))[2]
    assert form_of(page)[0] == "http://127.0.0.1:9/other"
    assert first(response_of(page), "/*/@Destination") == "http://127.0.0.1:9/other"


@pytest.mark.parametrize("value", ["", "!!!", "AAAA", base64.b64encode(b"<x/>").decode()])
def test_garbage_requests(okta, value):
    url = okta.app(EXK)["sso_url"]
    assert Browser(okta).open(url + "?" + urllib.parse.urlencode({"SAMLRequest": value}))[0] == 400
    assert Browser(okta).open(url, {"SAMLRequest": value})[0] == 400
    assert Browser(okta).open(f"/app/wrong_name/{EXK}/sso/saml")[0] == 404


# --- the switches: each does what it says ---

def test_switches_on_signatures(okta, tmp_path):
    signer = signer_of(okta)
    wrong = okta.idp.rings[EXK].named("wrong")
    both = lambda xml, key=signer: (verifies(xml, "response", key, tmp_path),  # noqa: E731
                                    verifies(xml, "assertion", key, tmp_path))
    assert b"ds:Signature" not in xml_of(okta, preset="unsigned")
    for preset, present in (("response-unsigned", "assertion"), ("assertion-unsigned", "response")):
        xml = xml_of(okta, preset=preset)
        assert xml.count(b"<ds:Signature ") == 1 and verifies(xml, present, signer, tmp_path)
    assert both(xml_of(okta, preset="response-signature-broken")) == (False, True)
    assert both(xml_of(okta, preset="assertion-signature-broken")) == (True, False)
    assert both(xml_of(okta, preset="signatures-broken")) == (False, False)
    assert both(xml_of(okta, preset="digests-broken")) == (False, False)
    strange = xml_of(okta, key="wrong")
    assert both(strange) == (False, False) and both(strange, wrong) == (True, True)
    assert both(xml_of(okta, response_key="wrong")) == (False, True)
    assert both(xml_of(okta, assertion_key="wrong")) == (True, False)
    assert b"KeyInfo" not in xml_of(okta, key_info="none")
    sha1 = xml_of(okta, preset="sha1")
    assert first(sha1, "//ds:SignatureMethod/@Algorithm").endswith("#rsa-sha1") and both(sha1) == (True, True)
    assert first(xml_of(okta, preset="hmac"), "//ds:SignatureMethod/@Algorithm").endswith("#hmac-sha256")
    assert first(xml_of(okta, reference_uri=""), "//ds:Reference/@URI") == ""


def test_switches_on_content_stay_rightly_signed(okta, tmp_path):
    other = "https://other.example/"
    cases = [
        ({"preset": "other-audience"}, "//a:Audience/text()", other + "sso/okta/metadata/other"),
        ({"preset": "other-recipient"}, "//a:SubjectConfirmationData/@Recipient", other + "sso/okta/acs/other"),
        ({"preset": "other-destination"}, "/*/@Destination", other + "sso/okta/acs/other"),
        ({"preset": "other-issuer"}, "/*/a:Issuer/text()", "http://www.okta.com/exkother0000000000000"),
        ({"assertion_issuer": "x"}, "//a:Assertion/a:Issuer/text()", "x"),
        ({"in_response_to": "_a", "preset": "no-in-response-to"}, "//@InResponseTo", None),
        ({"preset": "other-in-response-to"}, "/*/@InResponseTo", "_" + "0" * 40),
        ({"preset": "status-error"}, "//p:StatusCode/@Value", saml.STATUS + "Responder"),
        ({"preset": "no-attributes"}, "//a:AttributeStatement", None),
        ({"attributes": {"email": "x@y.example"}}, "//a:Attribute[@Name='email']//text()", "x@y.example"),
        ({"attributes_merge": {"email": "x@y.example"}}, "//a:Attribute[@Name='lastName']//text()", "Earhart"),
        ({"name_id": "x <&> y"}, "//a:NameID/text()", "x <&> y"),
        ({"name_id_format": saml.EMAIL}, "//a:NameID/@Format", saml.EMAIL),
        ({"omit": ["destination"]}, "/*/@Destination", None),
        ({"omit": ["recipient"]}, "//@Recipient", None),
        ({"omit": ["confirmation"]}, "//a:SubjectConfirmation", None),
        ({"omit": ["conditions"]}, "//a:Conditions", None),
        ({"version": "1.1"}, "/*/@Version", "1.1"),
        ({"extra_conditions": "<saml2:OneTimeUse/>"}, "name(//a:OneTimeUse)[.='saml2:OneTimeUse']", "s"),
        ({"session_not_on_or_after": 60}, "count(//@SessionNotOnOrAfter)", None),
    ]
    for fields, path, wanted in cases:
        xml = xml_of(okta, **fields)
        if not path.startswith(("name(", "count(")):
            assert first(xml, path) == wanted, fields
        for which in SIGNATURES:
            if which == "response" or fields.get("preset") != "status-error":
                assert verifies(xml, which, signer_of(okta), tmp_path), (fields, which)


def test_every_omittable_part_is_gone_and_every_preset_mints(okta):
    whole = len(xml_of(okta, in_response_to="_r"))
    for part in sorted(saml.OMITTABLE):
        assert len(xml_of(okta, in_response_to="_r", omit=[part])) < whole - 5, part
    for preset in saml.PRESETS:
        etree.fromstring(xml_of(okta, in_response_to="_r", preset=preset))


def test_expired_and_future(okta):
    now = utcnow().strftime("%Y-%m-%dT%H:%M:%S")
    assert first(xml_of(okta, preset="expired"), "//a:Conditions/@NotOnOrAfter") < now
    assert first(xml_of(okta, preset="future"), "//a:Conditions/@NotBefore") > now


def test_comment_in_name_id_leaves_the_signatures_good(okta, tmp_path):
    xml = xml_of(okta, preset="name-id-comment")
    assert b"amelia.earhart<!-- -->@acme.example" in xml
    for which in SIGNATURES:
        assert verifies(xml, which, signer_of(okta), tmp_path)


def test_edits_at_each_stage(okta, tmp_path):
    edit = [["Earhart", "Changed"]]
    results = {}
    for stage in ("edit_assertion", "edit_signed_assertion", "edit_response", "edit_signed"):
        xml = xml_of(okta, **{stage: edit})
        assert b"Changed" in xml
        results[stage] = tuple(verifies(xml, which, signer_of(okta), tmp_path) for which in SIGNATURES)
    assert results == {"edit_assertion": (True, True), "edit_signed_assertion": (True, False),
                       "edit_response": (True, False), "edit_signed": (False, False)}
    with pytest.raises(client.ControlError, match="does not find"):
        okta.mint(edit_signed=[["not there", "x"]])


def test_next_is_for_one_response_and_always_for_all(okta):
    browser = Browser(okta)
    browser.sign_in(sso(okta))
    okta.control(next={"preset": "unsigned"})
    assert b"Signature" not in response_of(browser.open(sso(okta))[2])
    assert b"Signature" in response_of(browser.open(sso(okta))[2])
    okta.control(next={"sign": "none"}, count=2, app="exkglobex0000000a697")
    assert b"Signature" in response_of(browser.open(sso(okta))[2])
    okta.control(always={"name_id": "somebody"})
    for _ in range(2):
        assert first(response_of(browser.open(sso(okta))[2]), "//a:NameID/text()") == "somebody"
    okta.control(clear=True)
    assert first(response_of(browser.open(sso(okta))[2]), "//a:NameID/text()") == AMELIA


def test_delivery_switches(okta):
    browser = Browser(okta)
    before = response_of(browser.sign_in(sso(okta))[2])
    okta.control(next={"replay": True})
    assert response_of(browser.open(sso(okta, identifier="_other"))[2]) == before
    okta.control(next={"relay_state": None})
    assert [name for name, _ in form_of(browser.open(sso(okta))[2])[1]] == ["SAMLResponse"]
    okta.control(next={"relay_state": "https://evil.example/"})
    assert form_of(browser.open(sso(okta))[2])[1][1] == ("RelayState", "https://evil.example/")
    okta.control(next={"duplicate": ["SAMLResponse", "RelayState"]})
    assert len(form_of(browser.open(sso(okta))[2])[1]) == 4
    okta.control(next={"auto": False, "post_to": "http://127.0.0.1:9/x"})
    page = browser.open(sso(okta))[2]
    assert "<script>" not in page and form_of(page)[0] == "http://127.0.0.1:9/x"


def test_metadata_switches(okta):
    browser = Browser(okta)
    url = okta.metadata_url()
    okta.control(metadata={"status": 500, "count": 1})
    assert browser.open(url)[0] == 500 and browser.open(url)[0] == 200
    okta.control(metadata={"body": "<nonsense/>"})
    assert browser.open(url)[2] == "<nonsense/>"
    okta.control(metadata={"delay": 0.4, "count": 1})
    start = time.monotonic()
    assert browser.open(url)[0] == 200 and time.monotonic() - start >= 0.4
    assert okta.status()["metadata_fetches"] == 4


def test_key_rollover(tmp_path):
    certificates = lambda: etree.fromstring(Browser(okta).open(okta.metadata_url())[2].encode()).xpath(  # noqa: E731
        "//ds:X509Certificate/text()", namespaces=NS)
    with client.started(tmp_path / "state", apps=[config.default_app(ACS)]) as okta:
        ring = okta.idp.rings[EXK]
        old = certificates()
        okta.control(roll={"listed": "both", "sign": "new"})
        assert certificates() == old + [ring.signers[1].certificate_base64()]
        assert verifies(xml_of(okta), "response", ring.signers[1], tmp_path)
        assert verifies(xml_of(okta, key="first"), "response", ring.signers[0], tmp_path)
        okta.control(roll={"listed": "old", "sign": "new"})
        assert certificates() == [ring.signers[1].certificate_base64()]
        assert verifies(xml_of(okta), "assertion", ring.signers[2], tmp_path)
        okta.control(roll={"listed": "new", "sign": "old"})
        assert certificates() == [ring.signers[3].certificate_base64()]
        assert verifies(xml_of(okta), "response", ring.signers[2], tmp_path)


def test_misspelt_switches_are_told(okta):
    for command in ({"nxt": {}}, {"next": {"sing": "none"}}, {"next": {"preset": "no-such"}},
                    {"next": {"omit": ["everything"]}}, {"next": {"key": "stolen"}}):
        with pytest.raises(client.ControlError):
            okta.control(**command)
    with pytest.raises(client.ControlError):
        okta.mint(user="nobody")


def test_answer_to_a_location(okta):
    answer = okta.answer(sso(okta, identifier="_there", relay_state="sealed"), user=JOHN)
    assert answer["RelayState"] == "sealed" and answer["acs"] == ACS
    assert first(answer["xml"].encode(), "/*/@InResponseTo") == "_there"
    assert base64.b64decode(answer["SAMLResponse"]).decode() == answer["xml"]


def test_other_sites_cannot_steer_the_stand_in(okta):
    def post(headers):
        request = urllib.request.Request(okta.url + "/_control", b'{"sign_out": true}', headers)
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            return error.code
    assert post({"Content-Type": "text/plain"}) == 415
    assert post({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}) == 403
    assert post({"Content-Type": "application/json"}) == 200


def test_program_starts_and_stops(tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        child = subprocess.Popen([str(client.PROGRAM), "--listen", "127.0.0.1:0", "--state", str(tmp_path / "s"),
                                  "--acs", ACS, "--quiet"], stdout=subprocess.PIPE, text=True)
        try:
            ready = child.stdout.readline()
            assert ready.startswith("ready http://127.0.0.1:")
            assert json.loads(urllib.request.urlopen(ready.split()[1] + "/_control").read())["apps"][EXK]["acs"] == ACS
            child.send_signal(number)
            assert child.wait(10) == 0
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
    files = list((tmp_path / "s").glob("*.pem"))
    assert files and all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_process_client_with_two_apps(tmp_path):
    with client.process(tmp_path, apps=[config.default_app(ACS)]) as okta:
        assert okta.mint()["acs"] == ACS


# --- the sample application ---

@pytest.fixture
def application():
    server = backend.Server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_address
    server.shutdown()
    server.server_close()
    thread.join(10)


def ask(address, method, path, headers=(), body=b""):
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.putrequest(method, path, skip_host=False)
    for name, value in headers:
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    data = answer.read().decode()
    connection.close()
    return answer, data


def test_backend_shows_headers_as_they_came(application):
    headers = [("X-Remote-User", "zoë".encode()), ("X-Remote-Groups", "a,K%2Cb"), ("X-Twice", "1"), ("x-twice", "2")]
    pairs = json.loads(ask(application, "PROPFIND", "/deep/headers.json", headers, b"body")[1])
    assert ["X-Remote-User", "zoë"] in pairs and ["X-Twice", "1"] in pairs and ["x-twice", "2"] in pairs
    answer, page = ask(application, "DELETE", "/x?q=<b>", headers)
    assert answer.status == 200 and "Hello, zoë" in page and ">K,b<" in page and "<script" not in page
    assert "q=&lt;b&gt;" in page and "/sso/okta/logout/acme" in page
    full = json.loads(ask(application, "POST", "/headers.json?full", body=b"12345")[1])
    assert full["method"] == "POST" and full["body_bytes"] == 5


def test_backend_distrusts_a_repeated_header(application):
    page = ask(application, "GET", "/", [("X-Remote-User", "a"), ("x-remote-user", "b")])[1]
    assert "Hello, stranger" in page and "more than once" in page


@pytest.mark.parametrize("data", ["aes128-gcm", "aes256-gcm", "aes128-cbc", "aes256-cbc"])  # SHA-256 in OAEP is new in xmlsec1 1.3
def test_xmlsec1_opens_what_is_encrypted(tmp_path, data):
    signer = keys.Signer.generate()
    (tmp_path / "key.pem").write_bytes(signer.key_pem())
    (tmp_path / "in.xml").write_text(encrypted("<a>Zo\u00eb</a>", signer.certificate_pem(), data=data))
    done = subprocess.run(["xmlsec1", "--decrypt", "--privkey-pem", tmp_path / "key.pem", tmp_path / "in.xml"], capture_output=True, check=True)
    assert "<a>Zo\u00eb</a>" in done.stdout.decode() or "<a>Zo&#xEB;</a>" in done.stdout.decode()
