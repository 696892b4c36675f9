"""SAML documents as Okta writes them (OKTA.md B.1), and every way of writing them wrong that the tests need.

A document is put together as text, so that each byte on the wire is decided here: `mint()` writes the Assertion, signs
it, puts it into the Response and signs that. Signing is done by hand (canonicalization by libxml2, RSA by
cryptography), because a library would refuse to make most of the broken messages; that the good ones are right is
judged by xmlsec1 in test_okta.py.
"""

import base64
import dataclasses
import datetime
import hashlib
import re
import secrets
import zlib
from typing import Callable, Optional, Union
from urllib.parse import parse_qsl, quote, urlsplit

from lxml import etree

from .encrypt import encrypted

NS_SAML2P = "urn:oasis:names:tc:SAML:2.0:protocol"
NS_SAML2 = "urn:oasis:names:tc:SAML:2.0:assertion"
NS_DS = "http://www.w3.org/2000/09/xmldsig#"
NS_MD = "urn:oasis:names:tc:SAML:2.0:metadata"
NS_XS = "http://www.w3.org/2001/XMLSchema"
NS_XSI = "http://www.w3.org/2001/XMLSchema-instance"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = NS_DS + "enveloped-signature"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
PASSWORD_TRANSPORT = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
STATUS = "urn:oasis:names:tc:SAML:2.0:status:"
FORMAT_UNSPECIFIED = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"

SIGNATURE_URIS = {
    **{f"sha{bits}-rsa-MGF1": f"http://www.w3.org/2007/05/xmldsig-more#sha{bits}-rsa-MGF1" for bits in (256, 384, 512)},
    "rsa-sha1": NS_DS + "rsa-sha1", "hmac-sha1": NS_DS + "hmac-sha1",
    **{f"{kind}-{bits}": f"http://www.w3.org/2001/04/xmldsig-more#{kind}-{bits}"
       for kind in ("rsa", "hmac") for bits in ("sha256", "sha384", "sha512")},
}
DIGEST_URIS = {
    "sha1": NS_DS + "sha1", "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
    "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384", "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
}

# An edit of the document's text at some stage: a function, or pairs of old and new text (each old must be there).
Edit = Union[None, Callable[[str], str], list]


@dataclasses.dataclass
class Options:
    """Everything that decides how a Response looks. The defaults, with the first block filled in, are a good one."""

    acs: str = ""                          # Destination and Recipient, unless these say otherwise
    audience: str = ""
    issuer: str = ""
    name_id: str = ""
    # {name: value or list of values} or a list of such pairs, when a name shall occur twice
    attributes: Union[dict, list] = dataclasses.field(default_factory=dict)
    in_response_to: Optional[str] = None   # None: IdP-initiated

    name_id_format: str = UNSPECIFIED
    name_id_raw: Optional[str] = None      # XML in place of the escaped name_id
    name_id_comment: bool = False          # an XML comment in the middle of the NameID
    name_id_attributes: str = ""           # more XML attributes of NameID
    destination: Optional[str] = None
    recipient: Optional[str] = None
    audiences: Optional[list] = None       # several Audience elements in one AudienceRestriction
    response_issuer: Optional[str] = None
    assertion_issuer: Optional[str] = None
    response_in_response_to: Optional[str] = None      # where Response and SubjectConfirmationData shall differ
    confirmation_in_response_to: Optional[str] = None
    confirmation_method: str = BEARER
    version: str = "2.0"
    omit: list = dataclasses.field(default_factory=list)   # see OMITTABLE

    now: Optional[datetime.datetime] = None   # UTC; None: the clock
    clock_offset: float = 0                # seconds by which Okta's clock is wrong: moves every time
    not_before: float = -300               # of Conditions, seconds from now
    not_on_or_after: float = 300           # of Conditions
    confirmation_not_on_or_after: Optional[float] = None   # None: as in Conditions
    authn_age: float = 0                   # seconds since the sign-in at Okta
    authn_context: str = PASSWORD_TRANSPORT
    session_not_on_or_after: Optional[float] = None
    session_index: Optional[str] = None    # None: the AuthnRequest's ID, or id<millis>.<n>

    status: str = "Success"
    sub_status: str = ""
    status_message: str = ""
    with_assertion: Optional[bool] = None  # None: when the status is Success

    sign: str = "both"                     # both, response, assertion, none
    break_signature: str = ""              # a changed SignatureValue: response, assertion, both
    break_digest: str = ""                 # a DigestValue of something else, rightly signed: response, assertion, both
    signature_algorithm: str = "rsa-sha256"
    digest_algorithm: str = "sha256"
    prefix_list: Optional[str] = None      # None: "xs" with attributes, else no InclusiveNamespaces
    reference_uri: Optional[str] = None    # in place of '#' and the ID, in both signatures
    key_info: str = "own"                  # own, none
    response_id: Optional[str] = None      # None: random
    assertion_id: Optional[str] = None

    extra_conditions: str = ""             # XML inside Conditions
    extra_assertion: str = ""              # XML at the end of the Assertion, signed with it
    extra_response: str = ""               # XML at the end of the Response, signed with it
    prolog: str = '<?xml version="1.0" encoding="UTF-8"?>'   # a place for a DOCTYPE

    encrypt: Optional[dict] = None         # the arguments of encrypt.encrypted(); the Assertion is signed first

    edit_assertion: Edit = None            # before anything is signed
    edit_signed_assertion: Edit = None     # after the Assertion's signature, before the Response's
    edit_response: Edit = None             # the whole Response before its signature
    edit_signed: Edit = None               # after all signatures

    response_signer: object = None         # a keys.Signer other than the one given to mint()
    assertion_signer: object = None
    key_info_signer: object = None         # whose certificate KeyInfo shows


