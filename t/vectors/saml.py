#!/usr/bin/python3
"""Writes the SAML vectors t/vectors/saml/<case>/, which t/unit/test_saml_vectors.c runs.

A case is a directory with `response.xml` (or `response.b64`, the form value itself) and `expect.txt`: what the Response
is judged against, an empty line, and the outcome: `reason: CODE`, or every member of the identity. `metadata.xml` beside
the cases is the identity provider's, unless a case has its own. Expectations are written here by hand and never taken
from what the module said.

The keys in _keys/ are made once, for tests alone. With them the output is the same, byte for byte, at each run; only
ECDSA signatures are not, and those are kept when they are there.

    /usr/bin/python3 -B t/vectors/saml.py
"""

import base64
import datetime
import pathlib
import re
import sys

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from okta import encrypt, keys, saml  # noqa: E402

OUT = HERE / "saml"
FIXTURES = HERE / "okta"

NOW = datetime.datetime(2026, 1, 15, 12, 0, 0, 250000, tzinfo=datetime.timezone.utc)
ACS = "https://app.example.com/sso/okta/acs/acme"
AUDIENCE = "https://app.example.com/sso/okta/metadata/acme"
ISSUER = "http://www.okta.com/exkacme0123456789ab"
SSO = "https://acme.okta.com/app/acme_app_1/exkacme0123456789ab/sso/saml"
REQUEST = "_00112233445566778899aabbccddeeff"
RESPONSE_ID, ASSERTION_ID = "id11111111111111111111111111", "id22222222222222222222222222"
EVIL = "mallory@acme.example"
ATTRIBUTES = {"email": "alice@acme.example", "firstName": "Alice", "groups": ["Everyone", "Finance, EMEA", "Zürich"]}

written = set()


# ---- Writing a case ------------------------------------------------------------------------------------------------

def signers():
    directory = OUT / "_keys"
    directory.mkdir(parents=True, exist_ok=True)
    made = {name: keys.Signer.load_or_generate(directory / f"{name}.pem", name) for name in ("idp", "next", "other", "sp", "sp-next")}
    path = directory / "ec.pem"
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ec")])
        start = datetime.datetime(2025, 1, 1)
        certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2035))
        keys.Signer(key, certificate.sign(key, hashes.SHA256())).save(path)
    made["ec"] = keys.Signer.load(path)
    return made


def metadata(*which):
    return saml.metadata(ISSUER, SSO, [KEYS[name].certificate_base64() for name in which])


def seconds(text):
    return re.sub(r"\.\d+Z$", "Z", text)


def identity(**changes):
    """The outcome of the good Response of good(), with changes; None drops a line's value to `none`."""
    lines = {
        "issuer": ISSUER, "subject": "alice@acme.example", "format": saml.EMAIL, "assertion": ASSERTION_ID,
        "claim until": "2026-01-15T12:07:00Z", "in response to": REQUEST, "session index": REQUEST,
        "authn context": saml.PASSWORD_TRANSPORT, "authn instant": "2026-01-15T12:00:00Z", "session until": None,
    }
    attributes = changes.pop("attributes", ATTRIBUTES)
    lines.update({name.replace("_", " "): value for name, value in changes.items()})
    out = [f"{name}: {'none' if value is None else value}" for name, value in lines.items()]
    for name, values in attributes.items():
        values = [values] if isinstance(values, str) else values
        out += [f"attribute {name} = {value}" for value in values] or [f"attribute {name}"]
    return "\n".join(out)


def case(name, content, outcome, *, b64=False, now="2026-01-15T12:00:00Z", acs=ACS, audience=AUDIENCE, request=REQUEST,
         own_metadata=None, keep=False, sp_keys=()):
    """Writes one case. `outcome` is a reason's code or what identity() made."""
    if name in written:
        raise ValueError(f"two cases of the name {name}")
    written.add(name)
    directory = OUT / name
    if keep and (directory / "expect.txt").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    data = content.xml if isinstance(content, saml.Minted) else content
    data = data.encode("utf-8") if isinstance(data, str) else data
    (directory / ("response.b64" if b64 else "response.xml")).write_bytes(data)
    if own_metadata:
        (directory / "metadata.xml").write_text(own_metadata)
    audiences = [audience] if isinstance(audience, str) else audience
    inputs = [f"now: {now}", f"acs: {acs}", *(f"audience: {each}" for each in audiences)]
    inputs += [f"request: {request}"] if request else []
    inputs += [f"key: {name}" for name in sp_keys]
    if "\n" not in outcome:
        outcome = f"reason: {outcome}"
    (directory / "expect.txt").write_text("\n".join(inputs) + "\n\n" + outcome + "\n", encoding="utf-8")


def good(**changes):
    options = dict(acs=ACS, audience=AUDIENCE, issuer=ISSUER, name_id="alice@acme.example", name_id_format=saml.EMAIL,
                   attributes=ATTRIBUTES, in_response_to=REQUEST, now=NOW, response_id=RESPONSE_ID,
                   assertion_id=ASSERTION_ID)
    options.update(changes)
    return saml.mint(saml.Options(**options), KEYS["idp"])


def text_of(minted):
    return minted.xml.decode("utf-8")


def swap(document, *pairs):
    for old, new in pairs:
        if old not in document:
            raise ValueError(f"not found: {old}")
        document = document.replace(old, new)
    return document


def swap_once(document, old, new):
    if old not in document:
        raise ValueError(f"not found: {old}")
    return document.replace(old, new, 1)


# ---- Signing with xmlsec1: valid signatures of kinds that must not be accepted ---------------------------------------

def xmlsec_sign(document, tag="Response", *, method=None, digest=None, transforms=None, c14n=None, uri=None, key="idp",
                references=1, xpath=None, secret=None, prefix=None):
    """`document` with a signature on its Response or Assertion that a permissive verifier finds valid."""
    c = xmlsec.constants
    root = etree.fromstring(document.encode("utf-8"))
    namespace = saml.NS_SAML2P if tag == "Response" else saml.NS_SAML2
    element = root if tag == "Response" else root.find(f"{{{namespace}}}{tag}")
    signature = xmlsec.template.create(element, c14n or c.TransformExclC14N, method or c.TransformRsaSha256, ns="ds")
    issuer = element.find(f"{{{saml.NS_SAML2}}}Issuer")
    if issuer is None:
        element.insert(0, signature)
    else:
        issuer.addnext(signature)
    for _ in range(references):
        reference = xmlsec.template.add_reference(signature, digest or c.TransformSha256,
                                                  uri="#" + element.get("ID") if uri is None else uri)
        for transform in transforms if transforms is not None else [c.TransformEnveloped, c.TransformExclC14N]:
            node = xmlsec.template.add_transform(reference, transform)
            if xpath and transform == c.TransformXPath:
                etree.SubElement(node, f"{{{saml.NS_DS}}}XPath").text = xpath
            if prefix and transform == c.TransformExclC14N:
                etree.SubElement(node, f"{{{saml.EXC_C14N}}}InclusiveNamespaces", PrefixList=prefix,
                                 nsmap={"ec": saml.EXC_C14N})
    context = xmlsec.SignatureContext()
    if secret is not None:
        context.key = xmlsec.Key.from_binary_data(c.KeyDataHmac, secret)
    else:
        context.key = xmlsec.Key.from_memory(KEYS[key].key_pem(), c.KeyDataFormatPem)
    xmlsec.tree.add_ids(root, ["ID"])
    context.sign(signature)
    # The template is written in lines; what is inside the Signature may be so.
    return etree.tostring(root, encoding="unicode")


# ---- The cases -----------------------------------------------------------------------------------------------------

