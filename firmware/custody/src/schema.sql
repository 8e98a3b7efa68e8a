-- The ledger: what this box has in custody, and what has to happen to it.
--
-- Times are microseconds since 1970-01-01 UTC. Columns called `sealed_…` are sealed under the storage key for their
-- own table and row; nothing of a patient stands anywhere in the clear. UIDs do: they say nothing without the images.
-- Moves between states are refused by trigger unless they are in `allowed_move`, whose twin is `moves.rs`.

-- The instances of one study that were closed at one time. The bytes are in its packs.
CREATE TABLE collection (
    id               INTEGER PRIMARY KEY AUTOINCREMENT, -- name of the collection on this box, never used twice
    direction        TEXT NOT NULL CHECK (direction IN ('outbound', 'inbound')), -- seen from this box
    study_uid        TEXT, -- Study Instance UID; NULL if the sender left it out
    source_ae        TEXT, -- calling AE title of the association that opened it; NULL if inbound
    called_ae        TEXT, -- alias AE title that it was sent to; NULL if to the box's own, or inbound
    opened_at        INTEGER NOT NULL, -- when it was made
    last_instance_at INTEGER NOT NULL, -- when the last instance was committed
    closed_at        INTEGER, -- when the last instance was admitted for good; NULL while collecting
    instances        INTEGER NOT NULL DEFAULT 0 CHECK (instances >= 0), -- how many there are
    size_bytes       INTEGER NOT NULL DEFAULT 0 CHECK (size_bytes >= 0), -- sum of the lengths of their data sets
    damaged          INTEGER NOT NULL DEFAULT 0 CHECK (damaged >= 0), -- how many of them cannot be read any more
    conflict         INTEGER NOT NULL DEFAULT 0 CHECK (conflict IN (0, 1)), -- two different instances of one name
    two_patients     INTEGER NOT NULL DEFAULT 0 CHECK (two_patients IN (0, 1)), -- instances name different patients
    sealed_study     BLOB, -- patient and description; NULL once erased
    erasing_at       INTEGER, -- when its keys were removed; bytes may still be there
    erased_at        INTEGER, -- when its bytes were gone too
    CHECK (erased_at IS NULL OR erasing_at IS NOT NULL)
) STRICT;
CREATE INDEX collection_by_study ON collection (study_uid, id);
CREATE INDEX collection_being_erased ON collection (id) WHERE erasing_at IS NOT NULL AND erased_at IS NULL;

-- The series of a collection, for counting them and for their modalities.
CREATE TABLE series (
    collection INTEGER NOT NULL REFERENCES collection (id), -- whose
    series_uid TEXT NOT NULL, -- Series Instance UID; empty if the sender left it out
    modality   TEXT NOT NULL, -- Modality (0008,0060); empty if the sender left it out
    PRIMARY KEY (collection, series_uid, modality)
) STRICT, WITHOUT ROWID;

-- One pack file.
CREATE TABLE pack (
    row         INTEGER PRIMARY KEY, -- short name inside the ledger
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16), -- the pack's own name, also its file's
    collection  INTEGER NOT NULL REFERENCES collection (id), -- whose instances it holds
    state       TEXT NOT NULL CHECK (state IN ('open', 'closed', 'fetching', 'erasing')), -- see QUEUE.md
    len_bytes   INTEGER NOT NULL CHECK (len_bytes >= 64), -- bytes that count; what stands behind them does not
    frames      INTEGER NOT NULL CHECK (frames >= 0), -- committed frames
    damaged     INTEGER NOT NULL DEFAULT 0 CHECK (damaged IN (0, 1)), -- bytes that count are missing or changed
    wrapped_key BLOB, -- the pack's key, sealed under the storage key; NULL exactly when erasing
    CHECK ((wrapped_key IS NULL) = (state = 'erasing'))
) STRICT;
CREATE INDEX pack_by_collection ON pack (collection);
-- What start-up looks for, however many packs and collections there are.
CREATE INDEX pack_unsettled ON pack (row) WHERE state <> 'closed';
CREATE INDEX collection_empty ON collection (id) WHERE instances = 0 AND erasing_at IS NULL;

