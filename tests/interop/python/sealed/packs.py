"""§2 and §3: packs, frames and parts."""

import hmac
import re
import struct

from .primitives import SUITE, TAG_LEN, derive, open_aead, sha256
from .refusal import Refused
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER_LEN = 64
FRAME_HEADER_LEN = 24
CHUNK_LEN = 65_536
TRAILER_LEN = 40
PART_LEN = 8_388_608
FIELDS = ("sop_class", "sop_instance", "transfer_syntax", "study", "series", "source_ae")
MAY_BE_EMPTY = ("study", "series")


def is_uid(text):
    return len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) is not None


def is_ae_title(text):
    return re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", text) is not None


class Frame:
    """One opened instance, and where it stood in its pack."""

    def __init__(self, description, data_set, at, sealed):
        self.description = description
        self.data_set = data_set
        self.at = at
        self.sealed = sealed


def open_pack(pack, key, frames):
    """Opens as many frames as are listed; nothing may follow them (§2.5)."""
    pack_id = check_header(pack, key)
    at, opened = HEADER_LEN, []
    for index in range(frames):
        frame = open_frame(pack, at, key, pack_id, index)
        opened.append(frame)
        at += frame.sealed
    if at != len(pack):
        raise Refused("not-a-frame", "something follows the last frame")
    return opened


def check_header(pack, key):
    if len(pack) < HEADER_LEN:
        raise Refused("truncated")
    if pack[:8] != b"BEELDPK1":
        raise Refused("not-a-pack")
    if int.from_bytes(pack[8:10]) != SUITE:
        raise Refused("unknown-suite")
    if pack[10:16] != bytes(6):
        raise Refused("reserved-in-use")
    pack_id = pack[16:32]
    if not hmac.compare_digest(commitment(key, pack_id), pack[32:64]):
        raise Refused("wrong-key")
    return pack_id


def commitment(key, pack_id):
    return derive(key, pack_id, b"beeldbox/1 pack commitment")


def frame_key(key, pack_id, salt, index, codec):
    info = b"beeldbox/1 frame" + pack_id + struct.pack(">IB", index, codec)
    return derive(key, salt, info)


def chunk_nonce(counter, is_last):
    return bytes(7) + struct.pack(">IB", counter, is_last)


def open_frame(pack, start, key, pack_id, index):
    header = pack[start : start + FRAME_HEADER_LEN]
    if len(header) < FRAME_HEADER_LEN:
        raise Refused("truncated")
    if header[:4] != b"FRM1":
        raise Refused("not-a-frame")
    codec = header[4]
    if codec != 0:
        raise Refused("unknown-codec")
    if header[5:8] != bytes(3):
        raise Refused("reserved-in-use")
    key = frame_key(key, pack_id, header[8:24], index, codec)
    at, counter, is_last = start + FRAME_HEADER_LEN, 0, False
    description, pieces = None, []
    while not is_last:
        head = pack[at : at + 4]
        if len(head) < 4:
            raise Refused("truncated")
        head = int.from_bytes(head)
        is_last, length = bool(head >> 31), head & 0x7FFF_FFFF
        if not TAG_LEN < length <= CHUNK_LEN + TAG_LEN:
            raise Refused("chunk-length")
        sealed = pack[at + 4 : at + 4 + length]
        if len(sealed) < length:
            raise Refused("truncated")
        plain = open_aead(key, chunk_nonce(counter, is_last), sealed, None)
        if plain is None:
            raise Refused("chunk-does-not-authenticate", f"chunk {counter} of frame {index}")
        if description is None:
            description, plain = read_description(plain)
        if is_last:
            if len(plain) < TRAILER_LEN:
                raise Refused("data-set-differs", "the trailer is not whole")
            plain, trailer = plain[:-TRAILER_LEN], plain[-TRAILER_LEN:]
        pieces.append(plain)
        at, counter = at + 4 + length, counter + 1
    data_set = b"".join(pieces)
    if int.from_bytes(trailer[:8]) != len(data_set) or trailer[8:].hex() != sha256(data_set):
        raise Refused("data-set-differs")
    return Frame(description, data_set, start, at - start)


def read_description(plain):
    """§2.4: the description, and what follows it in the first chunk."""
    if plain[:1] != b"\x01":
        raise Refused("description", "version")
    at, description = 1, {}
    for field in FIELDS:
        if at >= len(plain) or at + 1 + plain[at] > len(plain):
            raise Refused("description", f"{field} is cut short")
        text = plain[at + 1 : at + 1 + plain[at]].decode("latin-1")
        at += 1 + plain[at]
        if not is_right(field, text):
            raise Refused("description", field)
        description[field] = text
    return description, plain[at:]


def is_right(field, text):
    if text == "":
        return field in MAY_BE_EMPTY
    return is_ae_title(text) if field == "source_ae" else is_uid(text)


def pack_header(key, pack_id):
    return b"BEELDPK1" + struct.pack(">H", SUITE) + bytes(6) + pack_id + commitment(key, pack_id)


def seal_frame(key, pack_id, index, salt, description, data_set):
    """The one right frame (§2.4) for these keys, salt and instance."""
    texts = [description[field].encode() for field in FIELDS]
    begin = b"\x01" + b"".join(bytes([len(text)]) + text for text in texts) + data_set
    trailer = struct.pack(">Q", len(data_set)) + bytes.fromhex(sha256(data_set))
    full, rest = divmod(len(begin), CHUNK_LEN)
    if rest == 0:
        # A chunk is begun only when there is something for it: a full one waits for what follows.
        full, rest = full - 1, CHUNK_LEN
    chunks = [begin[at * CHUNK_LEN : (at + 1) * CHUNK_LEN] for at in range(full + 1)]
    if rest + TRAILER_LEN <= CHUNK_LEN:
        chunks[-1] += trailer
    else:
        chunks.append(trailer)
    sealer = AESGCM(frame_key(key, pack_id, salt, index, 0))
    frame = b"FRM1" + bytes(4) + salt
    for counter, chunk in enumerate(chunks):
        is_last = counter == len(chunks) - 1
        sealed = sealer.encrypt(chunk_nonce(counter, is_last), chunk, None)
        frame += struct.pack(">I", is_last << 31 | len(sealed)) + sealed
    return frame


def cut_into_parts(pack):
    """§3."""
    return [pack[at : at + PART_LEN] for at in range(0, len(pack), PART_LEN)]
