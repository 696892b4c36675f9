"""Signing keys of the stand-in: RSA-2048 with a self-signed certificate shaped as Okta's (OKTA.md B.1.2)."""

import base64
import datetime
import os
import pathlib
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}


class Signer:
    """A private key with the certificate that metadata and messages show for it."""

    def __init__(self, key, certificate):
        self.key = key
        self.certificate = certificate

    @classmethod
    def generate(cls, org="acme", bits=2048):
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        return cls(key, self_signed(key, org))

    @classmethod
    def load(cls, path):
        pem = pathlib.Path(path).read_bytes()
        return cls(serialization.load_pem_private_key(pem, password=None), x509.load_pem_x509_certificate(pem))

    def save(self, path):
        """Key and certificate in one file that its owner alone may read; it is never half written."""
        path = pathlib.Path(path)
        part = path.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.key_pem() + self.certificate_pem())
        os.replace(part, path)

    @classmethod
    def load_or_generate(cls, path, org="acme"):
        path = pathlib.Path(path)
        if path.exists():
            return cls.load(path)
        signer = cls.generate(org)
        signer.save(path)
        return signer

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def certificate_pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def certificate_base64(self):
        """The DER in base64 lines of 76 characters, without a last line end, as Okta writes it."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return base64.encodebytes(der).decode("ascii").rstrip("\n")

    def sign(self, algorithm, data):
        """`algorithm` is the part after the '#' of its XML Signature URI: rsa-sha256, rsa-sha1, hmac-sha256, …"""
        kind, _, digest = algorithm.partition("-")
        if kind == "hmac":
            # The classic confusion attack: the public certificate used as a shared secret.
            mac = hmac.HMAC(self.certificate_pem(), HASHES[digest]())
            mac.update(data)
            return mac.finalize()
        if algorithm.endswith("-rsa-MGF1"):
            return self.key.sign(data, padding.PSS(padding.MGF1(HASHES[kind]()), padding.PSS.DIGEST_LENGTH), HASHES[kind]())
        if kind != "rsa" or digest not in HASHES:
            raise ValueError(f"no such signature algorithm: {algorithm}")
        return self.key.sign(data, padding.PKCS1v15(), HASHES[digest]())


def self_signed(key, org):
    name = x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "California"),
        x509.NameAttribute(NameOID.LOCALITY_NAME, "San Francisco"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Okta"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "SSOProvider"),
        x509.NameAttribute(NameOID.COMMON_NAME, org),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, "info@okta.com"),
    ])
    start = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(minutes=1)
    leap_day = (start.month, start.day) == (2, 29)
    end = start.replace(year=start.year + 10, day=28 if leap_day else start.day)
    builder = x509.CertificateBuilder(
        issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=int(time.time() * 1000),
        not_valid_before=start, not_valid_after=end)
    return builder.sign(key, hashes.SHA256())
