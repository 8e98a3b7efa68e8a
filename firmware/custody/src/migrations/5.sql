-- From schema version 4 to 5: images are asked for at other hospitals, and by them.

-- A request for images, ours or another hospital's.
CREATE TABLE request (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- order of making, for paging
    id            TEXT NOT NULL UNIQUE, -- its Task at the portal
    direction     TEXT NOT NULL CHECK (direction IN ('outbound', 'inbound')), -- outbound: we ask
    state         TEXT NOT NULL CHECK (state IN ('asking', 'asked', 'seen', 'promised', 'withdrawing', 'open',
                                                 'answered', 'refused', 'withdrawn', 'expired')), -- see request_state.rs
    partner       TEXT NOT NULL, -- the other hospital, as verified, JSON
    urgent        INTEGER NOT NULL CHECK (urgent IN (0, 1)), -- whether to hurry
    sealed_words  BLOB, -- patient, images, reason, and who asks; NULL once forgotten
    letter        BLOB, -- the letter that carries it, sealed to the other side; NULL where they ask, or once forgotten
    refusal       TEXT, -- why it was refused
    valid_until   INTEGER NOT NULL, -- until when it can be answered
    created_at    INTEGER NOT NULL, -- when it was made or came
    changed_at    INTEGER NOT NULL -- when it last changed
) STRICT;
CREATE INDEX request_open ON request (id) WHERE state = 'open';
CREATE INDEX request_to_forget ON request (changed_at) WHERE sealed_words IS NOT NULL;

-- The transfers that answer a request.
CREATE TABLE request_answer (
    request  INTEGER NOT NULL REFERENCES request (seq), -- which
    transfer TEXT NOT NULL, -- transfer.id
    at       INTEGER NOT NULL, -- when it was accepted by the portal, or opened here
    PRIMARY KEY (request, transfer)
) STRICT, WITHOUT ROWID;

-- What came as a request and is not believed, until a person put it aside.
CREATE TABLE unbelieved_request (
    id             TEXT PRIMARY KEY, -- its Task at the portal
    claimed_sender TEXT NOT NULL, -- who the portal says has sent it
    why            TEXT NOT NULL, -- why not, in the program's words; nothing of a patient
    at             INTEGER NOT NULL -- when it came
) STRICT, WITHOUT ROWID;
