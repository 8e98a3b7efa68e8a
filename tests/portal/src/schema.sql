-- What the portal remembers. Nothing here says anything about a patient: organisations, times, sizes and digests of
-- ciphertext. Times are microseconds since 1970, UTC.

-- The last time of change that was given out. Every change takes a later one, also if the clock stood still or went
-- back, so that "everything changed since" never skips a change.
CREATE TABLE IF NOT EXISTS mark (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    micros  INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO mark (one, micros) VALUES (1, 0);

-- The directory: newest version of each resource. A resource is never removed, only marked inactive or off.
CREATE TABLE IF NOT EXISTS resource (
    kind     TEXT NOT NULL CHECK (kind IN (
                 'Organization', 'Location', 'HealthcareService', 'Endpoint', 'OrganizationAffiliation')),
    id       TEXT NOT NULL,
    version  INTEGER NOT NULL CHECK (version > 0),
    updated  INTEGER NOT NULL UNIQUE,
    body     TEXT NOT NULL,              -- the resource without its meta
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS resource_by_change ON resource (kind, updated);

-- Transfers.
CREATE TABLE IF NOT EXISTS task (
    id          TEXT PRIMARY KEY,
    version     INTEGER NOT NULL CHECK (version > 0),
    updated     INTEGER NOT NULL UNIQUE,
    requester   TEXT NOT NULL,           -- URA of the sender
    owner       TEXT NOT NULL,           -- URA of the addressee
    status      TEXT NOT NULL CHECK (status IN (
                    'draft', 'requested', 'in-progress', 'completed', 'failed', 'rejected', 'cancelled')),
    committed   INTEGER NOT NULL CHECK (committed IN (0, 1)),   -- whether it was ever shown to the addressee
    valid_until INTEGER NOT NULL,        -- restriction.period.end
    erase_due   INTEGER NOT NULL,        -- when letter and parts go
    content     TEXT NOT NULL CHECK (content IN ('kept', 'closed', 'erased')),  -- closed: nobody reads it any more
    body        TEXT NOT NULL            -- the Task without its meta
) STRICT;
CREATE INDEX IF NOT EXISTS task_of_requester ON task (requester, updated);
CREATE INDEX IF NOT EXISTS task_of_owner ON task (owner, updated);
CREATE INDEX IF NOT EXISTS task_to_expire ON task (valid_until)
    WHERE status IN ('draft', 'requested', 'in-progress') AND content = 'kept';
CREATE INDEX IF NOT EXISTS task_by_erasure ON task (erase_due) WHERE content <> 'erased';

-- Letters that are on stable storage.
CREATE TABLE IF NOT EXISTS letter (
    transfer TEXT PRIMARY KEY REFERENCES task (id),
    digest   TEXT NOT NULL,
    len      INTEGER NOT NULL
) STRICT;

-- Parts that are on stable storage.
CREATE TABLE IF NOT EXISTS part (
    transfer TEXT NOT NULL REFERENCES task (id),
    digest   TEXT NOT NULL,
    len      INTEGER NOT NULL,
    PRIMARY KEY (transfer, digest)
) STRICT, WITHOUT ROWID;

-- A further transfer of the same sender finds there what it need not send again.
CREATE INDEX IF NOT EXISTS part_by_digest ON part (digest);

-- One-time codes for enrolment. The code itself is not kept, only its SHA-256.
CREATE TABLE IF NOT EXISTS enrolment_code (
    digest      TEXT PRIMARY KEY,
    ura         TEXT NOT NULL,
    name        TEXT NOT NULL,
    valid_until INTEGER NOT NULL,
    used_at     INTEGER
) STRICT;
