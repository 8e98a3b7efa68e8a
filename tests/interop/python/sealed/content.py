"""What stands in signed texts, read strictly: §4.4, §6 and §7. Unknown members are passed over."""

import json
import re
import uuid

from .packs import is_uid
from .primitives import base64url
from .refusal import Refused
from .signed import instant, is_ura, once_each

# What an integer may be, where nothing smaller is said (§4.4).
U64 = 2**64


def parsed(payload, reason, read):
    """JSON of UTF-8, no member twice, no numbers that JSON does not have; anything odd is refused for `reason`."""
    try:
        members = json.loads(payload.decode("utf-8"), object_pairs_hook=once_each, parse_constant=no_constant)
        return read(members)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(reason, f"{type(error).__name__} {error}") from error


def no_constant(text):
    raise ValueError(f"{text} is no JSON")


def integer(value, below=U64):
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("no such integer")
    return value


def integer_of(bits):
    return lambda value: integer(value, 2**bits)


def text(value):
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def form(pattern):
    def read(value):
        if not re.fullmatch(pattern, text(value)):
            raise ValueError("another form")
        return value

    return read


digest = form(r"[0-9a-f]{64}")
pack_id = form(r"[0-9a-f]{32}")


def uid(value):
    if not is_uid(text(value)):
        raise ValueError("no UID")
    return value


def ura(value):
    if not is_ura(text(value)):
        raise ValueError("no URA")
    return value


def transfer_id(value):
    if str(uuid.UUID(text(value))) != value:
        raise ValueError("another spelling")
    return value


def key_of_32(value):
    key = base64url(text(value))
    if len(key) != 32:
        raise ValueError("another length")
    return key


def optional(read):
    return lambda value: None if value is None else read(value)


def boolean(value):
    if not isinstance(value, bool):
        raise ValueError("no boolean")
    return value


def listed(read):
    def each(value):
        if not isinstance(value, list):
            raise ValueError("no list")
        return [read(one) for one in value]

    return each


def members(needed, may=()):
    """An object with these members, and perhaps those; unknown ones are passed over."""

    def read(value):
        if not isinstance(value, dict):
            raise ValueError("no object")
        found = {name: one(value[name]) for name, one in needed.items()}
        for name, one in dict(may).items():
            found[name] = one(value[name]) if name in value else None
        return found

    return read


PARTY = members({"ura": ura, "organisation": text}, {"department": optional(text), "addressee": optional(text)})
PATIENT = members(
    {},
    {name: optional(text) for name in ("name", "id", "id_issuer", "birth_date", "sex", "bsn")},
)
STUDY = members(
    {},
    {
        "study": optional(uid),
        **{
            name: optional(text)
            for name in ("description", "date", "time", "accession_number", "institution")
        },
        "modalities": listed(text),
        "series": integer_of(32),
        "instances": integer_of(32),
        "size_bytes": integer,
    },
)
INSTANCE = members(
    {
        "class": uid,
        "instance": uid,
        "syntax": uid,
        "size": integer,
        "sha256": digest,
        "pack": integer_of(32),
        "frame": integer_of(32),
        "at": integer,
        "sealed": integer,
    },
    {"study": optional(uid), "series": optional(uid)},
)
PACK = members(
    {
        "id": pack_id,
        "key": key_of_32,
        "len": integer,
        "parts": listed(members({"sha256": digest, "len": integer})),
    }
)


def one_of(kinds):
    """An object whose `kind` says which of these it is; another kind is refused."""

    def read(value):
        if not isinstance(value, dict):
            raise ValueError("no object")
        kind = text(value["kind"])
        return {"kind": kind, **kinds[kind](value)}

    return read


WANTED = members(
    {"answer_to": text},
    {
        "modalities": listed(text),
        "body_region": optional(text),
        "from": optional(text),
        "until": optional(text),
    },
)
ABOUT = one_of(
    {
        "ask-back": members({"transfer": transfer_id}),
        "addendum": members({"group": transfer_id, "to": transfer_id}),
        "request-imaging": members({"wanted": WANTED}),
    }
)
LETTER = members(
    {
        "v": integer_of(8),
        "transfer": transfer_id,
        "sender": PARTY,
        "addressee": PARTY,
        "written_at": instant,
        "valid_until": instant,
        "patient": PATIENT,
        "studies": listed(STUDY),
        "instances": listed(INSTANCE),
        "packs": listed(PACK),
    },
    {
        "urgent": boolean,
        "note": optional(text),
        "reply_contact": optional(text),
        "about": optional(ABOUT),
        "in_answer_to": optional(transfer_id),
    },
)
STATEMENT = members(
    {
        "v": integer_of(8),
        "ura": ura,
        "kem": text,
        "key": text,
        "id": digest,
        "valid_from": instant,
        "valid_until": instant,
    }
)
RECEIPT = members(
    {
        "v": integer_of(8),
        "transfer": transfer_id,
        "letter": digest,
        "stage": form("in-custody|in-pacs|erased"),
        "by": ura,
        "to": ura,
        "stored": integer_of(32),
        "of": integer_of(32),
        "at": instant,
    },
    {"refused": listed(members({"position": integer_of(32), "status": integer_of(16)}))},
)


def letter(payload):
    return parsed(payload, "malformed", LETTER)


def statement(payload):
    return parsed(payload, "does-not-fit", STATEMENT)


def receipt(payload):
    return parsed(payload, "does-not-fit", RECEIPT)