def okta_cases():
    """The real Response and metadata of OKTA.md B.1.4."""
    response, meta = (FIXTURES / "response.xml").read_bytes(), (FIXTURES / "metadata.xml").read_text()
    where = dict(now="2024-04-25T20:31:55Z", acs="http://localhost:8080", audience="http://localhost:8080", request=None,
                 own_metadata=meta)
    who = identity(issuer="http://www.okta.com/exkdoocxa1VmjpXmX697", subject="ulysse.carion@codomaindata.com",
                   assertion="id35528194006743571812188338", claim_until="2024-04-25T20:38:55Z", in_response_to=None,
                   session_index="id1714077115304.328863927", authn_instant="2024-04-25T20:26:25Z", attributes={})
    case("okta-real", response, who, **where)
    # The certificate in the Assertion's signature is itself signed by the Response: re-indenting it breaks that one. The
    # one in the Response's own signature is signed by nobody.
    first, rest = response.decode().split("<saml2:Assertion ", 1)
    indent = lambda part: re.sub(r"\n(?=[A-Za-z0-9+/=]+(\n|<))", "\n    ", part)  # noqa: E731
    case("okta-real-indented", indent(first) + "<saml2:Assertion " + indent(rest), "xml.signature.invalid", **where)
    case("okta-real-indented-unsigned-part", indent(first) + "<saml2:Assertion " + rest, who, **where)
    case("okta-real-changed-subject", swap(response.decode(), ("ulysse.carion@", "ulysse.carioN@")),
         "xml.signature.invalid", **where)
    case("okta-real-changed-digest", swap(response.decode(), ("gYuidj1k", "gYuidj1l")), "xml.signature.invalid", **where)
    outer = re.sub(r"<ds:Signature .*?</ds:Signature>", "", response.decode(), count=1, flags=re.S)
    case("okta-real-response-signature-stripped", outer, who, **where)
    case("okta-real-both-signatures-stripped", re.sub(r"<ds:Signature .*?</ds:Signature>", "", outer, flags=re.S),
         "saml.response.unsigned", **where)
    case("okta-real-other-key", response, "xml.signature.invalid",
         **{**where, "own_metadata": meta.replace(re.search(r"X509Certificate>(.*?)<", meta, re.S)[1],
                                                  KEYS["other"].certificate_base64())})
    for name, change, reason in (
            ("expired", {"now": "2024-04-25T20:39:00Z"}, "saml.time.expired"),
            ("early", {"now": "2024-04-25T20:24:00Z"}, "saml.time.early"),
            ("other-audience", {"audience": "http://localhost:8081"}, "saml.audience.mismatch"),
            ("other-acs", {"acs": "http://localhost:8080/"}, "saml.destination.mismatch")):
        case("okta-real-" + name, response, reason, **{**where, **change})


def good_cases():
    case("good-both-signed", good(), identity())
    case("good-response-signed", good(sign="response"), identity())
    case("good-assertion-signed", good(sign="assertion"), identity())
    unsolicited = identity(in_response_to=None, session_index="id1768478400250.1")
    case("good-unsolicited", good(in_response_to=None, session_index="id1768478400250.1"), unsolicited, request=None)
    case("good-unsolicited-while-a-request-waits", good(in_response_to=None, session_index="id1768478400250.1"),
         unsolicited)
    case("good-no-attributes", good(attributes={}), identity(attributes={}))
    case("good-byte-order-mark", b"\xef\xbb\xbf" + good().xml, identity())
    case("good-no-declaration", good(prolog=""), identity())
    case("good-two-audiences-ours-second", good(audiences=["https://other.example/", AUDIENCE]), identity())
    case("good-two-entity-ids", good(), identity(), audience=["urn:old-name", AUDIENCE])
    case("good-one-time-use", good(extra_conditions="<saml2:OneTimeUse/>"), identity())
    case("good-session-limit", good(session_not_on_or_after=3600), identity(session_until="2026-01-15T13:00:00Z"))
    case("good-second-certificate", saml.mint(saml.Options(
        acs=ACS, audience=AUDIENCE, issuer=ISSUER, name_id="alice@acme.example", name_id_format=saml.EMAIL,
        attributes=ATTRIBUTES, in_response_to=REQUEST, now=NOW, response_id=RESPONSE_ID, assertion_id=ASSERTION_ID),
        KEYS["next"]), identity(), own_metadata=metadata("idp", "next"))
    case("good-key-info-lies", good(key_info_signer=KEYS["other"]), identity())
    case("good-no-key-info", good(key_info="none"), identity())
    for algorithm in ("rsa-sha384", "rsa-sha512"):
        case("good-" + algorithm, good(signature_algorithm=algorithm, digest_algorithm=algorithm[4:]), identity())
    for algorithm in ("sha256-rsa-MGF1", "sha384-rsa-MGF1", "sha512-rsa-MGF1"):  # the salt is random: kept when they are there
        case("good-" + algorithm, good(signature_algorithm=algorithm, digest_algorithm=algorithm[:6]), identity(), keep=True)
    c = xmlsec.constants
    unsigned = text_of(good(sign="none"))
    case("good-ecdsa", xmlsec_sign(unsigned, method=c.TransformEcdsaSha256, key="ec"), identity(),
         own_metadata=metadata("ec"), keep=True)
    case("good-prefix-list-of-two", xmlsec_sign(unsigned, prefix="xs saml2"), identity())
    case("good-cdata-attribute", good(edit_assertion=[(">Alice<", "><![CDATA[Al]]>i<![CDATA[ce]]><")]), identity())
    case("good-character-reference", good(name_id_raw="&#97;lice&#x40;acme.example"), identity())
    case("good-base64-lines", base64.encodebytes(good().xml), identity(), b64=True)
    case("good-base64-crlf-lines", base64.encodebytes(good().xml).replace(b"\n", b"\r\n"), identity(), b64=True)
    case("good-line-ends", text_of(good()).replace("\n", "\r\n"), identity())
    edge = good(confirmation_not_on_or_after=240)
    case("good-claim-bounded-by-confirmation", edge, identity(claim_until="2026-01-15T12:06:00Z"))
    case("good-last-second", good(), identity(), now="2026-01-15T12:06:59Z")
    case("good-first-second", good(issuer=ISSUER), identity(), now="2026-01-15T11:58:01Z")
    second = ('<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml2:SubjectConfirmationData '
              'InResponseTo="{}" NotOnOrAfter="{}" Recipient="{}"/></saml2:SubjectConfirmation></saml2:Subject>')
    case("good-second-confirmation-ours", good(edit_assertion=[
        ('<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">', '<saml2:SubjectConfirmation '
         'Method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"/><saml2:SubjectConfirmation '
         'Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">')]), identity())
    # A claim must outlive the moment up to which any confirmation would let the assertion in again.
    case("good-claim-until-the-later-confirmation", good(not_on_or_after=3600, confirmation_not_on_or_after=300,
         edit_assertion=[("</saml2:Subject>", second.format(REQUEST, "2026-01-15T12:30:00.250Z", ACS))]),
         identity(claim_until="2026-01-15T12:32:00Z"))


def attribute_cases():
    case("attribute-values-trimmed", good(attributes={"groups": ["\n  Everyone\n ", " a b "]}),
         identity(attributes={"groups": ["Everyone", "a b"]}))
    case("attribute-repeated-name", good(attributes=[("groups", ["A"]), ("email", "x@acme.example"), ("groups", ["B", "C"])]),
         identity(attributes={"groups": ["A", "B", "C"], "email": "x@acme.example"}))
    case("attribute-empty-value", good(attributes={"middle": ""}), identity(attributes={"middle": [""]}))
    case("attribute-two-statements", good(edit_assertion=[("</saml2:Assertion>",
         '<saml2:AttributeStatement><saml2:Attribute Name="groups"><saml2:AttributeValue>Late</saml2:AttributeValue>'
         '</saml2:Attribute></saml2:AttributeStatement></saml2:Assertion>')]),
         identity(attributes={**ATTRIBUTES, "groups": [*ATTRIBUTES["groups"], "Late"]}))
    case("attribute-without-values", good(edit_assertion=[("</saml2:AttributeStatement>",
         '<saml2:Attribute Name="nothing"/></saml2:AttributeStatement>')]),
         identity(attributes={**ATTRIBUTES, "nothing": []}))
    for name, old, new in (
            ("without-name", 'Name="email"', 'FriendlyName="email"'), ("empty-name", 'Name="email"', 'Name=""'),
            ("child-element", ">Alice<", "><b>Alice</b><"), ("text-and-child", ">Alice<", ">Al<i/>ice<")):
        case("attribute-" + name, good(edit_assertion=[(old, new)]), "saml.attribute.malformed")
    case("attribute-too-many", good(attributes={f"a{i}": "x" for i in range(300)}), "saml.attribute.malformed")


