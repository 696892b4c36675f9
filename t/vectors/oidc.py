#!/usr/bin/python3
"""Writes the OpenID Connect vectors, t/vectors/oidc.json, which t/unit/test_oidc_vectors.c runs: tokens, key sets, discovery
documents and answers, good, odd and hostile, each with the outcome that must come. Expectations are written here by hand and
never taken from what the module said. Tokens are put together by hand with cryptography, since no library makes the bad ones.

    /usr/bin/python3 -B t/vectors/oidc.py
"""

import base64
import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

OUT = pathlib.Path(__file__).resolve().parent / "oidc.json"
NOW = 1_800_000_000
ISSUER = "https://acme.okta.com"
CLIENT = "0oa1client"
NONCE = "n-0S6_WzA2Mj"
CODE, ACCESS = "the-code", "the-access-token"
SHA = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
cases = []


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).decode().rstrip("=")


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


RSA = {name: rsa.generate_private_key(65537, bits) for name, bits in (("one", 2048), ("two", 3072), ("weak", 1024), ("other", 2048))}
EC = {name: ec.generate_private_key(curve()) for name, curve in (
    ("ES256", ec.SECP256R1), ("ES384", ec.SECP384R1), ("ES512", ec.SECP521R1), ("k1", ec.SECP256K1))}
ED = ed25519.Ed25519PrivateKey.generate()
SIZES = {"ES256": 32, "ES384": 48, "ES512": 66}
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def rsa_jwk(name, **members):
    numbers = RSA[name].public_key().public_numbers()
    return {"kty": "RSA", "kid": name, "use": "sig", "n": number(numbers.n), "e": number(numbers.e), **members}


def ec_jwk(name, **members):
    numbers = EC[name].public_key().public_numbers()
    size = SIZES.get(name, 32)
    return {"kty": "EC", "kid": name, "crv": CURVES.get(name, "secp256k1"), "x": number(numbers.x, size), "y": number(numbers.y, size), **members}


def ed_jwk(**members):
    raw = ED.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(raw), **members}


JWKS = {"keys": [rsa_jwk("one", alg="RS256"), rsa_jwk("two"), ec_jwk("ES256"), ec_jwk("ES384"), ec_jwk("ES512"), ed_jwk()]}


def sign(alg, text, key):
    data = text.encode()
    if alg == "EdDSA":
        return ED.sign(data)
    digest = SHA[alg[2:]]()
    if alg.startswith("RS"):
        return RSA[key].sign(data, padding.PKCS1v15(), digest)
    if alg.startswith("PS"):
        return RSA[key].sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    if alg.startswith("HS"):
        return hmac.new(key.encode() if isinstance(key, str) else key, data, getattr(hashlib, "sha" + alg[2:])).digest()
    r, s = decode_dss_signature(EC[key].sign(data, ec.ECDSA(digest)))
    return r.to_bytes(SIZES[alg], "big") + s.to_bytes(SIZES[alg], "big")


