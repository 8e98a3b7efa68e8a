"""The sealed formats of firmware/protocol/ENVELOPE.md, written a second time.

Written from that page alone, with `cryptography` (PyPI) for the primitives and no code of the boxes. Section numbers in
the comments are those of the page. It reads whole packs and letters in memory: it is there to disagree, not to be fast.
"""
