"""Compares data sets before and after coercion, element by element, with pydicom: `compare_coerced.py FOLDER`.

FOLDER/pairs.json lists files with the plan they were coerced by. Coerced elements must have the new values, the last item of
the Original Attributes Sequence the old ones, and everything else must be the same bytes; or, if the text went to UTF-8,
the same text, read by the rule of CONFORMANCE.md. Fails if anything differs, and says what.
"""

import hashlib
import json
import pathlib
import sys
import warnings

import pydicom
from pydicom import charset, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

CHARSET, COERCED_AT, ORIGINALS, MODIFIED, PIXELS = 0x00080005, 0x00080015, 0x04000561, 0x04000550, 0x7FE00010
TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
ENDS = {"PN": set(b"\n\r\t\f\\^="), "LO": set(b"\n\r\t\f\\"), "SH": set(b"\n\r\t\f\\"), "UC": set(b"\n\r\t\f\\")}
NOW = "20261128010203+0000"


class Different(Exception):
    pass


def demand(condition, what):
    if not condition:
        raise Different(what)


class Element:
    """What was written: the VR (None if implicit), and the bytes; or the items, if it was walked through."""

    def __init__(self, tag, vr, value):
        self.tag, self.written, self.items = Tag(tag), vr, None
        self.value = value or b""
        self.vr = self.text_vr()

    def text_vr(self):
        """The VR by which text and sequences are told; private ones that are not written are UN."""
        if self.written not in (None, "UN"):
            return self.written
        if self.tag.is_private:
            return "LO" if self.tag.is_private_creator else "UN"
        try:
            known = dictionary_VR(self.tag)
        except KeyError:
            return "UN"
        return known if self.written is None or known in TEXT else "UN"


def padded(value):
    return value + b" " * (len(value) % 2)


def frozen(data_set):
    """All elements, by tag, before pydicom makes values of them."""
    elements, sequences = {}, {}
    for tag in list(data_set._dict):
        read = data_set.get_item(tag)
        is_raw = isinstance(read, RawDataElement)
        value = read.value
        if tag == CHARSET and not is_raw:
            # pydicom has read it already.
            terms = [value] if isinstance(value, str) else value or []
            value, is_raw = padded("\\".join(terms).encode()), True
        element = Element(tag, read.VR, value if is_raw else None)
        elements[int(tag)] = element
        if not is_raw or element.vr == "SQ":
            sequences[int(tag)] = element
    for tag, element in sequences.items():
        items = data_set[tag].value
        element.items = [frozen(item) for item in items] if isinstance(items, pydicom.Sequence) else None
    return elements


def declared(elements):
    element = elements.get(CHARSET)
    return None if element is None else element.value.decode("latin-1").strip(" \0")


