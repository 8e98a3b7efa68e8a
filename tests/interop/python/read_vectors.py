"""Reads the vectors of tests/vectors/envelope: `read_vectors.py FOLDER`. Fails on the first file with a difference.

Every case must come out as the vector says, for the reason it says; the good ones are then changed byte by byte.
"""

import base64
import json
import pathlib
import sys

from sealed import letters, packs, statements
from sealed.primitives import RecipientKey, base64url, sha256
from sealed.refusal import Refused
from sealed.signed import Anchors, instant


class Authority:
    def __init__(self, folder):
        described = json.loads((folder / "authority.json").read_text())
        root, revoked = (base64.b64decode(described[name]) for name in ("anchor", "revocation_list"))
        self.anchors = Anchors.read([root], [revoked])
        self.recipient = RecipientKey(bytes.fromhex(described["recipient_seed"]))
        assert self.recipient.public == base64.b64decode(described["recipient_public_key"]), "X-Wing public key"


def read_pack(case, _, pack=None):
    pack = base64.b64decode(case["pack"]) if pack is None else pack
    key = bytes.fromhex(case["key"])
    opened = packs.open_pack(pack, key, case["frames"])
    for index, (frame, wanted) in enumerate(zip(opened, case.get("instances", []), strict=True)):
        data_set = bytes.fromhex(wanted["data_set"])
        assert frame.data_set == data_set, "data set"
        assert frame.description == {field: wanted[field] for field in packs.FIELDS}, "description"
        salt = pack[frame.at + 8 : frame.at + 24]
        key_of_frame = packs.frame_key(key, pack[16:32], salt, index, 0)
        assert key_of_frame.hex() == case["derived"]["frame_keys"][index], "frame key"
    return "opens"


def write_pack(case):
    """`writes`: the one right frame for each length."""
    key, pack_id, salt = (bytes.fromhex(case[name]) for name in ("key", "pack_id", "salt"))
    for frame in case["frames"]:
        data_set = (bytes(range(251)) * (frame["data_set_len"] // 251 + 1))[: frame["data_set_len"]]
        sealed = packs.seal_frame(key, pack_id, case["index"], salt, case["instance"], data_set)
        found = (len(sealed), sha256(sealed))
        assert found == (frame["frame_len"], frame["frame_sha256"]), f"frame of {len(data_set)}"


def read_letter(case, authority, sealed=None):
    sealed = base64.b64decode(case["letter"]) if sealed is None else sealed
    opened = letters.open_letter(
        sealed, case["transfer"], authority.recipient, case["ura"], authority.anchors, instant(case["at"])
    )
    if "content" in case:
        wanted = case["content"]
        assert opened["note"] == wanted["note"] and opened["patient"]["name"] == wanted["patient"]["name"], "content"
        assert [one["sha256"] for one in opened["instances"]] == [one["sha256"] for one in wanted["instances"]]
        assert opened["packs"][0]["key"] == base64url(wanted["packs"][0]["key"]), "pack key"
        assert sha256(sealed) == case["letter_sha256"], "digest of the letter"
    return "opens"


def read_statement(case, authority, text=None):
    text = case["statement"] if text is None else text
    statements.verify_statement(text, case["ura"], authority.anchors, instant(case["at"]))
    return "verifies"


def read_receipt(case, authority, text=None):
    text = case["receipt"] if text is None else text
    statements.verify_receipt(text, case["expected"], authority.anchors, instant(case["at"]))
    return "verifies"


def read_wrap(case, _, sealed=None):
    sealed = bytes.fromhex(case["sealed"]) if sealed is None else sealed
    key, place = bytes.fromhex(case["storage_key"]), bytes.fromhex(case["place"])
    value, derived = statements.open_wrap(key, case["purpose"], place, sealed)
    assert value.hex() == case["value"] and derived.hex() == case["derived_key"], "value"
    return "opens"


def outcome(read, case, authority, changed=None):
    try:
        return read(case, authority, changed)
    except Refused as error:
        return f"refused: {error.reason}"


def changed_bytes(content):
    for at in range(len(content)):
        yield content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def changed_characters(text):
    for at, character in enumerate(text):
        yield text[:at] + ("A" if character != "A" else "B") + text[at + 1 :]


def main(folder):
    authority = Authority(folder)
    files = [
        ("packs.json", read_pack, "two-frames", lambda case: changed_bytes(base64.b64decode(case["pack"]))),
        ("letters.json", read_letter, "good", lambda case: changed_bytes(base64.b64decode(case["letter"]))),
        ("statements.json", read_statement, "good", lambda case: changed_characters(case["statement"])),
        ("receipts.json", read_receipt, "in-custody", lambda case: changed_characters(case["receipt"])),
        ("wraps.json", read_wrap, "pack-key-opens", lambda case: changed_bytes(bytes.fromhex(case["sealed"]))),
    ]
    for name, read, good, changes in files:
        cases = json.loads((folder / name).read_text())["cases"]
        differences = []
        for case in cases:
            if case["expect"] == "writes":
                write_pack(case)
                continue
            found = outcome(read, case, authority)
            if found != case["expect"]:
                differences.append(f"  {case['name']}: expected {case['expect']!r}, found {found!r}")
        case = next(case for case in cases if case["name"] == good)
        changed = 0
        for changed, change in enumerate(changes(case), 1):
            found = outcome(read, case, authority, change)
            if not found.startswith("refused: "):
                differences.append(f"  {good} with place {changed - 1} changed: {found}")
        if differences:
            sys.exit(f"{name}:\n" + "\n".join(differences))
        print(f"{name}: {len(cases)} cases, {changed} changes refused")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
