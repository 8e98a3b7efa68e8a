"""§4: letters. Signed inside, sealed outside."""

import datetime
import json
import os
import re
import struct
import uuid

from . import content
from .packs import HEADER_LEN, PART_LEN
from .primitives import SUITE, seal_to, open_aead
from .refusal import Refused
from .signed import LETTER, verify
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"BEELDLT1"
HEAD_LEN = 28
ENCAPSULATED_LEN = 1120
STANZA_LEN = 32 + ENCAPSULATED_LEN + 48
MAX_LEN = 64 * 1024 * 1024
PADDING = 4096


def open_letter(sealed, transfer, recipient, our_ura, anchors, at):
    """§4.5, in its order. Gives the content."""
    if len(sealed) > MAX_LEN or len(sealed) < HEAD_LEN or sealed[:8] != MAGIC:
        raise Refused("malformed", "head")
    if int.from_bytes(sealed[8:10]) != SUITE:
        raise Refused("unknown-suite")
    count = int.from_bytes(sealed[10:12])
    begin = HEAD_LEN + count * STANZA_LEN
    if not 1 <= count <= 16 or len(sealed) <= begin + 16:
        raise Refused("malformed", "stanzas")
    if sealed[12:28] != uuid.UUID(transfer).bytes:
        raise Refused("other-transfer")
    stanzas = [sealed[at : at + STANZA_LEN] for at in range(HEAD_LEN, begin, STANZA_LEN)]
    stanza = next((one for one in stanzas if one[:32] == recipient.id), None)
    if stanza is None:
        raise Refused("not-for-our-key")
    encapsulated, wrapped = stanza[32 : 32 + ENCAPSULATED_LEN], stanza[32 + ENCAPSULATED_LEN :]
    key = recipient.open(encapsulated, wrapped, stanza_info(transfer, our_ura, recipient.id))
    if key is None or len(key) != 32:
        raise Refused("does-not-authenticate", "stanza")
    body = open_aead(key, bytes(12), sealed[begin:], sealed[:begin])
    if body is None:
        raise Refused("does-not-authenticate", "body")
    payload, signer = as_sender(lambda: verify(LETTER, unpadded(body), anchors, at))
    letter = content.letter(payload)
    check_ends(letter, transfer, our_ura, signer, at)
    check_lists(letter)
    return letter


def as_sender(verification):
    """What is wrong with the signed text is wrong with the sender."""
    try:
        return verification()
    except Refused as error:
        if error.reason == "malformed":
            raise
        raise Refused(f"sender-{error.reason}", str(error)) from error


def stanza_info(transfer, ura, key_id):
    return b"beeldbox/1 letter" + uuid.UUID(transfer).bytes + ura.encode() + key_id


def unpadded(body):
    if len(body) < 4 or len(body) % PADDING != 0:
        raise Refused("malformed", "length of the body")
    end = 4 + int.from_bytes(body[:4])
    if end > len(body) or len(body) - end >= PADDING or any(body[end:]):
        raise Refused("malformed", "padding")
    try:
        return body[4:end].decode("ascii")
    except UnicodeDecodeError as error:
        raise Refused("malformed", "the signed text is no text") from error


def check_ends(letter, transfer, our_ura, signer, at):
    if letter["v"] != 1:
        raise Refused("malformed", "version of the content")
    if letter["transfer"] != transfer:
        raise Refused("other-transfer")
    if letter["addressee"]["ura"] != our_ura:
        raise Refused("addressed-to-someone-else")
    if letter["sender"]["ura"] != signer:
        raise Refused("sender-ura-differs")
    if at > letter["valid_until"]:
        raise Refused("expired")


def check_lists(letter):
    """The last paragraph of §4.4."""
    packs = letter["packs"]
    if len({pack["id"] for pack in packs}) != len(packs):
        raise Refused("inconsistent", "a pack twice")
    for pack in packs:
        lengths = [part["len"] for part in pack["parts"]]
        are_full = all(length == PART_LEN for length in lengths[:-1])
        if not are_full or any(not 0 < length <= PART_LEN for length in lengths) or sum(lengths) != pack["len"]:
            raise Refused("inconsistent", "parts do not add up")
    frames = set()
    for instance in letter["instances"]:
        if instance["pack"] >= len(packs):
            raise Refused("inconsistent", "a pack that is not listed")
        end = instance["at"] + instance["sealed"]
        if instance["at"] < HEADER_LEN or end > packs[instance["pack"]]["len"]:
            raise Refused("inconsistent", "an instance outside its pack")
        if instance["sealed"] < instance["size"]:
            raise Refused("inconsistent", "more plaintext than ciphertext")
        frames.add((instance["pack"], instance["frame"]))
    if len(frames) != len(letter["instances"]):
        raise Refused("inconsistent", "frames")
    if is_question(letter) == bool(frames) or is_question(letter) == bool(packs):
        raise Refused("inconsistent", "images in a question, or none in a delivery")
    if is_question(letter) and letter["in_answer_to"] is not None:
        raise Refused("inconsistent", "a question that answers")
    if letter["about"] is not None and letter["about"]["kind"] == "request-imaging":
        check_request(letter)


def check_request(letter):
    patient, wanted = letter["patient"], letter["about"]["wanted"]
    if not any(patient[member] for member in ("bsn", "name", "id")):
        raise Refused("inconsistent", "a request that names no patient")
    texts = [patient[member] for member in ("name", "id", "id_issuer", "sex")]
    texts += [wanted["body_region"], letter["note"], letter["reply_contact"]]
    if any(len((text or "").encode()) > 4000 for text in texts):
        raise Refused("inconsistent", "a text that is too long")
    first, last = wanted["from"], wanted["until"]
    if not all(is_day(day) for day in (patient["birth_date"], first, last) if day is not None):
        raise Refused("inconsistent", "a date that is none")
    if first is not None and last is not None and first > last:
        raise Refused("inconsistent", "a period that ends before it begins")
    modalities = wanted["modalities"] or []
    if len(modalities) > 16 or not all(re.fullmatch("[A-Z0-9_]{1,16}", code) for code in modalities):
        raise Refused("inconsistent", "modalities")


def is_day(text):
    if not re.fullmatch("[0-9]{8}", text):
        return False
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def is_question(letter):
    """Whether the sender asks for an earlier transfer back, or for images."""
    return letter["about"] is not None and letter["about"]["kind"] in ("ask-back", "request-imaging")


def seal_letter(letter, signer, recipients):
    """`letter` as it stands in §4.4; `recipients` are public keys, verified for the URA of the addressee."""
    transfer, ura = letter["transfer"], letter["addressee"]["ura"]
    jws = signer.sign(LETTER, letter).encode()
    body = struct.pack(">I", len(jws)) + jws
    body += bytes(-len(body) % PADDING)
    key = os.urandom(32)
    sealed = MAGIC + struct.pack(">HH", SUITE, len(recipients)) + uuid.UUID(transfer).bytes
    for recipient in recipients:
        info = stanza_info(transfer, ura, recipient.id)
        sealed += recipient.id + seal_to(recipient.public, key, info)
    return sealed + AESGCM(key).encrypt(bytes(12), body, sealed)