def guess(value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(cp1252(byte) for byte in value)


def cp1252(byte):
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


def text(value, terms, vr):
    """What a value means, by the rule of CONFORMANCE.md."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode()
    terms = [term.strip() for term in (terms or "").split("\\")]
    known = all(term in charset.python_encoding for term in terms)
    is_plain = b"\x1b" not in value
    if not known or (terms == [""] and is_plain):
        return guess(value)
    if terms[0] in ("ISO_IR 100", "ISO 2022 IR 100") and is_plain:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    single_byte = terms[0] not in ("ISO_IR 192", "GB18030", "GBK") and not any(
        term.endswith((" 13", " 87", " 149", " 58", " 159")) for term in terms
    )
    if single_byte and any(0x80 <= byte <= 0x9F for byte in value):
        return guess(value)
    try:
        if len(terms) == 1:
            return value.decode(charset.python_encoding[terms[0]])
        return charset.decode_bytes(value, charset.convert_encodings(terms), ENDS.get(vr, set(b"\n\r\t\f")))
    except (UnicodeError, LookupError, ValueError):
        return guess(value)


def same(before, after, where, sets, converts):
    """Two sets of elements."""
    demand(before.keys() == after.keys(), f"{where}: other elements")
    for tag in before:
        same_element(before[tag], after[tag], f"{where}{Tag(tag)}", sets, converts)


def without(elements, tags):
    return {tag: element for tag, element in elements.items() if tag not in tags}


def same_element(old, new, where, sets, converts):
    # What pydicom has walked through has a VR even if none was written.
    one_is_read = None in (old.written, new.written) and old.vr == new.vr
    demand(old.written == new.written or one_is_read, f"{where}: other VR")
    if old.items is None or (old.value and not converts):
        is_text = converts and old.vr in TEXT
        demand(is_text or old.value == new.value, f"{where}: other bytes")
        if is_text:
            expected, found = text(old.value, sets, old.vr), new.value.decode("utf-8")
            demand(found.rstrip(" \0") == expected.rstrip(" \0"), f"{where}: {found!r} instead of {expected!r}")
            demand(len(new.value) % 2 == 0 or new.value == old.value, f"{where}: odd")
        return
    demand(new.items is not None and len(old.items) == len(new.items), f"{where}: other items")
    for number, (item, item_after) in enumerate(zip(old.items, new.items)):
        same_item(item, item_after, f"{where}[{number}]", sets, converts, int(old.tag))


def same_item(before, after, where, sets, converts, sequence):
    own = declared(before)
    if converts and own and sequence == MODIFIED:
        converts = False
    left_out = {tag for tag in before if tag & 0xFFFF == 0} if converts else set()
    if converts and own is not None:
        demand(declared(after) == "ISO_IR 192", f"{where}: character set of its own")
        sets = own
        left_out.add(CHARSET)
    same(without(before, left_out), without(after, left_out & {CHARSET}), where, sets, converts)


def judge(before, after, plan):
    sets = declared(before)
    converts = plan["converts"]
    if converts:
        demand(declared(after) == "ISO_IR 192", "character set")
    else:
        demand(declared(after) == sets, "character set")
    values = {int(tag, 16): value for tag, value in plan["values"].items()}
    removed = {int(tag, 16) for tag in plan["removed"]}
    issuers = {int(tag, 16): fields for tag, fields in plan["issuers"].items()}
    touched = {*values, *removed, *issuers, CHARSET, COERCED_AT, ORIGINALS}
    groups = {tag >> 16 for tag in touched}
    lengths = {tag for tag in before if tag & 0xFFFF == 0 or tag == 0x00080001}
    lengths = {tag for tag in lengths if converts or tag >> 16 in groups}
    same(without(before, touched | lengths), without(after, touched), "", sets, converts)

    encoding = "utf-8" if converts else charset.python_encoding.get((sets or "").split("\\")[0], "ascii")
    for tag, value in values.items():
        found = after[tag].value
        demand(found.decode(encoding).rstrip(" ") == value and len(found) % 2 == 0, f"{Tag(tag)}: not the new value")
    demand(after[COERCED_AT].value.decode().rstrip() == NOW, "time of coercion")
    for tag in removed:
        demand(tag not in after, f"{Tag(tag)}: still there")
    for tag, fields in issuers.items():
        items = [{f"{t:08X}": e.value.decode().rstrip() for t, e in item.items()} for item in after[tag].items]
        demand(items == [fields], f"{Tag(tag)}: {items}")
    record(before, after, plan, sets, converts, {*values, *issuers}, removed)
    demand(list(after) == sorted(after) or list(before) != sorted(before), "order of tags")


def record(before, after, plan, sets, converts, written, removed):
    """The Original Attributes Sequence."""
    old = before[ORIGINALS].items if ORIGINALS in before else []
    new = after[ORIGINALS].items
    demand(len(new) == len(old) + 1, "items of originals")
    for number, (item, item_after) in enumerate(zip(old, new)):
        same_item(item, item_after, f"originals[{number}]", sets, converts, ORIGINALS)
    fields = {tag: element.value.decode().rstrip() for tag, element in new[-1].items() if tag != MODIFIED}
    expected = {0x04000562: NOW, 0x04000563: plan["system"], 0x04000564: plan["source"], 0x04000565: "COERCE"}
    demand(fields == expected, f"fields of the record: {fields}")
    (past,) = new[-1][MODIFIED].items
    is_own = converts and bool(sets)
    expected = written | {tag for tag in (COERCED_AT, *removed) if tag in before} | ({CHARSET} if is_own else set())
    demand(past.keys() == expected, f"modified attributes: {sorted(past)}")
    for tag, kept in past.items():
        where = f"original {Tag(tag)}"
        if tag not in before:
            demand(not kept.value and not kept.items, f"{where}: a value from nowhere")
            continue
        one = before[tag]
        if one.items is None and (is_own or not converts):
            one.value = padded(one.value)
        same_element(one, kept, where, sets, converts and not is_own)


def main():
    folder = pathlib.Path(sys.argv[1])
    warnings.simplefilter("ignore")
    config.settings.reading_validation_mode = config.RAISE
    pairs = json.loads((folder / "pairs.json").read_text())
    failed, converted, pixels = [], 0, 0
    for pair in pairs:
        try:
            before, after = (frozen(pydicom.dcmread(pair[which], force=True)) for which in ("before", "after"))
            judge(before, after, pair["plan"])
            if PIXELS in before:
                digests = [hashlib.sha256(one[PIXELS].value).digest() for one in (before, after)]
                demand(digests[0] == digests[1], "pixel data")
                pixels += 1
        except Exception as error:  # Whatever it was, it belongs to this file.
            failed.append(f"{pair['before']} {pair['plan']['name']}: {type(error).__name__} {error}")
        converted += pair["plan"]["converts"]
    print(f"{len(pairs)} pairs compared, {converted} of them converted to UTF-8, {pixels} with equal pixel data")
    for line in failed:
        print(line)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
