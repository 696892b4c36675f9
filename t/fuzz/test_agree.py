"""What we accept, others accept: xmlsec1's command line each signature of an accepted Response, python3-jwcrypto each accepted JWS.
Over the vectors, and over mutations of the good ones (the same at each run). Nothing is said of what we refuse."""

import copy
import json
import os
import pathlib
import random
import re
import subprocess

import pytest
from jwcrypto import jwk, jws
from lxml import etree

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAML = ROOT / "t/vectors/saml"
VERDICT = pathlib.Path(os.environ.get("OKTASSO_MODULE", ROOT / "build/test/mod_oktasso.so")).parent / "t/verdict"
DS = "http://www.w3.org/2000/09/xmldsig#"
PSS = "rsa-MGF1"  # xmlsec1 1.2 has none: t/vectors compares these with another library

def verdicts(*args):
    """{file name: "accepted" or the reason}"""
    done = subprocess.run([str(VERDICT), *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())


# ---- SAML ----

class Vector:
    def __init__(self, directory):
        self.response = directory / "response.xml"
        inputs, _, outcome = (directory / "expect.txt").read_text().partition("\n\n")
        pairs = [line.split(": ", 1) for line in inputs.splitlines()]
        self.inputs = dict(reversed(pairs))  # of several audiences or keys the first
        self.good = outcome.startswith("issuer: ")
        self.metadata = next(path for path in (directory / "metadata.xml", SAML / "metadata.xml") if path.exists())
        self.key = SAML / f"_keys/{self.inputs['key']}.pem" if "key" in self.inputs else "-"

    def judge(self, files):
        wanted = [self.inputs.get(name, "_none") for name in ("now", "acs", "request", "audience")]
        return verdicts("saml", self.metadata, *wanted, self.key, *files)


def vectors():
    return [Vector(path.parent) for path in sorted(SAML.glob("*/expect.txt")) if (path.parent / "response.xml").exists()]


def certificates(metadata, folder):
    """PEM files of the metadata's certificates."""
    made = []
    for i, text in enumerate(etree.parse(str(metadata)).iter(f"{{{DS}}}X509Certificate")):
        made.append(folder / f"{metadata.parent.name}-{i}.pem")
        lines = "\n".join(re.findall(".{1,64}", "".join(text.text.split())))
        made[-1].write_text(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    return made


IDS = [word for name in ("protocol:Response", "assertion:Assertion") for word in ("--id-attr:ID", f"urn:oasis:names:tc:SAML:2.0:{name}")]


def xmlsec_verifies(document, xpath, certs):
    """With one of these keys, and with none that the document brings."""
    return any(subprocess.run(["xmlsec1", "--verify", "--enabled-key-data", "key-name", "--pubkey-cert-pem", str(cert), *IDS, "--node-xpath",
                               xpath, str(document)], capture_output=True, timeout=60).returncode == 0 for cert in certs)


def decrypted(document, key, folder):
    """By xmlsec1, too; None where it does not know the form: RSA-OAEP by another digest, or a key beside what it opens."""
    if "EncryptedData" not in document.read_text():
        return document
    out = folder / f"decrypted-{document.parent.name}.xml"
    done = subprocess.run(["xmlsec1", "--decrypt", "--privkey-pem", str(key), "--output", str(out), str(document)],
                          capture_output=True, timeout=60)
    return out if done.returncode == 0 else None


def agreed(document, vector, certs, folder):
    """How many signatures xmlsec1 verified: all that there are, the Response's before and the Assertion's after decryption."""
    count = 0
    if document.read_bytes()[:1].isspace():  # blanks before an XML declaration are tolerated by us alone (include/oktasso/xml.h)
        trimmed = folder / f"trimmed-{document.name}"
        trimmed.write_bytes(document.read_bytes().strip())
        document = trimmed
    for of, text in (("Response", document), ("Assertion", decrypted(document, vector.key, folder))):
        xpath = f"//*[local-name()='{of}']/*[local-name()='Signature']"
        found = etree.parse(str(text)).xpath(xpath) if text else []
        if not found or any(PSS in etree.tostring(each).decode() for each in found):
            continue
        assert len(found) == 1 and xmlsec_verifies(text, xpath, certs), f"{document}: we accept it, xmlsec1 does not ({of})"
        count += 1
    return count


def test_every_response_of_the_vectors_that_we_accept(tmp_path):
    count = signatures = 0
    for vector in vectors():
        if not vector.good:
            continue
        if vector.judge([vector.response])[str(vector.response)] != "accepted":
            continue  # takes a second key or audience; t/unit runs it as it is
        signatures += agreed(vector.response, vector, certificates(vector.metadata, tmp_path), tmp_path)
        count += 1
    assert count > 50 and signatures > 50 and len(list(tmp_path.glob("decrypted-*"))) > 5, (count, signatures)


def test_they_do_refuse(tmp_path):
    """An oracle that agrees with everything would be none."""
    for name, of in (("value-broken-response", "Response"), ("digest-broken-assertion", "Assertion"), ("other-key-response", "Response")):
        vector = Vector(SAML / name)
        xpath = f"//*[local-name()='{of}']/*[local-name()='Signature']"
        assert not xmlsec_verifies(vector.response, xpath, certificates(vector.metadata, tmp_path)), name
    good = VECTORS["good"]
    assert jwcrypto_verifies(good, VECTORS["jwks"]) and not jwcrypto_verifies(good[:-9] + "AAAAAAAAA", VECTORS["jwks"])


BLANKS = [b" ", b"\n", b"\t", b"\r\n", b"<!-- -->", b"<?x?>", b"<![CDATA[]]>", b"&#32;"]


def mutate_bytes(text, rng):
    """Bytes changed, taken away or put in, mostly between tags."""
    at = rng.randrange(len(text))
    way = rng.randrange(5)
    if way == 0:
        return text[:at] + bytes([text[at] ^ (1 << rng.randrange(7))]) + text[at + 1:]
    if way == 1:
        return text[:at] + text[at + rng.randrange(1, 9):]
    between = [m.start() for m in re.finditer(rb"[<>]|/>| \w+=", text)]
    at = rng.choice(between)
    at += text[at:at + 1] == b">"
    if way == 2:
        return text[:at] + b" " * rng.randrange(1, 4) + text[at:]
    return text[:at] + rng.choice(BLANKS) + text[at:]


def mutate_tree(text, rng):
    """Elements copied, moved or emptied; attributes and namespaces changed; KeyInfo, most of all, is anybody's."""
    root = etree.fromstring(text)
    nodes = list(root.iter(etree.Element))
    key_info = list(root.iter(f"{{{DS}}}KeyInfo"))
    one, other = rng.choice(nodes), rng.choice(nodes)
    if key_info and rng.random() < 0.4:
        one = rng.choice(list(rng.choice(key_info).iter(etree.Element)))
    way = rng.randrange(6)
    if way == 0:
        other.insert(rng.randrange(len(other) + 1), copy.deepcopy(one))
    elif way == 1 and one is not root and one not in other.iterancestors() and one is not other:
        other.insert(rng.randrange(len(other) + 1), one)
    elif way == 2 and one is not root:
        one.getparent().remove(one)
    elif way == 3:
        one.set(rng.choice(["ID", "Id", "Destination", "x", "Algorithm", "{urn:x}ID", "Version", "Consent"]), rng.choice(["a", "2.0", "#a", ""]))
    elif way == 4:
        one.text = rng.choice(["", "AA==", "x", " \n", (one.text or "") + " "])
    else:
        return mutate_namespaces(etree.tostring(root), rng)
    return etree.tostring(root)


def mutate_namespaces(text, rng):
    """A declaration that nobody needs, or the same one again."""
    starts = [m.end() for m in re.finditer(rb"<[\w:]+", text)]
    at = rng.choice(starts)
    declared = rng.choice([b' xmlns:unused="urn:unused"', b' xmlns:ds="http://www.w3.org/2000/09/xmldsig#"', b' xmlns="urn:x"',
                           b' xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"', b' xmlns:xs="urn:y"', b' xml:space="preserve"'])
    return text[:at] + declared + text[at:]


@pytest.mark.parametrize("name", ["good-both-signed", "good-assertion-signed", "good-response-signed", "good-ecdsa", "okta-real"])
def test_every_mutation_that_we_accept(name, tmp_path):
    vector, rng = Vector(SAML / name), random.Random(name)
    text = vector.response.read_bytes()
    for i in range(160):
        mutated = (mutate_tree if i % 2 else mutate_bytes)(text, rng)
        if i % 5 == 4:
            mutated = mutate_bytes(mutated, rng)
        if mutated != text:
            (tmp_path / f"{i}.xml").write_bytes(mutated)
    files = sorted(tmp_path.glob("*.xml"))
    said = vector.judge(files)
    accepted = [path for path in files if said[str(path)] == "accepted"]
    certs = certificates(vector.metadata, tmp_path)
    signatures = sum(agreed(path, vector, certs, tmp_path) for path in accepted)
    print(f"{name}: {len(files)} mutations, {len(accepted)} accepted, {signatures} signatures")
    assert len(files) > 140 and len(said) == len(files) and 10 <= len(accepted) < len(files) / 2 and signatures >= len(accepted)


# ---- JWS ----

VECTORS = json.loads((ROOT / "t/vectors/oidc.json").read_text())
NO_HMAC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def jwcrypto_verifies(token, jwks):
    """With one of the set's keys."""
    for each in json.loads(jwks)["keys"]:
        try:
            checked = jws.JWS()
            checked.allowed_algs = NO_HMAC
            checked.deserialize(token, jwk.JWK(**each))
            return True
        except Exception:  # noqa: BLE001, S112  (whatever it is, it is no acceptance)
            continue
    return False


def judge_tokens(tokens, jwks, folder):
    """[(token, accepted)]"""
    folder.mkdir(parents=True)
    (folder / "jwks.json").write_text(jwks)
    for i, token in enumerate(tokens):
        (folder / f"{i}.jwt").write_bytes(token.encode())
    said = verdicts("jws", folder / "jwks.json", *(folder / f"{i}.jwt" for i in range(len(tokens))))
    return [(token, said[str(folder / f"{i}.jwt")] == "accepted") for i, token in enumerate(tokens)]


def is_set(text):
    try:
        return isinstance(json.loads(text).get("keys"), list)
    except (ValueError, AttributeError):
        return False


def by_key_set():
    sets = {}
    for case in VECTORS["cases"]:
        if case["kind"] == "token":
            sets.setdefault(case.get("jwks", VECTORS["jwks"]), []).append(case["token"])
    return {jwks: tokens for jwks, tokens in sets.items() if is_set(jwks)}


def test_every_token_of_the_vectors_that_we_accept(tmp_path):
    accepted = 0
    for i, (jwks, tokens) in enumerate(by_key_set().items()):
        for token, ours in judge_tokens(tokens, jwks, tmp_path / str(i)):
            if ours:
                assert jwcrypto_verifies(token, jwks), f"we accept it, jwcrypto does not: {token}"
                accepted += 1
    assert accepted > 50


def mutate_token(token, rng):
    parts = token.split(".")
    way, at = rng.randrange(6), rng.randrange(len(token))
    other = rng.choice("ABab09-_=.+/ \n")
    if way == 0:
        return token[:at] + other + token[at + 1:]
    if way == 1:
        return token[:at] + other + token[at:]
    if way == 2:
        return token[:at] + token[at + 1:]
    if way == 3:
        return ".".join([*parts[:2], rng.choice(["", parts[2] + "A", parts[2][:-1], parts[1], parts[2] + "="])])
    if way == 4:
        rng.shuffle(parts)
        return ".".join(parts)
    return rng.choice(["", " ", "."]) + token + rng.choice(["", " ", ".", "\n", "="])


def test_every_changed_token_that_we_accept(tmp_path):
    """A token has one form alone: nothing that was changed is accepted, but for a change that changed nothing."""
    rng, jwks = random.Random("jws"), VECTORS["jwks"]
    tokens = [case["token"] for case in VECTORS["cases"] if case["kind"] == "token" and case["name"].startswith("good-") and
              case.get("jwks", jwks) == jwks and len(case["token"]) < 8192]
    genuine = {token for token, ours in judge_tokens(tokens, jwks, tmp_path / "genuine") if ours}
    changed = [mutate_token(rng.choice(sorted(genuine)), rng) for _ in range(1500)]
    accepted = [token for token, ours in judge_tokens(changed, jwks, tmp_path / "changed") if ours]
    assert all(jwcrypto_verifies(token, jwks) for token in accepted)
    assert len(genuine) > 8 and accepted and set(accepted) <= genuine, (len(genuine), len(accepted))