-- One stored instance: one frame of a pack.
CREATE TABLE instance (
    id              INTEGER PRIMARY KEY, -- name of the instance inside the ledger
    collection      INTEGER NOT NULL REFERENCES collection (id), -- whose
    pack            INTEGER NOT NULL REFERENCES pack (row), -- where its frame is
    frame_index     INTEGER NOT NULL CHECK (frame_index >= 0), -- which frame, from zero
    frame_offset    INTEGER NOT NULL CHECK (frame_offset >= 64), -- where the frame begins in the file
    frame_len       INTEGER NOT NULL CHECK (frame_len > 0), -- bytes of the frame
    sop_class       TEXT NOT NULL, -- SOP Class UID
    sop_instance    TEXT NOT NULL, -- SOP Instance UID
    transfer_syntax TEXT NOT NULL, -- Transfer Syntax UID the data set is encoded in
    study_uid       TEXT, -- Study Instance UID, if it is not the collection's
    series_uid      TEXT, -- Series Instance UID; NULL if the sender left it out
    size_bytes      INTEGER NOT NULL CHECK (size_bytes >= 0), -- length of the data set
    digest          BLOB NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the data set
    received_at     INTEGER NOT NULL, -- when it was committed
    damaged         INTEGER NOT NULL DEFAULT 0 CHECK (damaged IN (0, 1)), -- cannot be read any more
    UNIQUE (pack, frame_index)
) STRICT;
CREATE INDEX instance_by_collection ON instance (collection, id);
CREATE INDEX instance_by_name ON instance (sop_instance, collection);

-- A piece of a pack as it travels.
CREATE TABLE part (
    pack       INTEGER NOT NULL REFERENCES pack (row), -- whose
    part_index INTEGER NOT NULL CHECK (part_index >= 0), -- which piece, from zero
    offset     INTEGER NOT NULL CHECK (offset >= 0), -- where it begins in the file
    len        INTEGER NOT NULL CHECK (len > 0), -- bytes of it
    digest     BLOB NOT NULL CHECK (length(digest) = 32), -- SHA-256 of it, as it stands in the file
    on_disk    INTEGER NOT NULL CHECK (on_disk IN (0, 1)), -- whether its bytes are flushed here
    PRIMARY KEY (pack, part_index)
) STRICT, WITHOUT ROWID;

