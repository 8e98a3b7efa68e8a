"""§5: signed texts, and the chain that makes them believed."""

import datetime
import json
import re
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, ObjectIdentifier

from .primitives import base64url, padded_base64, to_base64url
from .refusal import Refused

LETTER = "beeldbox-letter+jws"
KEY = "beeldbox-key+jws"
RECEIPT = "beeldbox-receipt+jws"
MAX_CHAIN = 6
UZI_NAME = ObjectIdentifier("2.5.5.5")
URN = "urn:oid:2.16.528.1.1007.3.3."
# What this reader looks at in a certificate. Any other extension marked critical makes it unacceptable.
UNDERSTOOD = (
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
)
HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass
class Anchors:
    """Whom we believe: roots, and the revocation lists at hand."""

    roots: list
    lists: list = field(default_factory=list)

    @staticmethod
    def read(roots, lists=()):
        return Anchors(
            [x509.load_der_x509_certificate(root) for root in roots],
            [x509.load_der_x509_crl(one) for one in lists],
        )


def verify(typ, jws, anchors, at):
    """The payload and the URA of its signer; the payload is not parsed before the signature is verified."""
    signed, dot, signature = jws.rpartition(".")
    header, second_dot, payload = signed.partition(".")
    if not dot or not second_dot:
        raise Refused("not-signed", "not three parts")
    chain = read_header(header, typ)
    ura = verify_chain(chain, anchors, at)
    public = chain[0].public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise Refused("not-signed", "the key of the end entity is not on P-256")
    signature = decoded(signature)
    if len(signature) != 64:
        raise Refused("bad-signature", "another length")
    numbers = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    try:
        public.verify(encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("bad-signature") from None
    return decoded(payload), ura


def decoded(part):
    try:
        return base64url(part)
    except ValueError as error:
        raise Refused("not-signed", str(error)) from error


def read_header(header, typ):
    try:
        header = json.loads(decoded(header), object_pairs_hook=once_each)
    except ValueError as error:
        raise Refused("not-signed", "header") from error
    if not isinstance(header, dict) or set(header) != {"alg", "typ", "x5c"}:
        raise Refused("not-signed", "members of the header")
    x5c = header["x5c"]
    if not isinstance(x5c, list) or not all(isinstance(one, str) for one in x5c):
        raise Refused("not-signed", "x5c is no list of texts")
    if header["alg"] != "ES256":
        raise Refused("not-signed", "alg")
    if header["typ"] != typ:
        raise Refused("not-signed", "typ")
    if not 1 <= len(x5c) <= MAX_CHAIN:
        raise Refused("malformed-chain", f"{len(x5c)} certificates")
    try:
        return [x509.load_der_x509_certificate(padded_base64(one)) for one in x5c]
    except ValueError as error:
        raise Refused("malformed-chain") from error


def once_each(pairs):
    """A member that stands twice is refused."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def verify_chain(chain, anchors, at):
    """RFC 5280 §6 as far as §5 asks for it; gives the URA."""
    end_entity, *others = chain
    path = find_path(end_entity, others, anchors, 0)
    if path is None:
        raise Refused("unknown-issuer")
    # The last of the path is the anchor: of it, name and key count.
    for depth, certificate in enumerate(path[:-1]):
        check_certificate(certificate, depth, at)
        if is_revoked(certificate, path[depth + 1], anchors):
            raise Refused("revoked")
    return ura_of(end_entity)


def find_path(certificate, others, anchors, depth):
    if depth > MAX_CHAIN:
        return None
    for root in anchors.roots:
        if is_issued_by(certificate, root):
            return [certificate, root]
    for at, issuer in enumerate(others):
        if is_issued_by(certificate, issuer):
            rest = find_path(issuer, others[:at] + others[at + 1 :], anchors, depth + 1)
            if rest is not None:
                return [certificate, *rest]
    return None


def is_issued_by(certificate, issuer):
    key = issuer.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        is_strong = key.curve.name in ("secp256r1", "secp384r1")
    else:
        is_strong = isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048
    if not is_strong or not isinstance(certificate.signature_hash_algorithm, HASHES):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def check_certificate(certificate, depth, at):
    """`depth` is 0 for the end entity; above it stand only certification authorities."""
    if at < certificate.not_valid_before_utc:
        raise Refused("not-yet-valid")
    if at > certificate.not_valid_after_utc:
        raise Refused("expired")
    try:
        extensions = {one.oid: one for one in certificate.extensions}
    except (ValueError, x509.DuplicateExtension) as error:
        raise Refused("unacceptable", str(error)) from error
    if any(one.critical and one.oid not in UNDERSTOOD for one in extensions.values()):
        raise Refused("unacceptable", "a critical extension that this reader does not know")
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    is_ca = constraints is not None and constraints.value.ca
    if is_ca != (depth > 0):
        raise Refused("unacceptable", "an authority as end entity, or the reverse")
    if depth > 0:
        most = constraints.value.path_length
        if most is not None and depth - 1 > most:
            raise Refused("unacceptable", "the path is too long")
        usage = extensions.get(ExtensionOID.KEY_USAGE)
        if usage is not None and not usage.value.key_cert_sign:
            raise Refused("unacceptable", "may not sign certificates")
    usages = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    if usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages.value:
        raise Refused("unacceptable", "not for client authentication")


def is_revoked(certificate, issuer, anchors):
    lists = [one for one in anchors.lists if one.issuer == certificate.issuer]
    for one in lists:
        if not one.is_signature_valid(issuer.public_key()):
            raise Refused("unacceptable", "a revocation list that its issuer did not sign")
    return any(one.get_revoked_certificate_by_serial_number(certificate.serial_number) for one in lists)


def ura_of(certificate):
    """Exactly one care provider, in one of two forms."""
    try:
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, ValueError):
        raise Refused("no-ura") from None
    found = set()
    for name in names:
        if isinstance(name, x509.OtherName) and name.type_id == UZI_NAME:
            found.add(ura_of_uzi_name(name.value))
        elif isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(URN):
            found.add(is_ura(name.value[len(URN) :]))
    found.discard(None)
    if len(found) != 1:
        raise Refused("no-ura")
    return found.pop()


def ura_of_uzi_name(der):
    """IA5String (22) or UTF8String (12), of the short form of a length."""
    if len(der) < 2 or der[0] not in (22, 12) or der[1] != len(der) - 2 or der[1] > 127:
        return None
    fields = der[2:].decode("latin-1").split("-")
    return is_ura(fields[4]) if len(fields) == 7 and fields[3] == "S" else None


def is_ura(text):
    return text if re.fullmatch(r"[0-9]{8}", text) else None


class Signer:
    """An organisation that signs."""

    def __init__(self, pkcs8, chain):
        self._key = serialization.load_der_private_key(pkcs8, None)
        self._chain = chain
        self.ura = ura_of(x509.load_der_x509_certificate(padded_base64(chain[0])))

    def sign(self, typ, content):
        header = {"alg": "ES256", "typ": typ, "x5c": self._chain}
        signed = ".".join(to_base64url(json.dumps(part).encode()) for part in (header, content))
        signature = self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(signature)
        return f"{signed}.{to_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def instant(text):
    """RFC 3339, UTC."""
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text):
        raise ValueError("no instant")
    # Python keeps microseconds; what is finer does not matter to any rule here.
    whole, dot, fraction = text[:-1].partition(".")
    stamp = datetime.datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}+00:00")
    return stamp