OMITTABLE = {
    "destination", "recipient", "audience", "audience_restriction", "conditions", "not_before", "not_on_or_after",
    "confirmation", "confirmation_data", "confirmation_not_on_or_after", "response_issuer", "assertion_issuer",
    "subject", "name_id", "authn_statement", "session_index", "issuer_format", "status", "response_id", "assertion_id",
    "response_in_response_to", "confirmation_in_response_to",
}

# Misbehaviour by name, for POST /_control and /_mint ("preset"). The rest is said with the fields of Options.
PRESETS = {
    "unsigned": {"sign": "none"},
    "response-unsigned": {"sign": "assertion"},
    "assertion-unsigned": {"sign": "response"},
    "response-signature-broken": {"break_signature": "response"},
    "assertion-signature-broken": {"break_signature": "assertion"},
    "signatures-broken": {"break_signature": "both"},
    "digests-broken": {"break_digest": "both"},
    "sha1": {"signature_algorithm": "rsa-sha1", "digest_algorithm": "sha1"},
    "hmac": {"signature_algorithm": "hmac-sha256"},
    "expired": {"clock_offset": -3600},
    "future": {"clock_offset": 3600},
    "other-audience": {"audience": "https://other.example/sso/okta/metadata/other"},
    "other-recipient": {"recipient": "https://other.example/sso/okta/acs/other"},
    "other-destination": {"destination": "https://other.example/sso/okta/acs/other"},
    "other-issuer": {"issuer": "http://www.okta.com/exkother0000000000000"},
    "no-in-response-to": {"omit": ["response_in_response_to", "confirmation_in_response_to"]},
    "other-in-response-to": {"in_response_to": "_0000000000000000000000000000000000000000"},
    "status-error": {"status": "Responder", "sub_status": "AuthnFailed",
                     "status_message": "User is not assigned to the client application."},
    "no-attributes": {"attributes": {}},
    "name-id-comment": {"name_id_comment": True},
}


@dataclasses.dataclass
class Minted:
    xml: bytes
    response_id: str
    assertion_id: str

    @property
    def base64(self):
        return base64.b64encode(self.xml).decode("ascii")


class SamlError(Exception):
    """An AuthnRequest that Okta would refuse; the text is for the error page."""


