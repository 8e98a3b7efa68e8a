"""Finds and makes data sets to coerce: `coercion_inputs.py FOLDER`.

Found are all files that pydicom brings, with where their data set begins and in which transfer syntax it is; made are nasty
ones, written byte by byte or by pydicom. The list goes to FOLDER/inputs.json.
"""

import json
import pathlib
import struct
import sys
import zlib

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

UNDEFINED = 0xFFFFFFFF


def described(path):
    """Where the data set begins, and its transfer syntax; None if pydicom does not read it either."""
    try:
        whole = pydicom.dcmread(path, force=True)
        with open(path, "rb") as file:
            read_preamble(file, force=True)
            _read_file_meta_info(file)
            at = file.tell()
    except Exception as error:  # Anything: these files are odd on purpose.
        return None if isinstance(error, pydicom.errors.InvalidDicomError) else {"path": str(path), "why": repr(error)}
    syntax = whole.file_meta.get("TransferSyntaxUID") if hasattr(whole, "file_meta") else None
    if syntax is None:
        implicit, little = whole.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return {"path": str(path), "at": at, "syntax": str(syntax)}


def found():
    data = pathlib.Path(pydicom.__file__).parent / "data"
    for folder in ("test_files", "charset_files"):
        for path in sorted((data / folder).rglob("*")):
            is_text = path.name == "README" or path.suffix in (".txt", ".json", ".dump", ".gz", ".icc", ".py")
            if path.is_file() and not is_text:
                yield path


def element(tag, vr, value, length=None):
    """An element in Explicit VR Little Endian."""
    length = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC"):
        return head + struct.pack("<HI", 0, length) + value
    return head + struct.pack("<H", length) + value


def item(content, length=None):
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def head_of(set_, name):
    """Character set, class, instance, name."""
    declared = b"" if set_ is None else element(0x00080005, b"CS", padded(set_))
    return (
        declared
        + element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0")
        + element(0x00080018, b"UI", b"2.25.1234\0")
        + element(0x00081030, b"LO", padded(name))
        + element(0x00100010, b"PN", padded(name))
    )


def padded(value):
    return value + b" " * (len(value) % 2)


def nested(depth, is_defined):
    content = element(0x00080104, b"LO", padded("Gr\xfcn".encode("latin-1")))
    for _ in range(depth):
        one = item(content) if is_defined else item(content + ITEM_END, UNDEFINED)
        content = element(0x0040A730, b"SQ", one if is_defined else one + SEQUENCE_END, None if is_defined else UNDEFINED)
    return content


