"""§6 and §7: recipient keys and receipts. §8: values under the storage key."""

from . import content
from .primitives import base64url, derive, open_aead, public_key, sha256
from .refusal import Refused
from .signed import KEY, RECEIPT, verify

PURPOSES = {"pack-key": b"beeldbox/1 storage pack-key", "confidential": b"beeldbox/1 storage confidential"}


class VerifiedKey:
    """A public key that a letter may be sealed to."""

    def __init__(self, public):
        self.public = public
        self.id = bytes.fromhex(sha256(public))


def verify_statement(statement, ura, anchors, at):
    payload, signer = verify(KEY, statement, anchors, at)
    said = content.statement(payload)
    if said["v"] != 1 or said["kem"] != "X-Wing":
        raise Refused("does-not-fit", "version or kind of key")
    if signer != ura or said["ura"] != ura:
        raise Refused("ura-differs")
    if at < said["valid_from"]:
        raise Refused("not-yet-valid")
    if at > said["valid_until"]:
        raise Refused("expired")
    try:
        public = base64url(said["key"])
        if sha256(public) != said["id"]:
            raise ValueError("id")
        public_key(public)
    except ValueError as error:
        raise Refused("does-not-fit", str(error)) from error
    return VerifiedKey(public)


def verify_receipt(receipt, expected, anchors, at):
    payload, signer = verify(RECEIPT, receipt, anchors, at)
    said = content.receipt(payload)
    if signer != expected["addressee"] or said["by"] != expected["addressee"]:
        raise Refused("ura-differs")
    wanted = (1, expected["transfer"], expected["letter"], expected["sender"], expected["instances"])
    if (said["v"], said["transfer"], said["letter"], said["to"], said["of"]) != wanted:
        raise Refused("does-not-fit")
    positions = [one["position"] for one in said["refused"] or []]
    adds_up = said["stored"] + len(positions) == said["of"] and len(set(positions)) == len(positions)
    if not adds_up or any(position >= said["of"] for position in positions):
        raise Refused("does-not-fit", "the numbers do not add up")
    return said


def open_wrap(storage_key, purpose, place, sealed):
    key = derive(storage_key, None, PURPOSES[purpose])
    value = open_aead(key, sealed[:12], sealed[12:], place) if len(sealed) >= 12 + 16 else None
    if value is None:
        raise Refused("does-not-authenticate")
    return value, key
