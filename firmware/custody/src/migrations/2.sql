-- From schema version 1 to 2: aliases, quotas per peer, storage commitment, lists that are paged by index.
ALTER TABLE collection ADD COLUMN called_ae TEXT;
ALTER TABLE collection ADD COLUMN two_patients INTEGER NOT NULL DEFAULT 0 CHECK (two_patients IN (0, 1));
-- What start-up looks for, however many packs and collections there are.
CREATE INDEX pack_unsettled ON pack (row) WHERE state <> 'closed';
CREATE INDEX collection_empty ON collection (id) WHERE instances = 0 AND erasing_at IS NULL;
CREATE INDEX transfer_to_address ON transfer (seq)
    WHERE direction = 'outbound' AND addressee IS NULL AND state IN ('collecting', 'queued', 'held');
CREATE INDEX transfer_with_partner ON transfer (direction, seq) WHERE direction = 'inbound' OR addressee IS NOT NULL;

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

INSERT INTO source (ae, kept_bytes)
    SELECT c.source_ae, coalesce(sum(p.len_bytes), 0)
    FROM collection c LEFT JOIN pack p ON p.collection = c.id AND p.state = 'closed'
    WHERE c.direction = 'outbound' AND c.erasing_at IS NULL AND c.source_ae IS NOT NULL
    GROUP BY c.source_ae;