def new_id():
    """`id` and 26 digits, as Okta makes them."""
    return "id" + str(secrets.randbelow(9 * 10**25) + 10**25)


def text(value):
    return re.sub(r"[&<>\r]", lambda m: {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}[m[0]], str(value))


def attr(value):
    return re.sub(r'["\n\t]', lambda m: {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}[m[0]], text(value))


def instant(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def c14n(element, prefix_list=""):
    """Exclusive canonicalization without comments."""
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False,
                          inclusive_ns_prefixes=prefix_list.split() or None)


def edited(document, edit):
    if edit is None:
        return document
    if callable(edit):
        return edit(document)
    for old, new in edit:
        if old not in document:
            raise ValueError(f"an edit does not find {old!r}")
        document = document.replace(old, new)
    return document


def mint(options, signer):
    """A Response as bytes. The Assertion is signed first, then the Response around it, as Okta does."""
    bad = set(options.omit) - OMITTABLE
    if bad:
        raise ValueError(f"cannot omit {sorted(bad)}; known: {sorted(OMITTABLE)}")
    return _Writer(options, signer).response()


class _Writer:
    def __init__(self, options, signer):
        self.o = options
        self.signer = signer
        # One instant for the whole message; Okta's have milliseconds.
        now = options.now or datetime.datetime.now(datetime.timezone.utc)
        self.now = now + datetime.timedelta(seconds=options.clock_offset)
        self.response_id = options.response_id or new_id()
        self.assertion_id = options.assertion_id or new_id()
        pairs = options.attributes.items() if isinstance(options.attributes, dict) else options.attributes
        self.attributes = [(name, [value] if isinstance(value, str) else list(value)) for name, value in pairs]
        self.prefix_list = options.prefix_list
        if self.prefix_list is None:
            self.prefix_list = "xs" if self.attributes else ""

    def at(self, seconds):
        return instant(self.now + datetime.timedelta(seconds=seconds))

    def keep(self, part, string):
        return "" if part in self.o.omit else string

    def xmlns_xs(self):
        return f' xmlns:xs="{NS_XS}"' if self.attributes else ""

    def response(self):
        o = self.o
        assertion = ""
        wanted = o.with_assertion if o.with_assertion is not None else o.status == "Success"
        if wanted:
            assertion = edited(self.assertion(), o.edit_assertion)
            if o.sign in ("both", "assertion"):
                assertion = self.signed(assertion, self.assertion_id, "assertion", o.assertion_signer)
            assertion = edited(assertion.replace(MARK["assertion"], ""), o.edit_signed_assertion)
            if o.encrypt:
                assertion = encrypted(assertion, **o.encrypt)
        request_id = o.response_in_response_to or o.in_response_to
        response = (
            "<saml2p:Response"
            + self.keep("destination", f' Destination="{attr(o.destination or o.acs)}"')
            + self.keep("response_id", f' ID="{attr(self.response_id)}"')
            + (self.keep("response_in_response_to", f' InResponseTo="{attr(request_id)}"') if request_id else "")
            + f' IssueInstant="{self.at(0)}" Version="{attr(o.version)}" xmlns:saml2p="{NS_SAML2P}"{self.xmlns_xs()}>'
            + self.keep("response_issuer", self.issuer(o.response_issuer or o.issuer))
            + MARK["response"] + self.keep("status", self.status()) + assertion + o.extra_response
            + "</saml2p:Response>")
        response = edited(response, o.edit_response)
        if o.sign in ("both", "response"):
            response = self.signed(response, self.response_id, "response", o.response_signer)
        response = edited(o.prolog + response.replace(MARK["response"], ""), o.edit_signed)
        return Minted(response.encode("utf-8"), self.response_id, self.assertion_id)

    def issuer(self, value):
        form = self.keep("issuer_format", f' Format="{ENTITY}"')
        return f'<saml2:Issuer{form} xmlns:saml2="{NS_SAML2}">{text(value)}</saml2:Issuer>'

    def status(self):
        o = self.o
        code = f'<saml2p:StatusCode Value="{attr(STATUS + o.status)}"'
        if o.sub_status:
            code += f'><saml2p:StatusCode Value="{attr(STATUS + o.sub_status)}"/></saml2p:StatusCode>'
        else:
            code += "/>"
        if o.status_message:
            code += f"<saml2p:StatusMessage>{text(o.status_message)}</saml2p:StatusMessage>"
        return f'<saml2p:Status xmlns:saml2p="{NS_SAML2P}">{code}</saml2p:Status>'

    def assertion(self):
        o = self.o
        return (
            "<saml2:Assertion" + self.keep("assertion_id", f' ID="{attr(self.assertion_id)}"')
            + f' IssueInstant="{self.at(0)}" Version="{attr(o.version)}" xmlns:saml2="{NS_SAML2}"{self.xmlns_xs()}>'
            + self.keep("assertion_issuer", self.issuer(o.assertion_issuer or o.issuer))
            + MARK["assertion"] + self.keep("subject", self.subject()) + self.keep("conditions", self.conditions())
            + self.keep("authn_statement", self.authn_statement()) + self.attribute_statement() + o.extra_assertion
            + "</saml2:Assertion>")

    def subject(self):
        o = self.o
        content = text(o.name_id) if o.name_id_raw is None else o.name_id_raw
        if o.name_id_comment:
            middle = max(content.find("@"), len(content) // 2)
            content = content[:middle] + "<!-- -->" + content[middle:]
        name_id = f'<saml2:NameID Format="{attr(o.name_id_format)}"{o.name_id_attributes}>{content}</saml2:NameID>'
        request_id = o.confirmation_in_response_to or o.in_response_to
        end = o.not_on_or_after if o.confirmation_not_on_or_after is None else o.confirmation_not_on_or_after
        data = (
            "<saml2:SubjectConfirmationData"
            + (self.keep("confirmation_in_response_to", f' InResponseTo="{attr(request_id)}"') if request_id else "")
            + self.keep("confirmation_not_on_or_after", f' NotOnOrAfter="{self.at(end)}"')
            + self.keep("recipient", f' Recipient="{attr(o.recipient or o.acs)}"') + "/>")
        confirmation = (f'<saml2:SubjectConfirmation Method="{attr(o.confirmation_method)}">'
                        + self.keep("confirmation_data", data) + "</saml2:SubjectConfirmation>")
        return (f'<saml2:Subject xmlns:saml2="{NS_SAML2}">' + self.keep("name_id", name_id)
                + self.keep("confirmation", confirmation) + "</saml2:Subject>")

    def conditions(self):
        o = self.o
        audiences = [o.audience] if o.audiences is None else o.audiences
        named = "".join(f"<saml2:Audience>{text(audience)}</saml2:Audience>" for audience in audiences)
        restriction = f"<saml2:AudienceRestriction>{self.keep('audience', named)}</saml2:AudienceRestriction>"
        return (
            "<saml2:Conditions" + self.keep("not_before", f' NotBefore="{self.at(o.not_before)}"')
            + self.keep("not_on_or_after", f' NotOnOrAfter="{self.at(o.not_on_or_after)}"')
            + f' xmlns:saml2="{NS_SAML2}">' + self.keep("audience_restriction", restriction) + o.extra_conditions
            + "</saml2:Conditions>")

    def authn_statement(self):
        o = self.o
        index = o.session_index or o.in_response_to
        if index is None:
            index = f"id{int(self.now.timestamp() * 1000)}.{secrets.randbelow(2**31)}"
        end = o.session_not_on_or_after
        return (
            f'<saml2:AuthnStatement AuthnInstant="{self.at(-o.authn_age)}"'
            + self.keep("session_index", f' SessionIndex="{attr(index)}"')
            + ("" if end is None else f' SessionNotOnOrAfter="{self.at(end)}"') + f' xmlns:saml2="{NS_SAML2}">'
            + f"<saml2:AuthnContext><saml2:AuthnContextClassRef>{text(o.authn_context)}</saml2:AuthnContextClassRef>"
            + "</saml2:AuthnContext></saml2:AuthnStatement>")

    def attribute_statement(self):
        if not self.attributes:
            return ""
        out = [f'<saml2:AttributeStatement xmlns:saml2="{NS_SAML2}">']
        for name, values in self.attributes:
            out.append(f'<saml2:Attribute Name="{attr(name)}" NameFormat="{FORMAT_UNSPECIFIED}">')
            out += [f'<saml2:AttributeValue xmlns:xs="{NS_XS}" xmlns:xsi="{NS_XSI}" xsi:type="xs:string">'
                    f"{text(value)}</saml2:AttributeValue>" for value in values]
            out.append("</saml2:Attribute>")
        out.append("</saml2:AttributeStatement>")
        return "".join(out)

    def signed(self, document, identifier, which, signer):
        """`document` with its signature where the mark stands: directly after Issuer."""
        o = self.o
        signer = signer or self.signer
        # Enveloped-signature takes away the signature that contains the Reference: the text without it, that is.
        data = c14n(_parse(document.replace(MARK[which], "")), self.prefix_list)
        if o.break_digest in (which, "both"):
            data += b" "
        digest = base64.b64encode(hashlib.new(o.digest_algorithm, data).digest()).decode()
        uri = "#" + identifier if o.reference_uri is None else o.reference_uri
        info = self.signed_info(digest, uri)
        value = signer.sign(o.signature_algorithm, c14n(_parse(info.replace(
            "<ds:SignedInfo>", f'<ds:SignedInfo xmlns:ds="{NS_DS}">', 1))))
        if o.break_signature in (which, "both"):
            value = bytes([value[0] ^ 1]) + value[1:]
        key_info = ""
        if o.key_info != "none":
            shown = (o.key_info_signer or signer).certificate_base64()
            key_info = (f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{shown}</ds:X509Certificate></ds:X509Data>"
                        "</ds:KeyInfo>")
        signature = (f'<ds:Signature xmlns:ds="{NS_DS}">{info}<ds:SignatureValue>{base64.b64encode(value).decode()}'
                     f"</ds:SignatureValue>{key_info}</ds:Signature>")
        return document.replace(MARK[which], signature, 1)

    def signed_info(self, digest, uri):
        o = self.o
        transform = f'<ds:Transform Algorithm="{EXC_C14N}"/>'
        if self.prefix_list:
            transform = (f'<ds:Transform Algorithm="{EXC_C14N}"><ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" '
                         f'PrefixList="{attr(self.prefix_list)}"/></ds:Transform>')
        return (
            f'<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/>'
            f'<ds:SignatureMethod Algorithm="{SIGNATURE_URIS[o.signature_algorithm]}"/><ds:Reference URI="{attr(uri)}">'
            f'<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/>{transform}</ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{DIGEST_URIS[o.digest_algorithm]}"/>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>")


# Where a signature goes. A processing instruction cannot occur in the parts that callers give.
MARK = {"assertion": "<?sign assertion?>", "response": "<?sign response?>"}


def _parse(document):
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, strip_cdata=True)
    return etree.fromstring(document.encode("utf-8"), parser)


def metadata(entity_id, sso_url, certificates, name_id_format=UNSPECIFIED, want_signed=False):
    """The metadata document, byte for byte of the shape in fixtures/okta/saml-metadata.xml."""
    keys = "".join(
        f'<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{NS_DS}"><ds:X509Data><ds:X509Certificate>'
        f"{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for certificate in certificates)
    services = "".join(f'<md:SingleSignOnService Binding="{binding}" Location="{attr(sso_url)}"/>'
                       for binding in (POST, REDIRECT))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><md:EntityDescriptor entityID="{attr(entity_id)}" xmlns:md="{NS_MD}">'
        f'<md:IDPSSODescriptor WantAuthnRequestsSigned="{str(want_signed).lower()}" '
        f'protocolSupportEnumeration="{NS_SAML2P}">{keys}<md:NameIDFormat>{name_id_format}</md:NameIDFormat>{services}'
        "</md:IDPSSODescriptor></md:EntityDescriptor>")


@dataclasses.dataclass
class AuthnRequest:
    id: str
    issuer: str
    acs_url: Optional[str]
    acs_index: Optional[str]
    destination: Optional[str]
    binding: Optional[str]
    name_id_policy: Optional[str]
    force_authn: bool
    is_passive: bool
    authn_contexts: list               # of a RequestedAuthnContext; Okta is not known to look at it
    xml: str


REQUEST_MAX = 64 * 1024


def decode_request(value, redirect):
    """The SAMLRequest parameter (SAML Bindings 3.4.4.1 and 3.5.4) as an AuthnRequest."""
    try:
        data = base64.b64decode(value, validate=True)
        if redirect:
            inflater = zlib.decompressobj(-15)
            data = inflater.decompress(data, REQUEST_MAX)
            if not inflater.eof:
                raise SamlError("The SAMLRequest is cut off or too large.")
    except (ValueError, zlib.error) as error:
        raise SamlError(f"The SAMLRequest cannot be decoded: {error}.") from error
    return parse_request(data)


def parse_request(data):
    if len(data) > REQUEST_MAX or b"<!DOCTYPE" in data:
        raise SamlError("The SAMLRequest is too large or has a DOCTYPE.")
    try:
        root = _parse(data.decode("utf-8"))
    except (etree.XMLSyntaxError, UnicodeDecodeError, ValueError) as error:
        raise SamlError(f"The SAMLRequest is not well-formed XML: {error}.") from error
    if root.tag != f"{{{NS_SAML2P}}}AuthnRequest":
        raise SamlError(f"The SAMLRequest is no AuthnRequest but {root.tag}.")
    if root.get("Version") != "2.0":
        raise SamlError("The AuthnRequest's Version is not 2.0.")
    # xs:ID is an NCName: no digit at the start (SAML Core 1.3.4).
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", root.get("ID") or ""):
        raise SamlError("The AuthnRequest has no valid ID.")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", root.get("IssueInstant") or ""):
        raise SamlError("The AuthnRequest's IssueInstant is missing or not in UTC.")
    issuer = root.find(f"{{{NS_SAML2}}}Issuer")
    if issuer is None or not (issuer.text or "").strip():
        raise SamlError("The AuthnRequest has no Issuer.")
    policy = root.find(f"{{{NS_SAML2P}}}NameIDPolicy")
    return AuthnRequest(
        id=root.get("ID"), issuer=issuer.text.strip(), acs_url=root.get("AssertionConsumerServiceURL"),
        acs_index=root.get("AssertionConsumerServiceIndex"), destination=root.get("Destination"),
        binding=root.get("ProtocolBinding"), name_id_policy=None if policy is None else policy.get("Format"),
        force_authn=root.get("ForceAuthn") in ("true", "1"), is_passive=root.get("IsPassive") in ("true", "1"),
        authn_contexts=[ref.text or "" for ref in root.iterfind(f"{{{NS_SAML2P}}}RequestedAuthnContext[@Comparison='exact']/"
                                                                f"{{{NS_SAML2}}}AuthnContextClassRef")],
        xml=data.decode("utf-8"))


def request_of_location(location):
    """(AuthnRequest, RelayState or None) of the URL to which a service provider redirected the browser."""
    fields = dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
    if "SAMLRequest" not in fields:
        raise SamlError("The URL has no SAMLRequest.")
    return decode_request(fields["SAMLRequest"], True), fields.get("RelayState")


def redirect_url(sso_url, request_xml, relay_state=None):
    """The HTTP-Redirect URL for an AuthnRequest: what a service provider makes; for tests of the stand-in."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = base64.b64encode(deflater.compress(request_xml.encode()) + deflater.flush()).decode()
    url = f"{sso_url}?SAMLRequest={quote(packed, safe='')}"
    return url if relay_state is None else f"{url}&RelayState={quote(relay_state, safe='')}"
