"""§1: suite 1. Key derivation, AES-256-GCM and the hybrid KEM, each from the library; nothing is negotiated."""

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITE = 1
TAG_LEN = 16
PUBLIC_KEY_LEN = 1184 + 32
HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def derive(key, salt, info):
    """`HKDF(key, salt, info)` of §1."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def open_aead(key, nonce, ciphertext, associated):
    """The plaintext, or None: the caller knows under which name to refuse."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except (InvalidTag, ValueError):
        return None


class RecipientKey:
    """§4.1: a private key is the 32-byte seed of X-Wing, expanded with SHAKE256 as its draft says."""

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        ml_kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        self._private = MLKEM768X25519PrivateKey(ml_kem, x)
        self.public = ml_kem.public_key().public_bytes_raw() + x.public_key().public_bytes_raw()
        self.id = hashlib.sha256(self.public).digest()

    def open(self, encapsulated, wrapped, info):
        try:
            return HPKE.decrypt(encapsulated + wrapped, self._private, info=info)
        except (InvalidTag, ValueError):
            return None


def seal_to(public, plaintext, info):
    """HPKE `SealBase`: encapsulated key and ciphertext in one."""
    return HPKE.encrypt(plaintext, public_key(public), info=info)


def public_key(content):
    """§6: a valid X-Wing key, with the check of FIPS 203 §7.2. Raises ValueError for any other bytes."""
    if len(content) != PUBLIC_KEY_LEN:
        raise ValueError("another length")
    ml_kem = content[:1184]
    # Every three bytes hold two coefficients of twelve bits, below q = 3329.
    for at in range(0, 1152, 3):
        low, middle, high = ml_kem[at : at + 3]
        if (low | (middle & 15) << 8) >= 3329 or (middle >> 4 | high << 4) >= 3329:
            raise ValueError("a coefficient is not reduced")
    return MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(ml_kem),
        x25519.X25519PublicKey.from_public_bytes(content[1184:]),
    )


def base64url(text):
    """RFC 4648 §5 without padding, unused bits zero; ValueError for any other spelling."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if to_base64url(content) != text:
        raise ValueError("unused bits are not zero")
    return content


def to_base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def padded_base64(text):
    """RFC 4648 §4 with padding, unused bits zero."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("another spelling")
    return content
