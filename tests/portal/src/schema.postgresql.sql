-- The tables of schema.sql, for PostgreSQL. What they mean is said there.

CREATE TABLE IF NOT EXISTS schema_version (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    number  BIGINT NOT NULL
);
INSERT INTO schema_version (one, number) VALUES (1, 1) ON CONFLICT DO NOTHING;

-- The row of the mark is also the lock of whoever writes.
CREATE TABLE IF NOT EXISTS mark (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    micros  BIGINT NOT NULL
);
INSERT INTO mark (one, micros) VALUES (1, 0) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS resource (
    kind     TEXT NOT NULL CHECK (kind IN (
                 'Organization', 'Location', 'HealthcareService', 'Endpoint', 'OrganizationAffiliation')),
    id       TEXT NOT NULL,
    version  BIGINT NOT NULL CHECK (version > 0),
    updated  BIGINT NOT NULL UNIQUE,
    body     TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS resource_by_change ON resource (kind, updated);

CREATE TABLE IF NOT EXISTS task (
    id          TEXT PRIMARY KEY,
    version     BIGINT NOT NULL CHECK (version > 0),
    updated     BIGINT NOT NULL UNIQUE,
    requester   TEXT NOT NULL,
    owner       TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN (
                    'draft', 'requested', 'in-progress', 'completed', 'failed', 'rejected', 'cancelled')),
    committed   BIGINT NOT NULL CHECK (committed IN (0, 1)),
    valid_until BIGINT NOT NULL,
    erase_due   BIGINT NOT NULL,
    content     TEXT NOT NULL CHECK (content IN ('kept', 'closed', 'erased')),
    body        TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS task_of_requester ON task (requester, updated);
CREATE INDEX IF NOT EXISTS task_of_owner ON task (owner, updated);
CREATE INDEX IF NOT EXISTS task_to_expire ON task (valid_until)
    WHERE status IN ('draft', 'requested', 'in-progress') AND content = 'kept';
CREATE INDEX IF NOT EXISTS task_by_erasure ON task (erase_due) WHERE content <> 'erased';

CREATE TABLE IF NOT EXISTS letter (
    transfer TEXT PRIMARY KEY REFERENCES task (id),
    digest   TEXT NOT NULL,
    len      BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS part (
    transfer TEXT NOT NULL REFERENCES task (id),
    digest   TEXT NOT NULL,
    len      BIGINT NOT NULL,
    PRIMARY KEY (transfer, digest)
);

CREATE INDEX IF NOT EXISTS part_by_digest ON part (digest);

CREATE TABLE IF NOT EXISTS enrolment_code (
    digest      TEXT PRIMARY KEY,
    ura         TEXT NOT NULL,
    name        TEXT NOT NULL,
    valid_until BIGINT NOT NULL,
    used_at     BIGINT
);
