"""Seals a transfer for a box: `seal_transfer.py FOLDER`.

FOLDER holds `instances/‹n›` and `writer.json`: transfer, both URAs, a description of each instance, the published key
statement of the addressee, anchor, time, and a key to sign with. Writes `letter` and `parts/‹digest›`.
"""

import base64
import json
import os
import pathlib
import sys

from sealed.letters import seal_letter
from sealed.packs import cut_into_parts, pack_header, seal_frame
from sealed.primitives import sha256, to_base64url
from sealed.signed import Anchors, Signer, instant
from sealed.statements import verify_statement


def main(folder):
    writer = json.loads((folder / "writer.json").read_text())
    anchors = Anchors.read([base64.b64decode(writer["anchor"])])
    signer = Signer(base64.b64decode(writer["pkcs8"]), writer["chain"])
    ura = writer["addressee"]
    recipient = verify_statement(writer["statement"], ura, anchors, instant(writer["at"]))
    key, pack_id = os.urandom(32), os.urandom(16)
    pack, instances = pack_header(key, pack_id), []
    for number, description in enumerate(writer["instances"]):
        data_set = (folder / "instances" / str(number)).read_bytes()
        frame = seal_frame(key, pack_id, number, os.urandom(16), description, data_set)
        instances.append(
            {
                "class": description["sop_class"],
                "instance": description["sop_instance"],
                "syntax": description["transfer_syntax"],
                "study": description["study"],
                "series": description["series"],
                "size": len(data_set),
                "sha256": sha256(data_set),
                "pack": 0,
                "frame": number,
                "at": len(pack),
                "sealed": len(frame),
            }
        )
        pack += frame
    parts = cut_into_parts(pack)
    (folder / "parts").mkdir()
    for part in parts:
        (folder / "parts" / sha256(part)).write_bytes(part)
    letter = {
        "v": 1,
        "transfer": writer["transfer"],
        "sender": {"ura": signer.ura, "organisation": "Een ander merk"},
        "addressee": {"ura": ura, "organisation": "Proefziekenhuis Zuid"},
        "written_at": writer["at"],
        "valid_until": "2126-01-01T00:00:00Z",
        "patient": {"name": "Proef^Petra"},
        "studies": [],
        "note": "made by another reader of the page",
        "instances": instances,
        "packs": [
            {
                "id": pack_id.hex(),
                "key": to_base64url(key),
                "len": len(pack),
                "parts": [{"sha256": sha256(part), "len": len(part)} for part in parts],
            }
        ],
    }
    (folder / "letter").write_bytes(seal_letter(letter, signer, [recipient]))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