def document_cases():
    """What the parser refuses, each in a message that is otherwise rightly signed where that is possible."""
    base = text_of(good())
    doctype = '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE {}>'
    case("dtd-empty", good(prolog=doctype.format("r")), "xml.dtd.refused")
    case("dtd-external", good(prolog=doctype.format('r SYSTEM "http://127.0.0.1:9/x.dtd"')), "xml.dtd.refused")
    case("dtd-entity", good(prolog=doctype.format('r [<!ENTITY a "alice">]'), name_id="x",
                            edit_signed=[(">x<", ">&a;<")]), "xml.dtd.refused")
    case("dtd-external-entity", good(prolog=doctype.format('r [<!ENTITY a SYSTEM "file:///etc/passwd">]'),
                                     edit_signed=[(">alice@acme.example</saml2:NameID", ">&a;</saml2:NameID")]),
         "xml.dtd.refused")
    lol = "".join(f'<!ENTITY l{i} "{("&l%d;" % (i - 1)) * 10}">' for i in range(1, 10))
    case("dtd-billion-laughs", good(prolog=doctype.format(f'r [<!ENTITY l0 "lol">{lol}]')), "xml.dtd.refused")
    case("dtd-parameter-entity", good(prolog=doctype.format('r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]')),
         "xml.dtd.refused")
    case("dtd-id-attribute", good(prolog=doctype.format("r [<!ATTLIST saml2:NameID Format ID #IMPLIED>]")),
         "xml.dtd.refused")
    case("entity-undeclared", swap(base, (">Alice<", ">&nbsp;Alice<")), "xml.document.malformed")
    case("comment-in-name-id", swap(base, (">alice@acme.example</saml2:NameID", ">alice@acme.example<!-- -->.evil.example"
                                           "</saml2:NameID")), "xml.comment.refused")
    case("comment-in-name-id-signed-around", good(name_id="alice@acme.example.evil.example",
         edit_signed=[("acme.example.evil.example</saml2:NameID", "acme.example<!-- -->.evil.example</saml2:NameID")]),
         "xml.comment.refused")
    case("comment-at-the-end", base + "<!-- x -->", "xml.comment.refused")
    case("comment-in-attribute", swap(base, (">Alice<", ">Al<!---->ice<")), "xml.comment.refused")
    case("instruction-in-name-id", good(name_id="alice@acme.example.evil.example",
         edit_signed=[("acme.example.evil.example</saml2:NameID", "acme.example<?x y?>.evil.example</saml2:NameID")]),
         "xml.comment.refused")
    case("instruction-stylesheet", swap_once(base, "?>", '?><?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?>'),
         "xml.comment.refused")
    case("cdata-in-name-id", good(name_id_raw="alice@acme.example<![CDATA[.evil.example]]>"),
         identity(subject="alice@acme.example.evil.example"))
    case("cdata-hides-a-comment", good(name_id_raw="alice@acme.example<![CDATA[<!---->]]>.evil.example"),
         identity(subject="alice@acme.example<!---->.evil.example"))
    case("cdata-hides-an-assertion", good(attributes={"note": "x"}, edit_assertion=[
        (">x</saml2:AttributeValue>", "><![CDATA[</saml2:AttributeValue><saml2:NameID>" + EVIL
         + "</saml2:NameID>]]></saml2:AttributeValue>")]),
         identity(attributes={"note": f"</saml2:AttributeValue><saml2:NameID>{EVIL}</saml2:NameID>"}))
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    case("xinclude-in-name-id", good(name_id_raw=include), "saml.subject.missing")
    case("xinclude-in-attribute", good(edit_assertion=[(">Alice<", f">{include}<")]), "saml.attribute.malformed")
    case("encoding-utf-16", base.replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16"),
         "xml.encoding.refused")
    case("encoding-declared-utf-16", base.replace('encoding="UTF-8"', 'encoding="UTF-16"'), "xml.encoding.refused")
    case("encoding-declared-latin-1", base.replace('encoding="UTF-8"', "encoding='ISO-8859-1'"), "xml.encoding.refused")
    case("encoding-declared-utf-7", base.replace('encoding="UTF-8"', 'encoding="UTF-7"'), "xml.encoding.refused")
    case("encoding-latin-1-bytes", base.encode("latin-1"), "xml.encoding.refused")
    case("encoding-overlong", good().xml.replace(b"Alice", b"Al\xc0\xafce"), "xml.encoding.refused")
    case("encoding-nul", good().xml.replace(b"Alice", b"Al\x00ce"), "xml.encoding.refused")
    case("encoding-utf-32-mark", b"\xff\xfe\x00\x00" + base.encode("utf-32-le"), "xml.encoding.refused")
    case("not-well-formed", base[:-3], "xml.document.malformed")
    case("two-roots", base + base[base.index("<saml2p"):], "xml.document.malformed")
    case("empty", "", "xml.document.malformed")
    case("blanks", " \r\n\t ", "xml.document.malformed")
    case("text-only", "hello", "xml.document.malformed")
    case("unbound-prefix", swap(base, (">Alice<", "><q:x/><")), "xml.document.malformed")
    case("duplicate-attribute", swap(base, ('Name="email"', 'Name="email" Name="x"')), "xml.document.malformed")
    case("relative-namespace", good(edit_signed=[(">Alice<", '><x xmlns="relative"/><')]), "xml.document.malformed")
    case("relative-namespace-with-colon", good(edit_signed=[(">Alice<", '><x xmlns="./a:b"/><')]),
         "xml.document.malformed")
    case("relative-namespace-unused", swap_once(base, "<saml2p:Response ", '<saml2p:Response xmlns:r="1:x" '),
         "xml.document.malformed")
    # Void canonicalization: where the failed canonicalization counts as the empty string, this digest matches.
    empty = base64.b64encode(__import__("hashlib").sha256(b"").digest()).decode()
    case("relative-namespace-void-digest", re.sub(r"<ds:DigestValue>[^<]*", "<ds:DigestValue>" + empty, swap_once(
        base, "<saml2p:Response ", '<saml2p:Response xmlns:r="../r" ')), "xml.document.malformed")
    case("deep", swap(base, (">Alice<", ">" + "<a>" * 40 + "</a>" * 40 + "<")), "xml.document.too_deep")
    case("giant-tag", swap_once(base, "<saml2p:Response ", "<saml2p:Response " + "".join(
        f'a{i}="" ' for i in range(3000))), "xml.document.too_large")
    case("base64-broken", good().base64[:-5] + "*", "base.base64.malformed", b64=True)
    case("base64-url-alphabet", base64.urlsafe_b64encode(b"\xff\xfe" + good().xml), "base.base64.malformed", b64=True)
    case("base64-empty", "", "xml.document.malformed", b64=True)


def id_cases():
    base, alone = text_of(good()), text_of(good(sign="assertion"))
    case("id-duplicate", swap_once(alone, f'ID="{RESPONSE_ID}"', f'ID="{ASSERTION_ID}"'), "xml.id.duplicate")
    case("id-duplicate-elsewhere", swap(base, ('<saml2p:Status xmlns', f'<saml2p:Status ID="{ASSERTION_ID}" xmlns')),
         "xml.id.duplicate")
    case("id-xml-id", swap_once(alone, "<saml2p:Response ", f'<saml2p:Response xml:id="{ASSERTION_ID}" '),
         "xml.id.malformed")
    case("id-namespaced", swap_once(alone, f'ID="{RESPONSE_ID}"', f'saml2p:ID="{ASSERTION_ID}"'), "xml.id.malformed")
    case("id-wsu", swap_once(alone, "<saml2p:Response ", '<saml2p:Response xmlns:wsu="http://docs.oasis-open.org/wss/2004/'
                             f'01/oasis-200401-wss-wssecurity-utility-1.0.xsd" wsu:Id="{ASSERTION_ID}" '),
         "xml.id.malformed")
    injected = "x') | id('" + ASSERTION_ID
    case("id-xpointer-injection", good(response_id=injected), "xml.id.malformed")
    case("id-empty", good(sign="assertion", edit_signed=[(f'ID="{RESPONSE_ID}"', 'ID=""')]), "xml.id.malformed")
    case("id-blank", good(response_id="a b"), "xml.id.malformed")
    case("id-digit-first", good(response_id="1abc"), "xml.id.malformed")
    case("id-too-long", good(response_id="a" * 300), "xml.id.malformed")
    case("id-missing-on-signed-response", good(omit=["response_id"]), "xml.id.malformed")
    case("id-missing-on-signed-assertion", good(omit=["assertion_id"]), "xml.id.malformed")
    case("id-missing-on-assertion", good(sign="response", omit=["assertion_id"]), "saml.assertion.malformed")


