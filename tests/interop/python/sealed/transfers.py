"""A whole transfer: the letter, then the parts that it lists, then every instance (§4.6)."""

from . import packs
from .primitives import sha256
from .refusal import Refused

DESCRIBED = {
    "class": "sop_class",
    "instance": "sop_instance",
    "syntax": "transfer_syntax",
    "study": "study",
    "series": "series",
}


def open_transfer(letter, fetch):
    """The data sets in the order of the letter's list; `fetch` gives the bytes of a part by its digest."""
    opened = {}
    for number, listed in enumerate(letter["packs"]):
        pack = join_parts(listed, fetch)
        key = listed["key"]
        if packs.check_header(pack, key).hex() != listed["id"]:
            raise Refused("wrong-key", "the id of another pack")
        here = [one for one in letter["instances"] if one["pack"] == number]
        frames = packs.open_pack(pack, key, len(here))
        for instance in here:
            if instance["frame"] >= len(frames):
                raise Refused("does-not-fit", "a frame that is not there")
            frame = frames[instance["frame"]]
            compare(instance, frame)
            opened[number, instance["frame"]] = frame.data_set
    return [opened[one["pack"], one["frame"]] for one in letter["instances"]]


def join_parts(listed, fetch):
    pieces = []
    for part in listed["parts"]:
        piece = fetch(part["sha256"])
        if len(piece) != part["len"] or sha256(piece) != part["sha256"]:
            raise Refused("part-differs")
        pieces.append(piece)
    return b"".join(pieces)


def compare(instance, frame):
    """What the letter lists is what the frame says of itself."""
    if (instance["at"], instance["sealed"]) != (frame.at, frame.sealed):
        raise Refused("does-not-fit", "the frame stands elsewhere")
    if any((instance[ours] or "") != frame.description[theirs] for ours, theirs in DESCRIBED.items()):
        raise Refused("does-not-fit", "description")
    if (instance["size"], instance["sha256"]) != (len(frame.data_set), sha256(frame.data_set)):
        raise Refused("does-not-fit", "data set")
