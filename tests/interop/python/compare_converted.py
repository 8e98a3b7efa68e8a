"""Compares data sets before and after a conversion of the transfer syntax, element by element, with pydicom:
`compare_converted.py FOLDER`.

FOLDER/pairs.json lists {"before": part 10 file, "after": data set, "implicit": whether that is in Implicit VR}. Both are in
little endian after the conversion. Values are compared as bytes where pydicom keeps bytes, and as what it makes of them
elsewhere. A VR may change only where Implicit VR has no room for it, or where a dictionary of ours knows an element that
pydicom's does not.
"""

import json
import pathlib
import sys

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import correct_ambiguous_vr

# Numbers that pydicom keeps as bytes, and how long each is.
WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "AT": "HH", "UV": "Q", "SV": "q"}


def turned(value, unit):
    whole = len(value) // unit * unit
    return b"".join(value[at : at + unit][::-1] for at in range(0, whole, unit)) + value[whole:]


def plain(element, little):
    """What is compared of a value."""
    value = element.value
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value)
        return value if little or element.VR not in WORDS else turned(value, WORDS[element.VR])
    return value


def is_the_same(before, after):
    return before == after or repr(before) == repr(after)


def compare(before, after, little, is_implicit, path, wrong):
    expected = [element for element in before.keys() if element.element != 0 and element != 0x00080001]
    if expected != list(after.keys()):
        missing, added = set(expected) - set(after.keys()), set(after.keys()) - set(expected)
        wrong.append(f"{path}: other elements: missing {sorted(missing)}, added {sorted(added)}")
        return 0
    count = 0
    for tag in expected:
        where = f"{path}{tag}"
        old, new = before[tag], after[tag]
        count += 1
        if old.VR == "SQ" or new.VR == "SQ":
            if old.VR != new.VR:
                # Written as UN, it is a sequence to who knows the element.
                count -= 1
                continue
            if len(old.value) != len(new.value):
                wrong.append(f"{where}: {len(old.value)} items became {len(new.value)}")
                continue
            for number, (one, other) in enumerate(zip(old.value, new.value)):
                count += compare(one, other, little, is_implicit, f"{where}[{number}].", wrong)
            continue
        if not is_implicit and old.VR != new.VR and new.VR != "UN" and old.VR != "UN":
            # pydicom asks its dictionary, and so do we.
            if {old.VR, new.VR} not in ({"OB", "OW"}, {"US", "OW"}, {"US", "SS"}):
                wrong.append(f"{where}: {old.VR} became {new.VR}")
                continue
        if is_the_same(plain(old, little), plain(new, True)):
            continue
        # Of another VR to pydicom: compare what is written.
        if old.VR != new.VR and raw(old, little) == raw(new, True):
            continue
        wrong.append(f"{where}: {old.VR} {str(old.value)[:60]!r} became {new.VR} {str(new.value)[:60]!r}")
    return count


def raw(element, little):
    """The bytes of a value, in little endian."""
    import struct

    value = element.value
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray)):
        return plain(element, little).rstrip(b" \0")
    values = value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]
    if element.VR in NUMBERS and element.VR != "AT":
        packed = b"".join(struct.pack("<" + NUMBERS[element.VR], one) for one in values if one is not None)
        return packed.rstrip(b" \0")
    original = getattr(value, "original_string", None)
    if isinstance(original, bytes):
        return original.rstrip(b" \0")
    return "\\".join(str(one) for one in values).encode("latin-1", "replace").rstrip(b" \0")


def main():
    folder = pathlib.Path(sys.argv[1])
    wrong, elements, pairs = [], 0, json.loads((folder / "pairs.json").read_text())
    for pair in pairs:
        before = pydicom.dcmread(pair["before"], force=True)
        little = before.original_encoding[1]
        with open(pair["after"], "rb") as file:
            after = read_dataset(file, pair["implicit"], True)
        if not isinstance(after, Dataset):
            raise TypeError
        after._read_charset = getattr(before, "_read_charset", None)
        correct_ambiguous_vr(before, little)
        correct_ambiguous_vr(after, True)
        name = pathlib.Path(pair["before"]).name
        elements += compare(before, after, little, pair["implicit"], f"{name} ", wrong)
    print(f"{len(pairs)} pairs, {elements} elements the same")
    if wrong:
        print("\n".join(wrong[:60]), f"\n{len(wrong)} differences")
        sys.exit(1)


if __name__ == "__main__":
    main()