def wrapping_cases():
    """XSW 1 to 8 (Somorovsky et al., 'On Breaking SAML'), on messages with one signature and with both."""
    def split(document):
        assertion = re.search(r"<saml2:Assertion .*</saml2:Assertion>", document, re.S)[0]
        signature = re.search(r"<ds:Signature .*?</ds:Signature>", assertion, re.S)
        return assertion, signature[0] if signature else ""

    def evil(part):
        return part.replace("alice@acme.example", EVIL)

    def renamed(part):
        return swap_once(part, f'ID="{ASSERTION_ID}"', 'ID="idevil"')

    for kind in ("response", "both"):
        document = text_of(good(sign=kind, prolog=""))
        signature = re.search(r"<ds:Signature .*?</ds:Signature>", document, re.S)[0]
        bare = document.replace(signature, "", 1)
        outer = evil(swap_once(document, f'ID="{RESPONSE_ID}"', 'ID="idevilresponse"'))
        outer = re.sub(f'ID="{ASSERTION_ID}"', 'ID="idevil"', outer, count=1)
        shown = evil(signature)
        within = signature.replace("</ds:Signature>", bare + "</ds:Signature>")
        reason = "xml.signature.misplaced" if kind == "both" else "xml.signature.malformed"
        case(f"xsw1-{kind}", outer.replace(shown, within, 1), reason)
        reason = "xml.signature.misplaced" if kind == "both" else "xml.signature.reference"
        case(f"xsw2-{kind}", outer.replace(shown, bare + signature, 1), reason)
    for kind in ("assertion", "both"):
        document = text_of(good(sign=kind, prolog=""))
        assertion, signature = split(document)
        bare = assertion.replace(signature, "")
        naked, dressed = renamed(evil(bare)), renamed(evil(assertion)).replace(evil(signature), signature)
        body = naked.replace("</saml2:Assertion>", "")
        put = lambda new: document.replace(assertion, new)  # noqa: E731
        case(f"xsw3-{kind}", put(naked + assertion), "saml.assertion.count")
        case(f"xsw3-after-{kind}", put(assertion + naked), "saml.assertion.count")
        elsewhere = "xml.signature.misplaced" if kind == "both" else "saml.response.unsigned"
        case(f"xsw4-{kind}", put(body + assertion + "</saml2:Assertion>"), elsewhere)
        case(f"xsw5-{kind}", put(dressed + bare), "saml.assertion.count")
        case(f"xsw6-{kind}", put(dressed.replace("</ds:Signature>", bare + "</ds:Signature>")), "xml.signature.malformed")
        case(f"xsw7-{kind}", put(f"<saml2p:Extensions>{naked}</saml2p:Extensions>{assertion}"),
             "xml.signature.invalid" if kind == "both" else "saml.assertion.count")
        case(f"xsw8-{kind}", put(dressed.replace("</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>")),
             "xml.signature.malformed")
        case(f"wrapped-original-in-extensions-{kind}",
             put(f"<saml2p:Extensions>{assertion}</saml2p:Extensions>{naked}"), elsewhere)
        case(f"wrapped-original-in-advice-{kind}",
             put(body + f"<saml2:Advice>{assertion}</saml2:Advice></saml2:Assertion>"), elsewhere)
        case(f"wrapped-original-in-status-detail-{kind}",
             put(naked).replace("</saml2p:Status>", f"<saml2p:StatusDetail>{assertion}</saml2p:StatusDetail>"
                                "</saml2p:Status>"), elsewhere)
        case(f"wrapped-original-in-attribute-{kind}",
             put(swap_once(naked, ">Alice<", f">{assertion}<")), elsewhere)
    # The evil part is no Assertion by name, so that counting those does not help.
    document = text_of(good(sign="assertion", prolog=""))
    assertion, signature = split(document)
    case("wrapped-other-namespace", document.replace(assertion, assertion + renamed(evil(assertion.replace(
        signature, ""))).replace(saml.NS_SAML2, "urn:oasis:names:tc:SAML:1.0:assertion")), identity())
    nested = text_of(good(sign="both", prolog=""))
    case("wrapped-response-in-response", nested.replace("<saml2p:Status ", nested.replace(
        RESPONSE_ID, "idr2").replace(ASSERTION_ID, "ida2") + "<saml2p:Status ", 1), "xml.signature.misplaced")