-- One decision to send one collection to one addressee, or one such decision of another hospital that names us.
CREATE TABLE transfer (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT, -- order of making, for paging
    id            TEXT NOT NULL UNIQUE, -- the name both hospitals and the portal use
    direction     TEXT NOT NULL CHECK (direction IN ('outbound', 'inbound')), -- seen from this box
    collection    INTEGER REFERENCES collection (id), -- what it carries; NULL until an inbound letter was opened
    state         TEXT NOT NULL, -- the word of its state
    state_data    TEXT NOT NULL, -- the whole state, as JSON
    due_at        INTEGER, -- when to work on it next; NULL if nothing is scheduled
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- tries in this state that did not move it
    waiting       TEXT, -- what it waits for
    waiting_text  TEXT, -- the same in a fixed sentence of the program
    waiting_since INTEGER, -- since when
    urgent        INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1)), -- goes before others
    addressee     TEXT, -- who gets it, as it stood in the directory, JSON
    sender        TEXT, -- who sent it, as verified, JSON
    sender_hint   TEXT, -- who sent it, as the portal says; believed by nobody
    sealed_words  BLOB, -- note, reply contact, patient and studies; NULL if none or erased
    task_id       TEXT, -- the portal's name for it
    task_version  TEXT, -- the version of it that we saw last
    letter        BLOB, -- the letter, sealed to its recipients; NULL if none or erased
    letter_digest BLOB CHECK (letter_digest IS NULL OR length(letter_digest) = 32), -- SHA-256 of the letter; stays
    letter_ref    TEXT, -- where the portal keeps the letter
    created_at    INTEGER NOT NULL, -- when we made or first saw it
    changed_at    INTEGER NOT NULL -- when it last moved
) STRICT;
CREATE INDEX transfer_by_collection ON transfer (collection);
CREATE INDEX transfer_due ON transfer (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX transfer_by_direction ON transfer (direction, seq);
CREATE INDEX transfer_by_state ON transfer (direction, state, seq);
-- The two lists people page through: studies that wait for an addressee, and transfers that have a partner.
CREATE INDEX transfer_to_address ON transfer (seq)
    WHERE direction = 'outbound' AND addressee IS NULL AND state IN ('collecting', 'queued', 'held');
CREATE INDEX transfer_with_partner ON transfer (direction, seq) WHERE direction = 'inbound' OR addressee IS NOT NULL;

-- Parts that the portal has, per transfer. A hint: the portal's own list decides.
CREATE TABLE sent_part (
    transfer   INTEGER NOT NULL REFERENCES transfer (seq), -- for which
    pack       INTEGER NOT NULL, -- part.pack
    part_index INTEGER NOT NULL, -- part.part_index
    sent_at    INTEGER NOT NULL, -- when the portal said so
    PRIMARY KEY (transfer, pack, part_index)
) STRICT, WITHOUT ROWID;

-- What the PACS answered for one instance of one inbound transfer.
CREATE TABLE delivery (
    transfer INTEGER NOT NULL REFERENCES transfer (seq), -- for which
    instance INTEGER NOT NULL, -- instance.id
    status   INTEGER NOT NULL CHECK (status BETWEEN 0 AND 65535), -- status of the C-STORE response (PS3.7 annex C)
    at       INTEGER NOT NULL, -- when
    PRIMARY KEY (transfer, instance)
) STRICT, WITHOUT ROWID;

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

-- Signed receipts, given and got. They outlive the images.
CREATE TABLE receipt (
    id             INTEGER PRIMARY KEY, -- name inside the ledger
    transfer       INTEGER NOT NULL REFERENCES transfer (seq), -- about which
    stage          INTEGER NOT NULL CHECK (stage BETWEEN 0 AND 255), -- 1 in custody, 2 in PACS
    sealed_receipt BLOB NOT NULL, -- the JWS
    at             INTEGER NOT NULL, -- when it was recorded
    UNIQUE (transfer, stage)
) STRICT;

-- What each peer has on this box that is not erased: what its quota is compared with.
CREATE TABLE source (
    ae         TEXT PRIMARY KEY, -- calling AE title
    kept_bytes INTEGER NOT NULL -- lengths of the closed packs of its outbound collections
) STRICT, WITHOUT ROWID;
-- Counted when a pack is closed, not with every instance: that would be one more page in every commit.
CREATE TRIGGER closed_pack_counts AFTER UPDATE OF state ON pack WHEN OLD.state = 'open' AND NEW.state = 'closed'
BEGIN
    UPDATE source SET kept_bytes = kept_bytes + NEW.len_bytes
    WHERE ae = (SELECT source_ae FROM collection WHERE id = NEW.collection);
END;
CREATE TRIGGER erased_pack_counts_no_more AFTER UPDATE OF state ON pack WHEN OLD.state = 'closed' AND NEW.state = 'erasing'
BEGIN
    UPDATE source SET kept_bytes = max(0, kept_bytes - NEW.len_bytes)
    WHERE ae = (SELECT source_ae FROM collection WHERE id = NEW.collection);
END;

-- What a peer asked us to take responsibility for (PS3.4 annex J), until it was told.
CREATE TABLE commitment (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- name inside the ledger
    requestor_ae TEXT NOT NULL, -- who asked
    transaction_uid TEXT NOT NULL, -- the name it gave the request
    requested_at INTEGER NOT NULL, -- when it asked
    due_at       INTEGER NOT NULL, -- when to tell it next
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- times that telling failed
    UNIQUE (requestor_ae, transaction_uid)
) STRICT;
CREATE INDEX commitment_due ON commitment (due_at);

-- One instance of such a request.
CREATE TABLE commitment_item (
    commitment   INTEGER NOT NULL REFERENCES commitment (id), -- of which request
    item         INTEGER NOT NULL CHECK (item >= 0), -- place in the request
    sop_class    TEXT NOT NULL, -- Referenced SOP Class UID
    sop_instance TEXT NOT NULL, -- Referenced SOP Instance UID
    failure      INTEGER, -- Failure Reason (PS3.3 C.14.1.1); NULL if it is in custody
    PRIMARY KEY (commitment, item)
) STRICT, WITHOUT ROWID;

-- What the world has to be told: written in the commit that makes it true, removed when it was told.
CREATE TABLE outbox (
    id             INTEGER PRIMARY KEY AUTOINCREMENT, -- order of writing
    kind           TEXT NOT NULL, -- what to do with it
    transfer       INTEGER REFERENCES transfer (seq), -- about which, if any
    sealed_payload BLOB NOT NULL, -- what to tell
    due_at         INTEGER NOT NULL, -- when to try next
    attempts       INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0) -- tries that failed
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at);
CREATE INDEX outbox_by_transfer ON outbox (transfer);