def half(text, name="sha256"):
    digest = hashlib.new(name, text.encode()).digest()
    return b64(digest[:len(digest) // 2])


CLAIMS = {"ver": 1, "iss": ISSUER, "sub": "00uid4BxXw6I6TV4m0g3", "aud": CLIENT, "iat": NOW - 10, "exp": NOW + 3590, "nonce": NONCE,
          "jti": "ID.4eAWJOCMB3SX8XewDfVR", "auth_time": NOW - 60, "amr": ["pwd", "mfa"], "acr": "urn:okta:loa:2fa:any",
          "email": "zo\u00eb@acme.example", "email_verified": True, "given_name": "Zo\u00eb", "groups": ["Everyone", "K\u00f6ln, B\u00fcro"]}


def claims(drop=(), **changes):
    return {name: value for name, value in {**CLAIMS, **changes}.items() if name not in drop}


def token(payload=None, alg="RS256", key="one", header=None, raw_payload=None, signature=None):
    header = {"alg": alg, "kid": key, "typ": "JWT"} if header is None else header
    head = header if isinstance(header, str) else json.dumps(header)
    body = raw_payload if raw_payload is not None else json.dumps(claims() if payload is None else payload)
    text = f"{b64(head)}.{b64(body)}"
    made = sign(alg, text, key) if signature is None else signature
    return f"{text}.{b64(made)}"


def case(name, want, kind="token", **fields):
    assert name not in {each["name"] for each in cases}, name
    if kind == "token":
        fields.setdefault("jwks", JWKS)
        fields["jwks"] = json.dumps(fields["jwks"]) if not isinstance(fields["jwks"], str) else fields["jwks"]
    cases.append({"name": name, "kind": kind, "want": want, **fields})


GOOD = "subject=00uid4BxXw6I6TV4m0g3 authn=%d acr=urn:okta:loa:2fa:any email=zo\u00eb@acme.example groups=Everyone;K\u00f6ln, B\u00fcro" % (NOW - 60)
SIG, ALG, HEAD, KEY, FORM = "crypto.jws.signature", "crypto.jws.algorithm", "crypto.jws.header", "crypto.jws.key_unknown", "crypto.jws.malformed"
JSON, BIG, CLAIM = "base.json.malformed", "base.json.too_large", "oidc.token.malformed"


def good_tokens():
    for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        case(f"good-{alg}", GOOD, token=token(alg=alg, key="two" if alg != "RS256" else "one"))
    for alg in SIZES:
        case(f"good-{alg}", GOOD, token=token(alg=alg, key=alg))
    case("good-EdDSA", GOOD, token=token(alg="EdDSA", key="ed"))
    case("good-without-kid-one-key", GOOD, token=token(header={"alg": "RS256"}), jwks={"keys": [rsa_jwk("one"), ec_jwk("ES256")]})
    case("good-without-kid-in-jwks-either", GOOD, token=token(header={"alg": "RS256"}), jwks={"keys": [
        {k: v for k, v in rsa_jwk("one").items() if k != "kid"}]})
    case("good-typ-with-application", GOOD, token=token(header={"alg": "RS256", "kid": "one", "typ": "application/jwt"}))
    case("good-x5t-is-ignored", GOOD, token=token(header={"alg": "RS256", "kid": "one", "x5t": "AAAA", "x5t#S256": "AAAA"}))
    case("good-hashes", GOOD, token=token(claims(at_hash=half(ACCESS), c_hash=half(CODE))))
    case("good-hash-384", GOOD, token=token(claims(at_hash=half(ACCESS, "sha384")), alg="ES384", key="ES384"))
    case("good-hash-eddsa", GOOD, token=token(claims(at_hash=half(ACCESS, "sha512")), alg="EdDSA", key="ed"))
    case("good-audience-list", GOOD, token=token(claims(aud=[CLIENT])))
    case("good-audiences-and-azp", GOOD, token=token(claims(aud=["other", CLIENT], azp=CLIENT)))
    case("good-float-times", GOOD, token=token(claims(exp=NOW + 10.5, iat=NOW - 0.25)))
    case("good-last-second", GOOD, token=token(claims(exp=NOW - 119)))
    case("good-first-second", GOOD, token=token(claims(iat=NOW + 120)))
    case("good-keys-in-rollover", GOOD, token=token(key="two", alg="RS256"))


def signatures():
    case("other-key-same-kid", SIG, token=token(key="other", header={"alg": "RS256", "kid": "one"}))
    case("signature-empty", SIG, token=token(signature=b""))
    case("signature-zero", SIG, token=token(signature=bytes(256)))
    case("signature-short", SIG, token=token(signature=bytes(255)))
    text = token()
    case("payload-changed", SIG, token=".".join([text.split(".")[0], b64(json.dumps(claims(sub="admin"))), text.split(".")[2]]))
    case("header-changed", SIG, token=".".join([b64('{"alg":"RS256","kid":"one","x":1}'), *text.split(".")[1:]]))
    case("es256-der", SIG, token=token(alg="ES256", key="ES256", signature=EC["ES256"].sign(b"x", ec.ECDSA(hashes.SHA256()))))
    case("es256-zero", SIG, token=token(alg="ES256", key="ES256", signature=bytes(64)))
    case("es256-long", SIG, token=token(alg="ES256", key="ES256", signature=bytes(66)))
    case("eddsa-zero", SIG, token=token(alg="EdDSA", key="ed", signature=bytes(64)))
    case("pss-with-pkcs1", SIG, token=token(key="two", alg="RS256", header={"alg": "PS256", "kid": "two"}))
    case("pss-salt-short", SIG, token=pss_salt(0))
    case("pss-salt-long", SIG, token=pss_salt(100))


def pss_salt(length):
    text = token(key="two", header={"alg": "PS256", "kid": "two"}).rsplit(".", 1)[0]
    return text + "." + b64(RSA["two"].sign(text.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), length), hashes.SHA256()))