def signature_cases():
    base = text_of(good())
    unsigned = text_of(good(sign="none"))
    alone = text_of(good(sign="assertion"))
    case("stripped-both", unsigned, "saml.response.unsigned")
    case("stripped-response", re.sub(r"<ds:Signature .*?</ds:Signature>", "", base, count=1, flags=re.S), identity())
    # The Response's signature covers that of the Assertion.
    parts = re.findall(r"<ds:Signature .*?</ds:Signature>", base, re.S)
    case("stripped-assertion", base.replace(parts[1], ""), "xml.signature.invalid")
    case("stripped-and-changed", swap(unsigned, ("alice@", "mallory@")), "saml.response.unsigned")
    case("value-broken-response", good(break_signature="response"), "xml.signature.invalid")
    case("value-broken-assertion", good(break_signature="assertion"), "xml.signature.invalid")
    case("value-broken-assertion-alone", good(sign="assertion", break_signature="assertion"), "xml.signature.invalid")
    case("digest-broken-response", good(break_digest="response"), "xml.signature.invalid")
    case("digest-broken-assertion", good(break_digest="assertion"), "xml.signature.invalid")
    case("other-key", saml.mint(saml.Options(acs=ACS, audience=AUDIENCE, issuer=ISSUER, name_id=EVIL, now=NOW,
         in_response_to=REQUEST, response_id=RESPONSE_ID, assertion_id=ASSERTION_ID), KEYS["other"]),
         "xml.signature.invalid")
    case("other-key-response", good(response_signer=KEYS["other"]), "xml.signature.invalid")
    case("other-key-assertion", good(assertion_signer=KEYS["other"]), "xml.signature.invalid")
    case("other-key-shows-our-certificate", good(response_signer=KEYS["other"], assertion_signer=KEYS["other"],
                                                 key_info_signer=KEYS["idp"]), "xml.signature.invalid")
    key = KEYS["other"].key.public_key().public_numbers()
    number = lambda n: base64.b64encode(n.to_bytes((n.bit_length() + 7) // 8, "big")).decode()  # noqa: E731
    value = (f"<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{number(key.n)}</ds:Modulus><ds:Exponent>"
             f"{number(key.e)}</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>")
    case("key-value-in-key-info", re.sub(r"<ds:KeyInfo>.*?</ds:KeyInfo>", value, text_of(good(
        sign="response", response_signer=KEYS["other"])), flags=re.S), "xml.signature.invalid")
    case("retrieval-method-in-key-info", re.sub(
        r"<ds:KeyInfo>.*?</ds:KeyInfo>", '<ds:KeyInfo><ds:RetrievalMethod URI="http://127.0.0.1:9/key"/></ds:KeyInfo>',
        text_of(good(sign="response", response_signer=KEYS["other"])), flags=re.S), "xml.signature.invalid")
    pss = good(signature_algorithm="sha256-rsa-MGF1")
    case("pss-broken", good(signature_algorithm="sha256-rsa-MGF1", break_signature="both"), "xml.signature.invalid", keep=True)
    case("pss-by-another", swap(text_of(pss), ("sha256-rsa-MGF1", "sha512-rsa-MGF1")), "xml.signature.invalid", keep=True)
    case("pss-called-pkcs1", swap(text_of(pss), ("2007/05/xmldsig-more#sha256-rsa-MGF1", "2001/04/xmldsig-more#rsa-sha256")),
         "xml.signature.invalid", keep=True)
    case("pss-of-pkcs1", swap(text_of(good()), ("2001/04/xmldsig-more#rsa-sha256", "2007/05/xmldsig-more#sha256-rsa-MGF1")), "xml.signature.invalid")
    case("pss-with-parameters", swap(text_of(pss), ("more#sha256-rsa-MGF1", "more#rsa-pss")), "xml.signature.algorithm", keep=True)
    case("pss-under-an-ec-key", pss, "xml.signature.invalid", own_metadata=metadata("ec"), keep=True)
    case("sha-1", good(signature_algorithm="rsa-sha1", digest_algorithm="sha1"), "xml.signature.algorithm")
    case("sha-1-signature", good(signature_algorithm="rsa-sha1"), "xml.signature.algorithm")
    case("sha-1-digest", good(digest_algorithm="sha1"), "xml.signature.algorithm")
    case("hmac-with-certificate", good(signature_algorithm="hmac-sha256"), "xml.signature.algorithm")
    c = xmlsec.constants
    public = KEYS["idp"].key.public_key().public_bytes(serialization.Encoding.DER,
                                                       serialization.PublicFormat.SubjectPublicKeyInfo)
    case("hmac-with-public-key", xmlsec_sign(unsigned, method=c.TransformHmacSha256, secret=public),
         "xml.signature.algorithm")
    case("algorithm-unknown", swap_once(base, "#rsa-sha256", "#rsa-none"), "xml.signature.algorithm")
    case("algorithm-missing", re.sub(r'<ds:SignatureMethod Algorithm="[^"]*"/>', "<ds:SignatureMethod/>", base),
         "xml.signature.algorithm")
    case("digest-md5", xmlsec_sign(unsigned, digest=c.TransformMd5), "xml.signature.algorithm")
    case("digest-sha224", xmlsec_sign(unsigned, digest=c.TransformSha224), "xml.signature.algorithm")
    case("transform-c14n-inclusive", xmlsec_sign(unsigned, transforms=[c.TransformEnveloped, c.TransformInclC14N]),
         "xml.signature.transform")
    case("transform-c14n-comments", xmlsec_sign(unsigned, transforms=[
        c.TransformEnveloped, c.TransformExclC14NWithComments]), "xml.signature.transform")
    case("transform-enveloped-alone", xmlsec_sign(unsigned, transforms=[c.TransformEnveloped]), "xml.signature.transform")
    case("transform-none", re.sub(r"<ds:Transforms>.*?</ds:Transforms>", "", base, flags=re.S), "xml.signature.malformed")
    case("transform-xpath", xmlsec_sign(unsigned, transforms=[c.TransformEnveloped, c.TransformXPath,
                                        c.TransformExclC14N], xpath="not(ancestor-or-self::*[local-name()='Status'])"),
         "xml.signature.transform")
    case("transform-two-c14n", xmlsec_sign(unsigned, transforms=[c.TransformEnveloped, c.TransformExclC14N,
                                                                 c.TransformExclC14N]), "xml.signature.transform")
    transforms = re.search(r"<ds:Transform Algorithm=\"[^\"]*exc-c14n#\">.*?</ds:Transform>", base, re.S)[0]
    stylesheet = ('<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet version="1.0" '
                  'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><xsl:value-of '
                  'select="document(\'file:///etc/passwd\')"/></xsl:template></xsl:stylesheet></ds:Transform>')
    case("transform-xslt", swap_once(base, transforms, stylesheet), "xml.signature.transform")
    case("transform-xslt-third", swap_once(base, transforms, transforms + stylesheet), "xml.signature.transform")
    case("transform-base64", swap_once(base, transforms, f'<ds:Transform Algorithm="{saml.NS_DS}base64"/>'),
         "xml.signature.transform")
    case("transform-xpath-filter", swap_once(
        base, transforms, '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>'),
        "xml.signature.transform")
    case("transform-enveloped-with-content", swap_once(
        base, 'enveloped-signature"/>', 'enveloped-signature"><x/></ds:Transform>'), "xml.signature.transform")
    case("transform-order", swap_once(base, f'<ds:Transform Algorithm="{saml.ENVELOPED}"/>' + transforms,
                                 transforms + f'<ds:Transform Algorithm="{saml.ENVELOPED}"/>'), "xml.signature.transform")
    case("prefix-list-huge", swap(base, ('PrefixList="xs"', 'PrefixList="' + "xs " * 1000 + '"')),
         "xml.signature.transform")
    case("prefix-list-strange-element", swap(base, ("ec:InclusiveNamespaces", "ec:ExclusiveNamespaces")),
         "xml.signature.transform")
    case("method-c14n-inclusive", xmlsec_sign(unsigned, c14n=c.TransformInclC14N), "xml.signature.algorithm")
    case("method-c14n-comments", xmlsec_sign(unsigned, c14n=c.TransformExclC14NWithComments), "xml.signature.algorithm")
    case("uri-empty", xmlsec_sign(unsigned, uri=""), "xml.signature.reference")
    case("uri-missing", re.sub(r'<ds:Reference URI="[^"]*">', "<ds:Reference>", base), "xml.signature.reference")
    case("uri-xpointer", xmlsec_sign(unsigned, uri=f"#xpointer(id('{RESPONSE_ID}'))"), "xml.signature.reference")
    case("uri-xpointer-root", xmlsec_sign(unsigned, uri="#xpointer(/)"), "xml.signature.reference")
    for name, place, value in (("uri", "<ds:Reference URI", "#xpointer(//*[count(//*)=0])"), ("prefix-list", "PrefixList", "q " * 8000),
                               ("transform", "<ds:Transform Algorithm", saml.NS_DS + "base64"), ("digest", "<ds:DigestMethod Algorithm", "urn:y"),
                               ("method", "<ds:SignatureMethod Algorithm", "urn:y"),
                               ("canonicalization", "<ds:CanonicalizationMethod Algorithm", "urn:y")):
        before, attribute = place.rpartition(" ")[0::2]
        foreign = f'{before} xmlns:x="urn:x" x:{attribute}="{value}" {attribute}'.lstrip()
        case(name + "-of-another-namespace", swap_once(base, place, foreign), "xml.signature.malformed")
    case("uri-external", good(reference_uri="http://127.0.0.1:9/x"), "xml.signature.reference")
    case("uri-file", good(reference_uri="file:///etc/passwd"), "xml.signature.reference")
    case("uri-no-hash", good(sign="response", reference_uri=RESPONSE_ID), "xml.signature.reference")
    case("uri-injection", good(sign="response", reference_uri=f"#x') | id('{RESPONSE_ID}"), "xml.signature.reference")
    case("uri-of-the-other-element", good(reference_uri="#" + ASSERTION_ID), "xml.signature.reference")
    case("references-two", xmlsec_sign(unsigned, references=2), "xml.signature.reference")
    reference = re.search(r"<ds:Reference .*?</ds:Reference>", base, re.S)[0]
    case("references-none", base.replace(reference, ""), "xml.signature.reference")
    info = re.search(r"<ds:SignedInfo>.*?</ds:SignedInfo>", base, re.S)[0]
    case("signed-info-two", swap_once(base, info, info + info), "xml.signature.malformed")
    case("signed-info-none", swap_once(base, info, ""), "xml.signature.malformed")
    case("signed-info-second-last", swap_once(base, "</ds:KeyInfo></ds:Signature>", "</ds:KeyInfo>" + info
                                              + "</ds:Signature>"), "xml.signature.malformed")
    case("signature-empty", re.sub(r"<ds:Signature (.*?)</ds:Signature>", f'<ds:Signature xmlns:ds="{saml.NS_DS}"/>', base,
                                   flags=re.S), "xml.signature.malformed")
    case("signature-value-missing", re.sub(r"<ds:SignatureValue>.*?</ds:SignatureValue>", "", base),
         "xml.signature.malformed")
    case("signature-value-empty", re.sub(r"<ds:SignatureValue>.*?</ds:SignatureValue>", "<ds:SignatureValue/>", base),
         "xml.signature.invalid")
    case("digest-value-missing", re.sub(r"<ds:DigestValue>.*?</ds:DigestValue>", "", base), "xml.signature.malformed")
    case("digest-value-empty", re.sub(r"<ds:DigestValue>.*?</ds:DigestValue>", "<ds:DigestValue/>", base),
         "xml.signature.invalid")
    case("digest-value-comment", re.sub(r"<ds:DigestValue>(....)", r"<ds:DigestValue>\1<!-- -->", base),
         "xml.comment.refused")
    case("object", swap_once(base, "</ds:KeyInfo></ds:Signature>", "</ds:KeyInfo><ds:Object/></ds:Signature>"),
         "xml.signature.malformed")
    manifest = ('</ds:KeyInfo><ds:Object><ds:Manifest><ds:Reference URI="http://127.0.0.1:9/x"><ds:DigestMethod '
                'Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference>'
                "</ds:Manifest></ds:Object></ds:Signature>")
    case("object-manifest", swap_once(base, "</ds:KeyInfo></ds:Signature>", manifest), "xml.signature.malformed")
    case("signatures-two-in-response", swap_once(base, parts[0], parts[0] + parts[0]), "xml.signature.misplaced")
    case("signatures-two-in-assertion", alone.replace(*(lambda s: (s, s + s))(
        re.search(r"<ds:Signature .*?</ds:Signature>", alone, re.S)[0])), "xml.signature.misplaced")
    inner = re.search(r"<ds:Signature .*?</ds:Signature>", alone, re.S)[0]
    case("signature-in-status", alone.replace(inner, "").replace("</saml2p:Status>", inner + "</saml2p:Status>"),
         "saml.response.unsigned")
    case("signature-of-assertion-in-response", alone.replace(inner, "").replace(
        "</saml2:Issuer><saml2p:Status", "</saml2:Issuer>" + inner + "<saml2p:Status"), "xml.signature.reference")
    case("signature-in-subject", alone.replace(inner, "").replace("</saml2:Subject>", inner + "</saml2:Subject>"),
         "saml.response.unsigned")
    case("signature-in-attribute", swap_once(alone, ">Alice<", f">{inner}<"), "xml.signature.misplaced")
    case("signature-other-namespace", alone.replace(inner, inner.replace(saml.NS_DS, "urn:x")),
         "saml.response.unsigned")
    case("one-bad-of-two", good(assertion_signer=KEYS["other"], sign="both"), "xml.signature.invalid")
    case("changed-destination-unsigned", text_of(good(sign="assertion")).replace(
        f'Destination="{ACS}"', 'Destination="https://other.example/"'), "saml.destination.mismatch")
    case("changed-issuer-signed", swap_once(base, f">{ISSUER}<", ">http://www.okta.com/other<"), "saml.issuer.mismatch")


def statement_cases():
    """Rightly signed, and still not for us."""
    other = "https://other.example/sso/okta/acs/other"
    refused = {
        "destination-other": (dict(destination=other), "saml.destination.mismatch"),
        "destination-missing-signed": (dict(omit=["destination"]), "saml.destination.mismatch"),
        "destination-empty": (dict(edit_response=[(f'Destination="{ACS}"', 'Destination=""')]),
                              "saml.destination.mismatch"),
        "destination-case": (dict(destination=ACS.upper()), "saml.destination.mismatch"),
        "destination-query": (dict(destination=ACS + "?x=1"), "saml.destination.mismatch"),
        "recipient-other": (dict(recipient=other), "saml.recipient.mismatch"),
        "recipient-missing": (dict(omit=["recipient"]), "saml.recipient.mismatch"),
        "recipient-prefix": (dict(recipient=ACS + "/x"), "saml.recipient.mismatch"),
        "audience-other": (dict(audiences=["https://other.example/"]), "saml.audience.mismatch"),
        "audience-missing": (dict(omit=["audience"]), "saml.audience.mismatch"),
        "audience-restriction-missing": (dict(omit=["audience_restriction"]), "saml.audience.mismatch"),
        "audience-second-restriction": (dict(extra_conditions="<saml2:AudienceRestriction><saml2:Audience>https://other."
                                             "example/</saml2:Audience></saml2:AudienceRestriction>"),
                                        "saml.audience.mismatch"),
        "audience-comment-like": (dict(audiences=[AUDIENCE + ".evil.example"]), "saml.audience.mismatch"),
        "audience-child-element": (dict(edit_assertion=[(f">{AUDIENCE}<", f">{AUDIENCE}<x/><")]),
                                   "saml.audience.mismatch"),
        "conditions-missing": (dict(omit=["conditions"]), "saml.assertion.malformed"),
        "conditions-two": (dict(extra_assertion=f'<saml2:Conditions xmlns:saml2="{saml.NS_SAML2}"/>'),
                           "saml.assertion.malformed"),
        "condition-unknown": (dict(extra_conditions='<x:Geo xmlns:x="urn:x">EU</x:Geo>'), "saml.condition.unknown"),
        "condition-abstract": (dict(extra_conditions="<saml2:Condition/>"), "saml.condition.unknown"),
        "issuer-other": (dict(issuer="http://www.okta.com/exkother"), "saml.issuer.mismatch"),
        "issuer-response-other": (dict(response_issuer="http://www.okta.com/exkother"), "saml.issuer.mismatch"),
        "issuer-assertion-other": (dict(assertion_issuer="http://www.okta.com/exkother"), "saml.issuer.mismatch"),
        "issuer-assertion-missing": (dict(omit=["assertion_issuer"]), "saml.issuer.mismatch"),
        # SAML Profiles 4.1.4.2: present where the Response is signed; SECURITY.md 20.
        "issuer-response-missing-signed": (dict(omit=["response_issuer"]), "saml.issuer.mismatch"),
        "issuer-blank-around": (dict(issuer=ISSUER + " "), "saml.issuer.mismatch"),
        "version-1.1": (dict(version="1.1"), "saml.response.malformed"),
        "version-assertion": (dict(edit_assertion=[('Version="2.0"', 'Version="1.1"')]), "saml.assertion.malformed"),
        "version-missing": (dict(edit_response=[(' Version="2.0" xmlns:saml2p', " xmlns:saml2p")]),
                            "saml.response.malformed"),
        "expired": (dict(clock_offset=-3600), "saml.time.expired"),
        "expired-confirmation": (dict(confirmation_not_on_or_after=-121), "saml.time.expired"),
        "expired-conditions": (dict(not_on_or_after=-121, confirmation_not_on_or_after=300), "saml.time.expired"),
        "expired-epoch": (dict(edit_assertion=lambda a: re.sub(
            r'(<saml2:Conditions [^>]*NotOnOrAfter=")[^"]*', r"\g<1>1970-01-01T00:00:00Z", a)), "saml.time.expired"),
        "expired-session": (dict(session_not_on_or_after=-200), "saml.time.expired"),
        "expired-session-epoch": (dict(session_not_on_or_after=0, edit_assertion=lambda a: re.sub(
            r'(SessionNotOnOrAfter=")[^"]*', r"\g<1>1970-01-01T00:00:00Z", a)), "saml.time.expired"),
        "early": (dict(clock_offset=3600), "saml.time.early"),
        "early-not-before": (dict(not_before=200), "saml.time.early"),
        "early-issue-instant": (dict(edit_assertion=lambda a: a.replace(
            'IssueInstant="2026-01-15T12:00', 'IssueInstant="2026-01-15T12:03', 1)), "saml.time.early"),
        "confirmation-end-missing": (dict(omit=["confirmation_not_on_or_after"]), "saml.time.expired"),
        "confirmation-not-before": (dict(edit_assertion=[("<saml2:SubjectConfirmationData",
                                    '<saml2:SubjectConfirmationData NotBefore="2026-01-15T12:04:00Z"')]),
                                    "saml.time.early"),
        "time-local": (dict(edit_assertion=lambda a: re.sub(
            r'(<saml2:Conditions [^>]*NotOnOrAfter="[^"]*)Z"', r'\1+01:00"', a)), "base.time.malformed"),
        "time-garbage": (dict(edit_assertion=lambda a: re.sub(
            r'(SubjectConfirmationData [^>]*NotOnOrAfter=")[^"]*', r"\g<1>tomorrow", a)), "base.time.malformed"),
        "confirmation-missing": (dict(omit=["confirmation"]), "saml.confirmation.missing"),
        "confirmation-data-missing": (dict(omit=["confirmation_data"]), "saml.confirmation.missing"),
        "confirmation-holder-of-key": (dict(confirmation_method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"),
                                       "saml.confirmation.missing"),
        "confirmation-sender-vouches": (dict(confirmation_method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"),
                                        "saml.confirmation.missing"),
        "in-response-to-other": (dict(in_response_to="_" + "f" * 32), "saml.in_response_to.mismatch"),
        "in-response-to-confirmation-other": (dict(confirmation_in_response_to="_" + "f" * 32),
                                              "saml.in_response_to.mismatch"),
        # The Response answers a request, and not this one: whatever the Assertion leaves out.
        "in-response-to-response-other": (dict(response_in_response_to="_" + "f" * 32), "saml.in_response_to.mismatch"),
        "in-response-to-confirmation-missing": (dict(response_in_response_to="_" + "f" * 32,
                                                     omit=["confirmation_in_response_to"]),
                                                "saml.in_response_to.mismatch"),
        "in-response-to-response-alone": (dict(omit=["confirmation_in_response_to"]), "saml.in_response_to.mismatch"),
        "in-response-to-case": (dict(in_response_to=REQUEST.upper()), "saml.in_response_to.mismatch"),
        "in-response-to-empty": (dict(edit_assertion=[(f'InResponseTo="{REQUEST}"', 'InResponseTo=""')]),
                                 "saml.in_response_to.mismatch"),
        "subject-missing": (dict(omit=["subject"]), "saml.subject.missing"),
        "name-id-missing": (dict(omit=["name_id"]), "saml.subject.missing"),
        "name-id-empty": (dict(name_id=""), "saml.subject.missing"),
        "name-id-blank": (dict(name_id="  "), "saml.subject.missing"),
        "name-id-blank-after": (dict(name_id="alice@acme.example "), "saml.subject.missing"),
        "name-id-line-end": (dict(name_id="alice@acme.example\n"), "saml.subject.missing"),
        "name-id-carriage-return": (dict(name_id_raw="alice@acme.example&#13;X: y"), "saml.subject.missing"),
        "name-id-tab-inside": (dict(name_id_raw="alice&#9;@acme.example"), "saml.subject.missing"),
        "name-id-bidi-override": (dict(name_id_raw="alice&#x202e;@acme.example"), "saml.subject.missing"),
        "name-id-zero-width": (dict(name_id_raw="alice&#x200b;@acme.example"), "saml.subject.missing"),
        "name-id-child-element": (dict(name_id_raw="alice@acme.example<x/>"), "saml.subject.missing"),
        "name-id-wrapped": (dict(name_id_raw="<x>alice@acme.example</x>"), "saml.subject.missing"),
        "name-id-too-long": (dict(name_id="a" * 2000), "saml.subject.missing"),
        "name-id-two": (dict(edit_assertion=[("<saml2:SubjectConfirmation ", f"<saml2:NameID>{EVIL}</saml2:NameID>"
                                              "<saml2:SubjectConfirmation ")]), "saml.subject.missing"),
        "name-id-encrypted": (dict(edit_assertion=[("saml2:NameID", "saml2:EncryptedID")]), "saml.subject.missing"),
        "subject-two": (dict(extra_assertion=f'<saml2:Subject xmlns:saml2="{saml.NS_SAML2}"><saml2:NameID>{EVIL}'
                             "</saml2:NameID></saml2:Subject>"), "saml.subject.missing"),
        "authn-statement-missing": (dict(omit=["authn_statement"]), "saml.assertion.malformed"),
        "issue-instant-missing": (dict(edit_assertion=lambda a: re.sub(r' IssueInstant="[^"]*"', "", a, count=1)),
                                  "saml.assertion.malformed"),
        "status-responder": (dict(status="Responder", sub_status="AuthnFailed", status_message="No."),
                             "saml.status.not_success"),
        "status-unsigned": (dict(status="Responder", sign="none"), "saml.status.not_success"),
        "status-with-assertion": (dict(status="Requester", with_assertion=True), "saml.status.not_success"),
        "status-missing": (dict(omit=["status"]), "saml.response.malformed"),
        "status-success-nested": (dict(status="Responder", sub_status="Success", with_assertion=True),
                                  "saml.status.not_success"),
        "status-two": (dict(extra_response=f'<saml2p:Status xmlns:saml2p="{saml.NS_SAML2P}"><saml2p:StatusCode Value="'
                            f'{saml.STATUS}Success"/></saml2p:Status>'), "saml.response.malformed"),
        "assertion-none": (dict(with_assertion=False), "saml.assertion.count"),
    }
    for name, (changes, reason) in refused.items():
        case(name, good(**changes), reason)
    case("in-response-to-nothing-started", good(), "saml.in_response_to.mismatch", request=None)
    case("expired-by-the-second", good(), "saml.time.expired", now="2026-01-15T12:07:01Z")
    case("early-by-the-second", good(), "saml.time.early", now="2026-01-15T11:52:59Z")
    two = text_of(good(sign="none"))
    assertion = re.search(r"<saml2:Assertion .*</saml2:Assertion>", two, re.S)[0]
    extra = assertion.replace(ASSERTION_ID, "idsecond").replace("alice@", "mallory@")
    case("assertions-two-signed", xmlsec_sign(two.replace(assertion, assertion + extra)), "saml.assertion.count")
    encrypted = (f'<saml2:EncryptedAssertion xmlns:saml2="{saml.NS_SAML2}"><xenc:EncryptedData xmlns:xenc="http://www.w3.org'
                 '/2001/04/xmlenc#"><xenc:CipherData><xenc:CipherReference URI="http://127.0.0.1:9/c"/></xenc:CipherData>'
                 "</xenc:EncryptedData></saml2:EncryptedAssertion>")
    case("assertion-encrypted", xmlsec_sign(two.replace(assertion, encrypted)), "saml.assertion.encrypted")
    case("assertion-encrypted-unsigned", two.replace(assertion, encrypted), "saml.assertion.encrypted")
    case("assertion-and-encrypted", xmlsec_sign(two.replace(assertion, assertion + encrypted)), "saml.assertion.count")
    case("assertion-in-advice-signed", xmlsec_sign(two.replace("</saml2:Assertion>", f"<saml2:Advice>{extra}</saml2:Advice>"
                                                               "</saml2:Assertion>")), "saml.assertion.count")
    case("root-assertion", '<?xml version="1.0" encoding="UTF-8"?>' + re.search(
        r"<saml2:Assertion .*</saml2:Assertion>", text_of(good(sign="assertion")), re.S)[0], "saml.response.malformed")
    case("root-logout-response", text_of(good()).replace("saml2p:Response", "saml2p:LogoutResponse"),
         "saml.response.malformed")
    case("root-other-namespace", text_of(good(sign="assertion")).replace(saml.NS_SAML2P, "urn:x"),
         "saml.response.malformed")
    case("root-no-namespace", "<Response/>", "saml.response.malformed")
    case("issuer-response-missing-unsigned", good(sign="assertion", omit=["response_issuer"]), identity())
    case("destination-missing-unsigned", good(sign="assertion", omit=["destination"]), identity())
    case("name-id-without-format", good(edit_assertion=[(f'<saml2:NameID Format="{saml.EMAIL}">', "<saml2:NameID>")]),
         identity(format=saml.UNSPECIFIED))


# ---- Encryption: each of these is made anew only when its directory is not there ----------------------------------------

def encryption_cases():
    sp = KEYS["sp"].certificate_pem()

    def sealed(name, outcome, encryption=None, *, sp_keys=("sp",), **changes):
        case(name, good(encrypt={"certificate": sp, **(encryption or {})}, **changes), outcome, keep=True, sp_keys=sp_keys)

    for data in ("aes128-gcm", "aes256-gcm"):
        for label, transport in (("sha1", dict(digest="sha1")), ("sha256", dict(digest="sha256")), ("unsaid", dict(say_digest=False)),
                                 ("mgf1", dict(transport="rsa-oaep", digest="sha256", mask="sha256")),
                                 ("mgf1-sha1", dict(transport="rsa-oaep", digest="sha1"))):
            sealed(f"encrypted-{data}-{label}", identity(), dict(data=data, **transport), sign="assertion")
    for data in ("aes128-cbc", "aes256-cbc"):
        sealed(f"encrypted-{data}", identity(), dict(data=data))
        sealed(f"encrypted-{data}-response-signed", identity(), dict(data=data), sign="response")
        sealed(f"encrypted-{data}-unprotected", "xml.encryption.algorithm", dict(data=data), sign="assertion")
    sealed("encrypted-both-signed", identity())
    sealed("encrypted-response-signed", identity(), sign="response")
    sealed("encrypted-key-beside", identity(), dict(beside=True))
    sealed("encrypted-second-key", identity(), dict(certificate=KEYS["sp-next"].certificate_pem()), sp_keys=("sp", "sp-next"))
    sealed("encrypted-without-type", identity(), dict(edit=[(f' Type="{encrypt.XENC}Element"', "")]))

    # Who signed, and whether anybody did.
    sealed("encrypted-unsigned", "saml.response.unsigned", sign="none")
    sealed("encrypted-assertion-of-another", "xml.signature.invalid", sign="assertion", assertion_signer=KEYS["other"])
    sealed("encrypted-response-of-another", "xml.signature.invalid", response_signer=KEYS["other"])
    sealed("encrypted-both-inner-of-another", "xml.signature.invalid", assertion_signer=KEYS["other"])
    sealed("encrypted-both-inner-digest-broken", "xml.signature.invalid", break_digest="assertion")
    sealed("encrypted-digest-broken", "xml.signature.invalid", sign="assertion", break_digest="assertion")
    sealed("encrypted-no-key", "saml.assertion.encrypted", sp_keys=())
    sealed("encrypted-for-another", "xml.encryption.failed", dict(certificate=KEYS["other"].certificate_pem()))

    # Algorithms.
    for name, encryption in {"rsa-1-5": dict(transport="rsa-1_5"), "3des": dict(data="tripledes-cbc"), "aes192": dict(data="aes192-gcm"),
                             "digest-sha512": dict(digest="sha512"),
                             "mask-of-the-older-name": dict(digest="sha256", mask="sha256"),
                             "oaep-params": dict(edit=[('mgf1p">', 'mgf1p"><xenc:OAEPparams>AAAA</xenc:OAEPparams>')]),
                             "no-method": dict(edit=[(f'<xenc:EncryptionMethod Algorithm="{encrypt.XENC11}aes256-gcm"/>', "")]),
                             "unknown": dict(edit=[("aes256-gcm", "aes512-gcm")])}.items():
        sealed(f"encrypted-{name}", "xml.encryption.algorithm", encryption)

    # Shape.
    key = encrypt.encrypted("x", sp)
    key = key[key.index("<xenc:EncryptedKey"):key.index("</ds:KeyInfo>")]
    for name, edit in {
            "cipher-reference": [("<xenc:CipherValue>", '<xenc:CipherReference URI="http://127.0.0.1:9/"/><xenc:CipherValue>')],
            "cipher-reference-after": [("</xenc:CipherValue>", '</xenc:CipherValue><xenc:CipherReference URI="#x"/>')],
            "cipher-value-none": [("<xenc:CipherValue>", "<xenc:Value>"), ("</xenc:CipherValue>", "</xenc:Value>")],
            "cipher-value-no-base64": [("<xenc:CipherValue>", "<xenc:CipherValue>!")],
            "cipher-data-two": [("</xenc:EncryptedData>", "<xenc:CipherData/></xenc:EncryptedData>")],
            "retrieval-method": [("</xenc:EncryptedKey></ds:KeyInfo>",
                                  '</xenc:EncryptedKey><ds:RetrievalMethod URI="http://127.0.0.1:9/"/></ds:KeyInfo>')],
            "keys-two": [("</ds:KeyInfo>", key + "</ds:KeyInfo>")],
            "key-none": [("<xenc:EncryptedKey", "<xenc:NoKey"), ("</xenc:EncryptedKey", "</xenc:NoKey")],
            "data-two": [("</saml2:EncryptedAssertion>", f'<xenc:EncryptedData xmlns:xenc="{encrypt.XENC}"/></saml2:EncryptedAssertion>')],
            "content": [("#Element", "#Content")]}.items():
        sealed(f"encrypted-{name}", "xml.encryption.malformed", dict(edit=edit))

    # Whatever depends on a key or on what comes out reads alike: no oracle.
    flip = lambda at: lambda sealed_bytes: sealed_bytes[:at] + bytes([sealed_bytes[at] ^ 1]) + (sealed_bytes[at + 1:] if at != -1 else b"")
    for name, encryption in {
            "changed-iv": dict(change=flip(0)), "changed-text": dict(change=flip(40)), "changed-tag": dict(change=flip(-1)),
            "cut": dict(change=lambda b: b[:20]), "empty": dict(change=lambda b: b""), "one-block": dict(data="aes128-cbc", change=lambda b: b[:16]),
            "no-blocks": dict(data="aes128-cbc", change=lambda b: b[:-1]),
            "padding-zero": dict(data="aes128-cbc", pad=bytes(16)), "padding-17": dict(data="aes128-cbc", pad=bytes([17]) * 16),
            "padding-255": dict(data="aes256-cbc", pad=bytes([255]) * 16), "key-too-long": dict(key_bytes=33),
            "key-too-short": dict(key_bytes=16)}.items():
        sealed(f"encrypted-{name}", "xml.encryption.failed", encryption)
    for name, plain in {"no-xml": "garbage", "two-elements": "<a/><b/>", "escapes": "</decrypted><x/><decrypted>", "nothing": " ",
                        "comment": "<a><!-- --></a>", "dtd": '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "half": "<saml2:Assertion>"}.items():
        sealed(f"encrypted-plain-{name}", "xml.encryption.failed", edit_signed_assertion=lambda text, plain=plain: plain, sign="response")

    # What comes out must be one Assertion.
    sealed("encrypted-something-else", "saml.assertion.count", edit_signed_assertion=lambda text: "<x/>", sign="response")
    sealed("encrypted-in-encrypted", "saml.assertion.count", sign="response",
           edit_signed_assertion=lambda text: encrypt.encrypted(text, sp))
    sealed("encrypted-with-another-in-advice", "saml.assertion.count", sign="response", edit_signed_assertion=lambda text: text.replace(
        "</saml2:Assertion>", "<saml2:Advice>" + text.replace(ASSERTION_ID, "idsecond") + "</saml2:Advice></saml2:Assertion>"))
    sealed("encrypted-signature-elsewhere", "xml.signature.misplaced", sign="assertion", edit_signed_assertion=lambda text: swap_once(
        text, "</saml2:AttributeStatement>", re.search("<ds:Signature .*</ds:Signature>", text, re.S)[0] + "</saml2:AttributeStatement>"))
    sealed("encrypted-beside-plain", "saml.assertion.count", sign="response", extra_response=re.search(
        r"<saml2:Assertion .*</saml2:Assertion>", text_of(good(sign="none")), re.S)[0])
    sealed("encrypted-two", "saml.assertion.count", sign="response", extra_response=encrypt.encrypted("<x/>", sp))
    sealed("encrypted-wrapped-signed-inside", "saml.assertion.count", sign="assertion", edit_signed_assertion=wrap_inside)
    sealed("encrypted-changed-after-signing", "xml.signature.invalid", sign="assertion", edit_signed_assertion=[("alice@", "mallory@")])
    sealed("encrypted-other-audience", "saml.audience.mismatch", audience="https://other.example")
    sealed("encrypted-expired", "saml.time.expired", clock_offset=-3600)

    # Made by libxmlsec, in the place of the Assertion: the namespaces around it are not repeated inside.
    unsigned = text_of(good(sign="none"))
    case("encrypted-by-xmlsec", xmlsec_sign(xmlsec_encrypt(unsigned)), identity(), keep=True, sp_keys=("sp",))


def wrap_inside(text):
    """XSW within what is encrypted: an unsigned Assertion around the signed one."""
    evil = re.sub(r"<ds:Signature .*</ds:Signature>", "", text, flags=re.S).replace(ASSERTION_ID, "idevil").replace("alice@", "mallory@")
    return evil.replace("</saml2:Conditions>", f"</saml2:Conditions><saml2:Advice>{text}</saml2:Advice>")


def xmlsec_encrypt(document):
    root = etree.fromstring(document.encode())
    assertion = root.find(f"{{{saml.NS_SAML2}}}Assertion")
    etree.cleanup_namespaces(root, top_nsmap={"saml2": saml.NS_SAML2, "xs": saml.NS_XS, "xsi": saml.NS_XSI})
    c = xmlsec.constants
    template = xmlsec.template.encrypted_data_create(root, c.TransformAes256Gcm, type=c.TypeEncElement, ns="xenc")
    xmlsec.template.encrypted_data_ensure_cipher_value(template)
    info = xmlsec.template.encrypted_data_ensure_key_info(template, ns="ds")
    encrypted_key = xmlsec.template.add_encrypted_key(info, c.TransformRsaOaep)
    xmlsec.template.encrypted_data_ensure_cipher_value(encrypted_key)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(KEYS["sp"].certificate_pem(), c.KeyDataFormatCertPem))
    context = xmlsec.EncryptionContext(manager)
    context.key = xmlsec.Key.generate(c.KeyDataAes, 256, c.KeyDataTypeSession)
    data = context.encrypt_xml(template, assertion)
    holder = etree.Element(f"{{{saml.NS_SAML2}}}EncryptedAssertion")
    parent = data.getparent()
    parent.replace(data, holder)
    holder.append(data)
    return etree.tostring(root).decode()


def main():
    global KEYS
    KEYS = signers()
    (OUT / "metadata.xml").write_text(metadata("idp"))
    for write in (okta_cases, good_cases, attribute_cases, document_cases, id_cases, wrapping_cases, signature_cases,
                  statement_cases, encryption_cases):
        write()
    for path in OUT.iterdir():
        if path.is_dir() and path.name != "_keys" and path.name not in written:
            raise SystemExit(f"{path} is of no case any more: remove it")
    print(f"{len(written)} cases")


if __name__ == "__main__":
    main()
