"""Opens a transfer that a box has sealed: `open_transfer.py FOLDER`.

FOLDER holds `letter`, `parts/‹digest›` and `reader.json`: transfer, URA, seed, anchor, time, and a key to sign with.
Writes `instances/‹n›`, and `opened.json` with what the letter says, a receipt, and the id of our key. If anything is
refused, it prints the reason as the last line and ends with 3.
"""

import base64
import json
import pathlib
import sys

from sealed.letters import is_question, open_letter
from sealed.primitives import RecipientKey, sha256
from sealed.refusal import Refused
from sealed.signed import RECEIPT, Anchors, Signer, instant
from sealed.statements import verify_statement
from sealed.transfers import open_transfer


def main(folder):
    reader = json.loads((folder / "reader.json").read_text())
    anchors = Anchors.read([base64.b64decode(reader["anchor"])])
    recipient = RecipientKey(bytes.fromhex(reader["seed"]))
    at = instant(reader["at"])
    # The statement that the box has published of this key must be about the key that we derive from its seed.
    stated = verify_statement(reader["statement"], reader["ura"], anchors, at)
    assert stated.public == recipient.public, "the public key of the seed is another"
    sealed = (folder / "letter").read_bytes()
    letter = open_letter(sealed, reader["transfer"], recipient, reader["ura"], anchors, at)
    data_sets = open_transfer(letter, lambda digest: (folder / "parts" / digest).read_bytes())
    (folder / "instances").mkdir()
    for number, data_set in enumerate(data_sets):
        (folder / "instances" / str(number)).write_bytes(data_set)
    receipt = {
        "v": 1,
        "transfer": letter["transfer"],
        "letter": sha256(sealed),
        "stage": "erased" if is_question(letter) else "in-custody",
        "by": reader["ura"],
        "to": letter["sender"]["ura"],
        "stored": len(data_sets),
        "of": len(data_sets),
        "at": reader["at"],
    }
    signer = Signer(base64.b64decode(reader["pkcs8"]), reader["chain"])
    opened = {
        "instances": [one["instance"] for one in letter["instances"]],
        "patient": letter["patient"]["name"],
        "note": letter["note"],
        "about": letter["about"],
        "in_answer_to": letter["in_answer_to"],
        "organisation": letter["sender"]["organisation"],
        "receipt": signer.sign(RECEIPT, receipt),
    }
    (folder / "opened.json").write_text(json.dumps(opened))


if __name__ == "__main__":
    try:
        main(pathlib.Path(sys.argv[1]))
    except Refused as refused:
        print(refused.reason)
        sys.exit(3)
