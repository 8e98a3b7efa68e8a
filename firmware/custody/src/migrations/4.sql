-- From schema version 3 to 4: sending can be undone; a transfer can be asked back.
INSERT INTO allowed_move VALUES ('outbound', 'addressed', 'queued');

-- What two boxes ask each other about a transfer after it was collected: to give it back.
CREATE TABLE ask (
    id            TEXT PRIMARY KEY, -- its Task at the portal, or the transfer's own id
    about         INTEGER NOT NULL REFERENCES transfer (seq), -- about which
    direction     TEXT NOT NULL CHECK (direction IN ('outbound', 'inbound')), -- outbound: we ask
    state         TEXT NOT NULL CHECK (state IN ('asking', 'asked', 'open', 'granted', 'refused')), -- see asks.rs
    sealed_words  BLOB NOT NULL, -- why, and who asks
    letter        BLOB, -- the letter that carries it, sealed to the other side; NULL where they ask
    letter_digest BLOB CHECK (letter_digest IS NULL OR length(letter_digest) = 32), -- SHA-256 of the letter
    created_at    INTEGER NOT NULL, -- when it was made or came
    changed_at    INTEGER NOT NULL -- when it last changed
) STRICT;
CREATE INDEX ask_about ON ask (about);
CREATE INDEX ask_open ON ask (id) WHERE state = 'open';