def headers():
    public = RSA["one"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for alg in ("none", "None", "NONE", "nOnE"):
        case(f"alg-{alg}", ALG, token=token(header={"alg": alg}, signature=b""))
    for alg in ("HS256", "HS384", "HS512"):
        case(f"alg-{alg}-public-key", ALG, token=token(alg=alg, key=public, header={"alg": alg, "kid": "one"}))
    for alg in ("rs256", "RS1", "RS256 ", "ES256K", "", "RSA-OAEP", "dir", "ED25519", "RS2567"):
        case(f"alg-odd-{alg.strip() or 'empty'}-{len(alg)}", ALG, token=token(header={"alg": alg, "kid": "one"}))
    for label, alg in (("missing", None), ("number", 256), ("list", ["RS256"]), ("null", None)):
        head = {"kid": "one"} if label == "missing" else {"alg": alg, "kid": "one"}
        case(f"alg-{label}", ALG, token=token(header=head))
    case("alg-not-allowed", ALG, token=token(), algorithms=["ES256"])
    case("alg-twice", JSON, token=token(header='{"alg":"none","kid":"one","alg":"RS256"}'))
    for name, value in (("jku", "https://evil.example/keys"), ("x5u", "https://evil.example/c"), ("jwk", rsa_jwk("other")), ("x5c", ["AAAA"]),
                        ("crit", ["exp"]), ("b64", False), ("zip", "DEF"), ("enc", "A256GCM"), ("crit", [])):
        label = f"header-{name}" if value != [] else "header-crit-empty"
        case(label, HEAD, token=token(key="other" if name == "jwk" else "one", header={"alg": "RS256", "kid": "one", name: value}))
    for typ in ("at+jwt", "JOSE", "logout+jwt", "global-token-revocation+jwt", ""):
        case(f"typ-{typ or 'empty'}", HEAD, token=token(header={"alg": "RS256", "kid": "one", "typ": typ}))
    case("typ-number", HEAD, token=token(header={"alg": "RS256", "kid": "one", "typ": 1}))
    case("kid-number", HEAD, token=token(header={"alg": "RS256", "kid": 1}))
    for kid in ("unknown", "ONE", "one ", "", "../../one", "one' OR 1=1"):
        case(f"kid-{kid or 'empty'}", KEY, token=token(header={"alg": "RS256", "kid": kid}))
    case("kid-missing-several-fit", KEY, token=token(header={"alg": "RS256"}))
    case("kid-of-another-kind", KEY, token=token(header={"alg": "ES256", "kid": "one"}, signature=bytes(64)))
    case("kid-of-another-curve", KEY, token=token(header={"alg": "ES256", "kid": "ES384"}, signature=bytes(64)))
    case("key-for-rs256-alone", KEY, token=token(header={"alg": "RS512", "kid": "one"}))
    case("header-array", JSON, token=token(header='["RS256"]'))
    case("header-broken", JSON, token=token(header='{"alg":"RS256"'))
    case("header-huge", BIG, token=token(header={"alg": "RS256", "kid": "one", "x": "y" * 9000}))


def forms():
    text = token()
    head, body, tail = text.split(".")
    for name, value in {"empty": "", "dots": "..", "one-part": head, "two-parts": f"{head}.{body}", "four-parts": text + ".x",
                        "jwe": ".".join([b64('{"alg":"RSA-OAEP","enc":"A256GCM"}'), "a", "b", "c", "d"]), "no-header": f".{body}.{tail}",
                        "padding": f"{head}=.{body}.{tail}", "blank": f" {text}", "line-end": text + "\n", "plus": text.replace(body, "+" + body),
                        "signature-bits": text[:-1] + chr(ord(text[-1]) + 1), "signature-rest": f"{head}.{body}.{tail}AAA",
                        "bearer": "Bearer " + text, "huge": "a" * 70000}.items():
        case(f"form-{name}", FORM, token=value)
    case("payload-array", JSON, token=token(raw_payload="[]"))
    case("payload-string", JSON, token=token(raw_payload='"x"'))
    case("payload-empty", JSON, token=token(raw_payload=""))
    case("payload-twice", JSON, token=token(raw_payload=json.dumps(CLAIMS)[:-1] + ', "sub": "admin"}'))
    case("payload-nul", JSON, token=token(raw_payload=json.dumps(claims(email="a\x00b"))))
    case("payload-latin-1", JSON, token=token(raw_payload=b'{"iss":"\xe9"}'))
    case("payload-surrogate", JSON, token=token(raw_payload='{"iss":"\\ud800"}'))
    case("payload-overflow", JSON, token=token(raw_payload=json.dumps(CLAIMS).replace(str(NOW + 3590), "1e999")))
    case("payload-big-integer", JSON, token=token(raw_payload=json.dumps(CLAIMS).replace(str(NOW + 3590), "9" * 40)))
    case("payload-nan", JSON, token=token(raw_payload=json.dumps(CLAIMS).replace(str(NOW + 3590), "NaN")))
    case("payload-deep", BIG, token=token(raw_payload='{"a":' + "[" * 40 + "]" * 40 + "}"))
    case("payload-comment", JSON, token=token(raw_payload="{/**/}"))


def wrong_claims():
    for name, reason in (("iss", CLAIM), ("sub", CLAIM), ("aud", CLAIM), ("exp", CLAIM), ("iat", CLAIM), ("nonce", "oidc.token.nonce")):
        case(f"{name}-missing", reason, token=token(claims(drop=[name])))
        case(f"{name}-null", reason, token=token(claims(**{name: None})))
        case(f"{name}-object", reason, token=token(claims(**{name: {}})))
        case(f"{name}-true", reason, token=token(claims(**{name: True})))
    for value in ("https://acme.okta.com/", "https://ACME.okta.com", "https://evil.okta.com", "http://acme.okta.com", "acme.okta.com", "",
                  "https://acme.okta.com/oauth2/default", "https://acme.okta.com.evil.example"):
        case(f"iss-{value or 'empty'}", "oidc.token.issuer", token=token(claims(iss=value)))
    for label, value in (("other", "0oaother"), ("prefix", CLIENT + "x"), ("case", CLIENT.upper()), ("empty", ""), ("list-other", ["a"])):
        case(f"aud-{label}", "oidc.token.audience", token=token(claims(aud=value)))
    case("aud-list-empty", "oidc.token.audience", token=token(claims(aud=[])))
    case("aud-list-without-azp", "oidc.token.audience", token=token(claims(aud=["other", CLIENT])))
    case("aud-list-number", CLAIM, token=token(claims(aud=[CLIENT, 1])))
    case("azp-other", "oidc.token.audience", token=token(claims(azp="other")))
    case("azp-number", CLAIM, token=token(claims(azp=1)))
    for label, value in (("string", str(NOW + 60)), ("negative", -1), ("zero", 0), ("far", 10**13), ("list", [NOW + 60])):
        case(f"exp-{label}", CLAIM, token=token(claims(exp=value)))
        case(f"iat-{label}", CLAIM, token=token(claims(iat=value)))
    case("exp-past", "oidc.token.expired", token=token(claims(exp=NOW - 120)))
    case("exp-long-past", "oidc.token.expired", token=token(claims(exp=1)))
    case("iat-future", "oidc.token.early", token=token(claims(iat=NOW + 121)))
    case("nbf-future", "oidc.token.early", token=token(claims(nbf=NOW + 300)))
    case("nbf-string", CLAIM, token=token(claims(nbf="now")))
    case("auth-time-string", CLAIM, token=token(claims(auth_time="now")))
    for label, value in (("other", "x"), ("empty", ""), ("case", NONCE.upper()), ("prefix", NONCE[:-1]), ("longer", NONCE + "x"), ("list", [NONCE])):
        case(f"nonce-{label}", "oidc.token.nonce", token=token(claims(nonce=value)))
    for label, value in (("empty", ""), ("long", "x" * 256), ("number", 1), ("controls", "\x01\x02")):
        case(f"sub-{label}", CLAIM, token=token(claims(sub=value)))
    for name in ("at_hash", "c_hash"):
        case(f"{name}-wrong", "oidc.token.hash", token=token(claims(**{name: half("other")})))
        case(f"{name}-empty", "oidc.token.hash", token=token(claims(**{name: ""})))
        case(f"{name}-number", CLAIM, token=token(claims(**{name: 1})))
    case("at_hash-without-access-token", "oidc.token.hash", token=token(claims(at_hash=half(""))), access_token="")
    case("at_hash-of-another-digest", "oidc.token.hash", token=token(claims(at_hash=half(ACCESS, "sha512"))))


def key_sets():
    def jwks(name, want, *keys, text=None):
        case("jwks-" + name, want, kind="jwks", jwks=text if text is not None else json.dumps({"keys": list(keys)}))
    jwks("good", "keys=6", *JWKS["keys"])
    jwks("key-ops", "keys=1", rsa_jwk("one", key_ops=["verify"]))
    jwks("one-good-among-bad", "keys=1", rsa_jwk("weak"), {"kty": "oct", "k": "AAAA"}, {"kty": "PQ"}, rsa_jwk("one"), "x")
    empty = "crypto.jwks.empty"
    for name, key in {"encryption": rsa_jwk("one", use="enc"), "use-number": rsa_jwk("one", use=1), "sign-only": rsa_jwk("one", key_ops=["sign"]),
                      "symmetric": {"kty": "oct", "kid": "x", "k": b64("secret")}, "weak": rsa_jwk("weak"), "unknown-kty": {"kty": "X"}, "no-kty": {},
                      "another-alg": rsa_jwk("one", alg="RSA-OAEP"), "alg-hs": rsa_jwk("one", alg="HS256"), "alg-number": rsa_jwk("one", alg=1),
                      "kid-number": rsa_jwk("one", kid=1), "no-n": {k: v for k, v in rsa_jwk("one").items() if k != "n"},
                      "e-even": rsa_jwk("one", e=number(65536)), "e-one": rsa_jwk("one", e=number(1)), "e-huge": rsa_jwk("one", e=number(2**40 + 1)),
                      "n-padding": rsa_jwk("one", n=rsa_jwk("one")["n"] + "="), "n-huge": rsa_jwk("one", n=number(2**9000 + 1)),
                      "secp256k1": ec_jwk("k1"), "off-curve": ec_jwk("ES256", x=number(1, 32), y=number(1, 32)),
                      "infinity": ec_jwk("ES256", x=number(0, 32), y=number(0, 32)), "short-x": ec_jwk("ES256", x=number(1)),
                      "wrong-curve": ec_jwk("ES256", crv="P-384"), "ec-alg-of-rsa": ec_jwk("ES256", alg="RS256"),
                      "ed-short": ed_jwk(x=b64(bytes(31))), "x25519": ed_jwk(crv="X25519")}.items():
        jwks(name, empty, key)
    jwks("none", empty)
    bad = "crypto.jwks.malformed"
    jwks("no-keys", bad, text="{}")
    jwks("keys-object", bad, text='{"keys":{}}')
    jwks("too-many", bad, *[rsa_jwk("one", kid=str(i)) for i in range(33)])
    jwks("html", JSON, text="<html>")
    jwks("array", JSON, text="[]")
    jwks("huge", BIG, text='{"keys":[' + " " * 300000 + "]}")


URL = ISSUER + "/.well-known/openid-configuration"
DISCOVERY = {"issuer": ISSUER, "authorization_endpoint": ISSUER + "/oauth2/v1/authorize", "token_endpoint": ISSUER + "/oauth2/v1/token",
             "userinfo_endpoint": ISSUER + "/oauth2/v1/userinfo", "jwks_uri": ISSUER + "/oauth2/v1/keys",
             "end_session_endpoint": ISSUER + "/oauth2/v1/logout", "token_endpoint_auth_methods_supported": ["client_secret_post", "none"]}


def discovery():
    def doc(name, want, url=URL, drop=(), text=None, **changes):
        document = {k: v for k, v in {**DISCOVERY, **changes}.items() if k not in drop}
        case("discovery-" + name, want, kind="discovery", url=url, document=text if text is not None else json.dumps(document))
    fixtures = OUT.parent / "okta"
    doc("good", f"issuer={ISSUER} auth=10")
    doc("url-with-client-id", f"issuer={ISSUER} auth=10", url=URL + "?client_id=x")
    doc("methods-unsaid", f"issuer={ISSUER} auth=1", drop=["token_endpoint_auth_methods_supported"])
    doc("trailing-slash", f"issuer={ISSUER}/ auth=10", issuer=ISSUER + "/")
    doc("custom", f"issuer={ISSUER}/oauth2/default auth=10", url=ISSUER + "/oauth2/default/.well-known/openid-configuration", issuer=ISSUER + "/oauth2/default")
    wrong, endpoint = "oidc.discovery.issuer", "oidc.discovery.endpoint"
    for label, value in (("other", "https://evil.example"), ("http", "http://acme.okta.com"), ("case", "https://ACME.okta.com"), ("empty", ""),
                         ("number", 1), ("missing", None), ("longer", ISSUER + "/x"), ("prefix", "https://acme.okta.co"), ("huge", "https://" + "a" * 2000)):
        doc("issuer-" + label, wrong, **({"issuer": value} if label != "missing" else {"drop": ["issuer"]}))
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        doc(f"{name}-missing", endpoint, drop=[name])
        for label, value in (("http", "http://acme.okta.com/x"), ("number", 1), ("relative", "/x"), ("script", "javascript:alert(1)"),
                             ("userinfo", "https://a:b@acme.okta.com/")):
            doc(f"{name}-{label}", endpoint, **{name: value})
    doc("userinfo-http", endpoint, userinfo_endpoint="http://acme.okta.com/u")
    # http is for providers on this machine: one elsewhere has nothing to ask of it.
    here = "http://127.0.0.1:8080"
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        doc(f"{name}-on-loopback", endpoint, **{name: here + "/x"})
    local = {**{k: v.replace(ISSUER, here) if isinstance(v, str) else v for k, v in DISCOVERY.items()}}
    doc("local", f"issuer={here} auth=10", url=here + "/.well-known/openid-configuration", **local)
    doc("local-elsewhere", endpoint, url=here + "/.well-known/openid-configuration", **{**local, "token_endpoint": "http://192.0.2.1/t"})
    doc("end-session-null", endpoint, end_session_endpoint=None)
    doc("html", JSON, text="<html>")
    doc("twice", JSON, text='{"issuer":"a","issuer":"b"}')


def answers():
    def answer(name, want, body, status=200, content_type="application/json"):
        case("answer-" + name, want, kind="answer", status=status, content_type=content_type,
             body=body if isinstance(body, str) else json.dumps(body))
    fine = {"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "scope": "openid", "id_token": "x.y.z"}
    answer("good", "id_token=x.y.z access_token=a", fine)
    answer("charset", "id_token=x.y.z access_token=a", fine, content_type="application/json; charset=utf-8")
    answer("bearer-small", "id_token=x.y.z access_token=a", {**fine, "token_type": "bearer"})
    answer("no-access-token", "id_token=x.y.z access_token=", {"id_token": "x.y.z"})
    form = "oidc.answer.malformed"
    answer("html", form, "<html>", content_type="text/html")
    answer("no-content-type", form, fine, content_type="")
    answer("json-ish-type", form, fine, content_type="application/jsonp")
    answer("no-id-token", form, {k: v for k, v in fine.items() if k != "id_token"})
    answer("id-token-empty", form, {**fine, "id_token": ""})
    answer("id-token-number", form, {**fine, "id_token": 1})
    answer("token-type-missing", form, {k: v for k, v in fine.items() if k != "token_type"})
    answer("token-type-mac", form, {**fine, "token_type": "mac"})
    answer("not-found", form, "", status=404)
    answer("redirect", form, "", status=302)
    answer("okta-form-of-error", form, {"errorCode": "E0000015", "errorSummary": "no permission"}, status=401)
    answer("truncated", JSON, '{"access_token":"a"')
    answer("repeated-name", JSON, '{"id_token":"a","id_token":"b"}')
    answer("array", JSON, "[]")
    answer("huge", BIG, '{"id_token":"' + "x" * 300000 + '"}')
    answer("error-with-200", "oidc.error.code", {**fine, "error": "invalid_grant"})
    for error, status, reason in (("invalid_grant", 400, "code"), ("invalid_client", 401, "client"), ("unauthorized_client", 400, "client"),
                                  ("invalid_request", 400, "request"), ("invalid_scope", 400, "request"), ("use_dpop_nonce", 400, "request"),
                                  ("server_error", 500, "unavailable"), ("temporarily_unavailable", 503, "unavailable"), ("invented", 400, "other")):
        answer(f"error-{error}", f"oidc.error.{reason}", {"error": error, "error_description": "words"}, status=status)
    answer("internal", "oidc.error.unavailable", "<h1>500</h1>", status=500, content_type="text/html")
    answer("limited", "oidc.error.limited", {"errorCode": "E0000047"}, status=429)


def errors():
    for error, description, reason in (
            ("access_denied", "User is not assigned to the client application.", "not_assigned"),
            ("access_denied", "'login_hint' did not match a user assigned to the client app.", "not_assigned"),
            ("access_denied", "Policy evaluation failed for this request, please check the policy configurations.", "policy"),
            ("access_denied", "The request is made from outside the client's permitted network zones.", "policy"),
            ("access_denied", "The resource owner or authorization server denied the request.", "access_denied"),
            ("login_required", "The client specified not to prompt, but the user is not logged in.", "login_required"),
            ("server_error", "The groups claim matched too many groups and must be configured to match fewer groups.", "too_many_groups"),
            ("temporarily_unavailable", "", "unavailable"), ("invalid_scope", "", "request"), ("", "", "other"), ("<script>", "<b>", "other"),
            ("ACCESS_DENIED", "", "other"), ("access_denied\x00", "", "other")):
        case(f"error-{reason}-{len(cases)}", f"oidc.error.{reason}", kind="error", error=error, description=description)


def userinfo():
    def info(name, want, body, status=200, content_type="application/json"):
        case("userinfo-" + name, want, kind="userinfo", status=status, content_type=content_type, jwks=json.dumps(JWKS),
             body=body if isinstance(body, str) else json.dumps(body))
    sub = CLAIMS["sub"]
    info("adds", "family_name=Gr\u00fcn email=zo\u00eb@acme.example", {"sub": sub, "family_name": "Gr\u00fcn"})
    info("does-not-replace", "family_name=none email=zo\u00eb@acme.example", {"sub": sub, "email": "other@evil.example"})
    info("address", "address=Street 1 email=zo\u00eb@acme.example", {"sub": sub, "address": {"formatted": "Street 1"}})
    info("signed", "family_name=x email=zo\u00eb@acme.example", token({"sub": sub, "iss": ISSUER, "family_name": "x"}), content_type="application/jwt")
    who = "oidc.userinfo.subject"
    info("other-sub", who, {"sub": "00uother", "family_name": "x"})
    info("no-sub", who, {"family_name": "x"})
    info("sub-number", who, {"sub": 1})
    info("sub-case", who, {"sub": sub.upper()})
    info("status", "oidc.userinfo.failed", {"sub": sub}, status=401)
    info("limited", "oidc.error.limited", "", status=429)
    info("html", JSON, "<html>", content_type="text/html")
    info("signed-by-another", SIG, token({"sub": sub}, key="other", header={"alg": "RS256", "kid": "one"}), content_type="application/jwt")
    info("signed-other-issuer", "oidc.token.issuer", token({"sub": sub, "iss": "https://evil.example"}), content_type="application/jwt")
    info("unsigned-jwt", ALG, token({"sub": sub}, header={"alg": "none"}, signature=b""), content_type="application/jwt")


def main():
    for write in (good_tokens, signatures, headers, forms, wrong_claims, key_sets, discovery, answers, errors, userinfo):
        write()
    OUT.write_text(json.dumps({"now": NOW, "issuer": ISSUER, "client": CLIENT, "nonce": NONCE, "code": CODE, "access_token": ACCESS, "good": token(),
                               "jwks": json.dumps(JWKS), "cases": cases}, indent=1) + "\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