-- The national directory, as last read. Nothing is removed: what has ended there is marked.
CREATE TABLE directory_entry (
    resource_type TEXT NOT NULL, -- FHIR resource type
    id            TEXT NOT NULL, -- FHIR logical id
    json          TEXT NOT NULL, -- what counts of the resource
    ended         INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1)), -- no longer exists there
    PRIMARY KEY (resource_type, id)
) STRICT;

-- Changes of the directory while they are being read; they count when all of a type are there.
CREATE TABLE directory_staged (
    resource_type TEXT NOT NULL, -- FHIR resource type
    id            TEXT NOT NULL, -- FHIR logical id
    json          TEXT, -- what counts of the resource; NULL if it was removed there
    ended         INTEGER NOT NULL CHECK (ended IN (0, 1)), -- says of itself that it has ended
    changed_at    INTEGER NOT NULL, -- when it was changed there; 0 if that was not said
    PRIMARY KEY (resource_type, id)
) STRICT;

-- Where the copy of the directory comes from. One row.
CREATE TABLE directory_source (
    only      INTEGER PRIMARY KEY CHECK (only = 1), -- keeps it one row
    url       TEXT NOT NULL, -- address of the source; marks mean nothing to another
    synced_at INTEGER -- when the whole copy was last brought up to date; NULL if never
) STRICT;

-- Addressees that a person wants to see first.
CREATE TABLE favourite (
    account   TEXT NOT NULL, -- whose
    addressee TEXT NOT NULL, -- id in the directory
    since     INTEGER NOT NULL, -- when it was chosen
    PRIMARY KEY (account, addressee)
) STRICT, WITHOUT ROWID;

-- How far the directory was read.
CREATE TABLE directory_mark (
    resource_type TEXT PRIMARY KEY, -- FHIR resource type
    mark          TEXT NOT NULL -- what to ask the next changes with
) STRICT;

-- Recipient keys we have met. Another key for the same partner holds the transfer.
CREATE TABLE known_key (
    ura           TEXT NOT NULL, -- the organisation
    endpoint      TEXT NOT NULL, -- its endpoint
    key_id        TEXT NOT NULL, -- the key's identifier
    first_seen_at INTEGER NOT NULL, -- when we met this key
    confirmed_by  TEXT, -- who compared it; NULL on first use
    PRIMARY KEY (ura, endpoint)
) STRICT;

-- Who did what and when. Each row carries the digest of the one before it.
CREATE TABLE audit (
    seq           INTEGER PRIMARY KEY, -- 1, 2, 3, … without a gap
    at            INTEGER NOT NULL, -- when
    actor         TEXT NOT NULL, -- who: an account or a part of the program
    action        TEXT NOT NULL, -- what, in one word
    transfer      TEXT, -- about which transfer
    sealed_detail BLOB NOT NULL, -- the rest
    previous      BLOB NOT NULL CHECK (length(previous) = 32), -- digest of the row before; zeros for the first
    digest        BLOB NOT NULL CHECK (length(digest) = 32) -- SHA-256 over all of the above
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is not changed'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is not deleted'); END;