def private_blocks():
    """Three hundred, with text, unknown things and sequences."""
    # Blocks of one group follow all its creators.
    whole, by_group = b"", {}
    for number in range(300):
        by_group.setdefault(0x1001 + 2 * (number // 20), []).append(number)
    for group, numbers in by_group.items():
        creators = values = b""
        for number in numbers:
            block = 0x10 + number % 20
            creators += element(group << 16 | block, b"LO", padded(f"MAKER {number} \xe9".encode("latin-1")))
            base = group << 16 | block << 8
            values += element(base | 1, b"LT", padded(f"text \xfc {number}".encode("latin-1")))
            values += element(base | 2, b"UN", b"\xe9\x1b\\\xff")
            inner = element(base | 4, b"SH", padded(b"in \xe4"))
            values += element(base | 3, b"SQ", item(inner + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED)
            values += element(base | 5, b"OB", bytes(range(256)))
        whole += creators + values
    return whole


def handmade():
    """Data sets in Explicit VR Little Endian, by name."""
    e_acute = "Fran\xe7ois^Ren\xe9".encode("latin-1")
    latin = head_of(b"ISO_IR 100", e_acute)
    pixels = element(0x7FE00010, b"OW", bytes(range(256)) * 8)
    yield "missing_charset_latin", head_of(None, e_acute) + pixels
    yield "missing_charset_utf8", head_of(None, "Ren\xe9".encode()) + pixels
    yield "empty_charset", head_of(b"", e_acute) + pixels
    yield "declared_latin_is_utf8", head_of(b"ISO_IR 100", "Ren\xe9^Zo\xeb".encode()) + pixels
    yield "declared_latin_is_windows", head_of(b"ISO_IR 100", b"\x80 100^\x93Jan\x94") + pixels
    yield "declared_utf8_is_latin", head_of(b"ISO_IR 192", e_acute) + pixels
    yield "unknown_charset", head_of(b"LATIN1", e_acute) + pixels
    kanji = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    yield "iso_2022_jp", head_of(b"\\ISO 2022 IR 87", kanji) + pixels
    hangul = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    yield "iso_2022_kr", head_of(b"\\ISO 2022 IR 149", hangul) + pixels
    yield "gb18030", head_of(b"GB18030", "Wang^XiaoDong=\u738b^\u5c0f\u4e1c".encode("gb18030")) + pixels
    yield "greek", head_of(b"ISO_IR 126", "\u0394\u03b9\u03bf\u03bd\u03c5\u03c3\u03b9\u03bf\u03c2".encode("iso8859-7"))
    yield "turkish", head_of(b"ISO_IR 148", "Ya\u015far^\u0130pek".encode("iso8859-9"))
    yield "deep_defined", latin + nested(60, True) + pixels
    yield "deep_undefined", latin + nested(60, False) + pixels
    empty = element(0x00081140, b"SQ", b"") + element(0x00082112, b"SQ", SEQUENCE_END, UNDEFINED)
    empty += element(0x00400275, b"SQ", item(b"") + item(ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED)
    yield "empty_sequences", latin[: -len(element(0x00100010, b"PN", padded(e_acute)))] + empty
    yield "private_blocks", latin + private_blocks() + pixels
    yield "odd_lengths", latin + element(0x00100020, b"LO", b"ABC") + element(0x00104000, b"LT", b"\xe9") + pixels
    lengths = element(0x00080000, b"UL", b"\x10\0\0\0") + latin + element(0x00200000, b"UL", b"\x0e\0\0\0")
    yield "group_lengths", lengths + element(0x0020000D, b"UI", b"2.25.9") + pixels
    before = element(0x04000550, b"SQ", item(element(0x00100020, b"LO", b"OLD\xe9")))
    before += element(0x04000563, b"LO", b"OTHER\xe9") + element(0x04000565, b"CS", b"COERCE")
    yield "coerced_before", latin + element(0x04000561, b"SQ", item(before) + item(before)) + pixels
    undefined = item(before + ITEM_END, UNDEFINED) + SEQUENCE_END
    yield "coerced_before_undefined", latin + element(0x04000561, b"SQ", undefined, UNDEFINED) + pixels
    long_text = "Lange \xfc tekst. ".encode("latin-1") * 20000
    yield "long_text", latin + element(0x0040A160, b"UT", long_text) + pixels
    qualifiers = element(0x00400032, b"UT", b"2.16.840.1.113883.2.4.6.3 ") + element(0x00400033, b"CS", b"ISO ")
    identity = element(0x00100020, b"LO", b"123456782 ") + element(0x00100021, b"LO", b"NO\xd6RD ")
    yield "issuers", latin + identity + element(0x00100024, b"SQ", item(qualifiers)) + pixels
    yield "nothing", b""


def encapsulated():
    fragments = item(b"") + item(b"\xff\xd8\xfe\xff\xdd\xe0\0\0\0\0") + item(b"\xff\xd9") + SEQUENCE_END
    head = head_of(b"ISO_IR 100", "Ren\xe9".encode("latin-1"))
    return head + element(0x7FE00010, b"OB", fragments, UNDEFINED)


def in_other_encodings():
    """A data set with nested text, written by pydicom in every uncompressed transfer syntax."""
    for name, syntax in (("implicit", ImplicitVRLittleEndian), ("big", ExplicitVRBigEndian)):
        for undefined in (False, True):
            inner = Dataset()
            inner.CodeMeaning = "Gr\xfcn"
            outer = Dataset()
            outer.AccessionNumber = "THEIRS"
            outer.ConceptCodeSequence = Sequence([inner])
            outer.ConceptCodeSequence.is_undefined_length = undefined
            inner.is_undefined_length_sequence_item = outer.is_undefined_length_sequence_item = undefined
            whole = Dataset()
            whole.SpecificCharacterSet = "ISO_IR 100"
            whole.SOPClassUID, whole.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.77"
            whole.AccessionNumber = "A-1"
            whole.PatientName = "Ren\xe9^Zo\xeb"
            whole.PatientID = "N-1"
            whole.RequestAttributesSequence = Sequence([outer, Dataset()])
            whole["RequestAttributesSequence"].is_undefined_length = undefined
            whole.Rows = whole.Columns = 16
            whole.BitsAllocated = 16
            whole.add_new(0x00091010, "LO", "Ma\xefs")
            whole.add_new(0x7FE00010, "OW", bytes(range(256)) * 2)
            buffer = pydicom.filebase.DicomBytesIO()
            buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
            buffer.is_little_endian = syntax != ExplicitVRBigEndian
            pydicom.filewriter.write_dataset(buffer, whole)
            yield f"{name}_{'undefined' if undefined else 'defined'}", syntax, buffer.getvalue()


def part_10(syntax, data_set):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1234"
    meta.TransferSyntaxUID = syntax
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    pydicom.filewriter.write_file_meta_info(buffer, meta, enforce_standard=True)
    return bytes(128) + b"DICM" + buffer.getvalue() + data_set


def made(folder):
    folder.mkdir()
    all_made = [(name, ExplicitVRLittleEndian, data_set) for name, data_set in handmade()]
    all_made += [("encapsulated", JPEGBaseline8Bit, encapsulated())]
    for name, data_set in handmade():
        if name in ("private_blocks", "deep_undefined", "iso_2022_jp", "coerced_before"):
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            deflated = packer.compress(data_set) + packer.flush()
            all_made.append((f"{name}_deflated", DeflatedExplicitVRLittleEndian, deflated + b"\0" * (len(deflated) % 2)))
    all_made += in_other_encodings()
    for name, syntax, data_set in all_made:
        path = folder / f"{name}.dcm"
        path.write_bytes(part_10(syntax, data_set))
        yield path


def main():
    folder = pathlib.Path(sys.argv[1])
    inputs = [described(path) for path in [*found(), *made(folder / "made")]]
    (folder / "inputs.json").write_text(json.dumps([one for one in inputs if one]))
    for one in inputs:
        if one and "why" in one:
            print("pydicom does not read", one)


if __name__ == "__main__":
    main()
