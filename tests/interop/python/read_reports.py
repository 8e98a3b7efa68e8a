"""Reads HL7 messages with hl7apy, which shares no code with us, and compares with what we say about them.

`written.json`: messages that we wrote; hl7apy must find them valid by the tables of their version, and find the same in them.
`corpus.json`: messages as systems send them that we take; what hl7apy can read of them must be the same."""

import json
import sys
from pathlib import Path

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

folder = Path(sys.argv[1])
CODECS = {"8859/1": "cp1252", "8859/15": "iso8859-15", "UNICODE UTF-8": "utf-8", "": "utf-8"}
ESCAPES = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", ".br": "\n"}


def plain(text):
    """Without the escape sequences that we write. hl7apy leaves them in, and escapes the line breaks of FT once more."""
    out, rest = "", text.replace("\\E\\.br\\E\\", "\\.br\\")
    while "\\" in rest:
        before, inside, rest = rest.split("\\", 2)
        out += before + ESCAPES[inside]
    return out + rest


def said(message, unescape):
    """Numbers, family names and texts, in the order of the message."""
    numbers, families, texts = [], [], []
    for pid in segments(message, "PID"):
        numbers += [unescape(cx.cx_1.to_er7()) for cx in pid.pid_3]
        families += [unescape(xpn.xpn_1.to_er7().split("&")[0]) for xpn in pid.pid_5]
    for obx in segments(message, "OBX"):
        if obx.obx_2.to_er7() in ("FT", "TX", "ST"):
            # TX and FT have no components: what looks like one is text.
            texts.append("\n".join(unescape(part.to_er7()) for part in obx.obx_5))
    return {"numbers": numbers, "families": families, "texts": [text for text in texts if text]}


def segments(element, name):
    found = []
    for child in element.children:
        if child.name == name:
            found.append(child)
        elif getattr(child, "children", None) and child.classname in ("Group", "Message"):
            found += segments(child, name)
    return found


def written():
    count = 0
    for case in json.loads((folder / "written.json").read_text()):
        raw = (folder / case["file"]).read_bytes()
        text = raw.decode(CODECS[case["set"]])
        message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
        try:
            assert message.validate()
        except Exception as error:
            raise AssertionError(f"{case['file']} is not valid: {error}") from error
        found = said(message, plain)
        assert found == case["said"], f"{case['file']}: {found} is not {case['said']}"
        count += 1
    return count


def corpus():
    count, unread, wrong = 0, [], []
    for case in json.loads((folder / "corpus.json").read_text()):
        raw = Path(case["file"]).read_bytes()
        header = raw.split(b"\r")[0].decode("ascii", "replace").split("|")
        declared = header[17] if len(header) > 17 else ""
        try:
            text = raw.decode(CODECS[declared])
            message = parse_message(text, find_groups=False)
            found = said(message, lambda part: part if part != '""' else "")
        except Exception as error:
            unread.append(f"{Path(case['file']).name}: {type(error).__name__}")
            continue
        if found != case["said"]:
            wrong.append(f"{Path(case['file']).name}: {found} is not {case['said']}")
        count += 1
    assert not wrong, "\n".join(wrong)
    return count, unread


valid = written()
same, unread = corpus()
print(f"written: {valid}, corpus: {same}, not read by hl7apy: {len(unread)} {unread}")
