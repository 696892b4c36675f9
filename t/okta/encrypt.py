"""EncryptedAssertion as Okta writes it (OpenSAML: the EncryptedKey inside KeyInfo), and every way of writing it wrong that the
tests need. By cryptography alone; that the good ones are right is judged by xmlsec1 in test_okta.py."""

import base64
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NS_SAML2 = "urn:oasis:names:tc:SAML:2.0:assertion"
XENC, XENC11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
DS = "http://www.w3.org/2000/09/xmldsig#"
DATA = {"aes128-gcm": XENC11, "aes256-gcm": XENC11, "aes128-cbc": XENC, "aes256-cbc": XENC, "tripledes-cbc": XENC, "aes192-gcm": XENC11}
DIGESTS = {"sha1": (DS, hashes.SHA1), "sha256": (XENC, hashes.SHA256), "sha512": (XENC, hashes.SHA512)}


def _data(name, key, plain, iv, pad):
    if name.endswith("gcm"):
        return iv[:12] + AESGCM(key).encrypt(iv[:12], plain, None)
    missing = 16 - len(plain) % 16
    plain += b" " * missing + pad if pad is not None else os.urandom(missing - 1) + bytes([missing])
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(plain) + encryptor.finalize()


def _key(certificate, key, transport, digest, mask):
    public = certificate.public_key()
    if transport == "rsa-1_5":
        return public.encrypt(key, padding.PKCS1v15())
    made = padding.OAEP(padding.MGF1(DIGESTS[mask][1]()), DIGESTS[digest][1](), None)
    return public.encrypt(key, made)


def encrypted(plain, certificate, data="aes256-gcm", transport="rsa-oaep-mgf1p", digest="sha1", mask=None, *, beside=False,
              say_digest=True, key_bytes=None, pad=None, edit=None, change=None):
    """`certificate`: PEM. `beside`: the EncryptedKey stands beside EncryptedData. `change(bytes)`: of the sealed text.
    `edit`: pairs of old and new text of the result."""
    certificate = x509.load_pem_x509_certificate(certificate.encode() if isinstance(certificate, str) else certificate)
    size = {"128": 16, "192": 24}.get(data[3:6], 32)
    key = os.urandom(key_bytes or size)
    sealed = _data(data if data in DATA and data[:3] == "aes" else "aes256-gcm", key if not key_bytes else key[:size].ljust(size, b"\0"),
                   plain.encode(), os.urandom(16), pad)
    sealed = change(sealed) if change else sealed
    sealed_key = _key(certificate, key, transport, digest, mask or "sha1")
    method = f'<ds:DigestMethod Algorithm="{DIGESTS[digest][0]}{digest}"/>' if say_digest else ""
    if mask:
        method += f'<xenc11:MGF xmlns:xenc11="{XENC11}" Algorithm="{XENC11}mgf1{mask}"/>'
    uri = (XENC11 if transport == "rsa-oaep" else XENC) + transport

    def value(content):
        return f"<xenc:CipherData><xenc:CipherValue>{base64.b64encode(content).decode()}</xenc:CipherValue></xenc:CipherData>"
    encrypted_key = (f'<xenc:EncryptedKey xmlns:xenc="{XENC}" xmlns:ds="{DS}"><xenc:EncryptionMethod Algorithm="{uri}">{method}'
                     f"</xenc:EncryptionMethod>{value(sealed_key)}</xenc:EncryptedKey>")
    info = "" if beside else f'<ds:KeyInfo xmlns:ds="{DS}">{encrypted_key}</ds:KeyInfo>'
    text = (f'<saml2:EncryptedAssertion xmlns:saml2="{NS_SAML2}"><xenc:EncryptedData xmlns:xenc="{XENC}" Type="{XENC}Element">'
            f'<xenc:EncryptionMethod Algorithm="{DATA.get(data, XENC)}{data}"/>{info}{value(sealed)}</xenc:EncryptedData>'
            f'{encrypted_key if beside else ""}</saml2:EncryptedAssertion>')
    for old, new in edit or []:
        if old not in text:
            raise ValueError(f"an edit does not find {old!r}")
        text = text.replace(old, new)
    return text