-- The allowed moves: the twin of moves.rs.
CREATE TABLE allowed_move (
    direction  TEXT NOT NULL, -- of the transfer
    from_state TEXT NOT NULL, -- the old state
    to_state   TEXT NOT NULL, -- the new one
    PRIMARY KEY (direction, from_state, to_state)
) STRICT, WITHOUT ROWID;
INSERT INTO allowed_move VALUES
    ('outbound', 'collecting', 'queued'), ('outbound', 'collecting', 'held'),
    ('outbound', 'queued', 'addressed'), ('outbound', 'queued', 'erased'), ('outbound', 'queued', 'held'),
    ('outbound', 'addressed', 'sending'), ('outbound', 'addressed', 'queued'), ('outbound', 'addressed', 'held'),
    ('outbound', 'sending', 'sending'), ('outbound', 'sending', 'accepted'), ('outbound', 'sending', 'held'),
    ('outbound', 'accepted', 'fetched'), ('outbound', 'accepted', 'delivered'), ('outbound', 'accepted', 'held'),
    ('outbound', 'fetched', 'delivered'), ('outbound', 'fetched', 'held'),
    ('outbound', 'held', 'collecting'), ('outbound', 'held', 'queued'), ('outbound', 'held', 'addressed'),
    ('outbound', 'held', 'sending'), ('outbound', 'held', 'accepted'), ('outbound', 'held', 'fetched'),
    ('inbound', 'announced', 'fetching'), ('inbound', 'announced', 'held'),
    ('inbound', 'fetching', 'fetching'), ('inbound', 'fetching', 'opened'), ('inbound', 'fetching', 'held'),
    ('inbound', 'opened', 'reconciled'), ('inbound', 'opened', 'held'),
    ('inbound', 'reconciled', 'delivering'), ('inbound', 'reconciled', 'held'),
    ('inbound', 'delivering', 'delivering'), ('inbound', 'delivering', 'delivered'),
    ('inbound', 'delivering', 'held'),
    ('inbound', 'delivered', 'reported'), ('inbound', 'delivered', 'held'),
    ('inbound', 'held', 'announced'), ('inbound', 'held', 'fetching'), ('inbound', 'held', 'opened'),
    ('inbound', 'held', 'reconciled'), ('inbound', 'held', 'delivering'), ('inbound', 'held', 'delivered'),
    ('inbound', 'reported', 'erased'), ('outbound', 'delivered', 'erased');
-- Whatever is under way may end early, and what ended early may be erased.
INSERT INTO allowed_move
    WITH underway (direction, state) AS (
         VALUES ('outbound', 'addressed'), ('outbound', 'sending'), ('outbound', 'accepted'), ('outbound', 'fetched'),
                 ('outbound', 'held'), ('inbound', 'announced'), ('inbound', 'fetching'), ('inbound', 'opened'),
                 ('inbound', 'reconciled'), ('inbound', 'delivering'), ('inbound', 'delivered'), ('inbound', 'held')),
         ending (state) AS (VALUES ('recalled'), ('declined'), ('expired'), ('failed'))
    SELECT underway.direction, underway.state, ending.state FROM underway, ending;
INSERT INTO allowed_move
    WITH way (direction) AS (VALUES ('outbound'), ('inbound')),
         ending (state) AS (VALUES ('recalled'), ('declined'), ('expired'), ('failed'))
    SELECT way.direction, ending.state, 'erased' FROM way, ending;

CREATE TRIGGER transfer_moves_as_allowed
BEFORE UPDATE OF state ON transfer
WHEN NOT EXISTS (SELECT 1 FROM allowed_move
                 WHERE direction = OLD.direction AND from_state = OLD.state AND to_state = NEW.state)
BEGIN SELECT RAISE(ABORT, 'move not allowed'); END;

CREATE TRIGGER transfer_begins_at_the_beginning
BEFORE INSERT ON transfer
WHEN NOT ((NEW.direction = 'outbound' AND NEW.state IN ('collecting', 'queued'))
       OR (NEW.direction = 'inbound' AND NEW.state = 'announced'))
BEGIN SELECT RAISE(ABORT, 'a transfer begins at the beginning'); END;
