"""Why something is refused: the words of the vectors, so that both readers can be compared."""


class Refused(Exception):
    """The first thing that is wrong. Nothing of what was read may be used."""

    def __init__(self, reason, detail=""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
