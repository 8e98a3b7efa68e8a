-- From schema version 2 to 3, the directory: entries that have ended stay, changes are gathered before they count, where
-- the copy comes from and when it was last brought up to date, favourites.
ALTER TABLE directory_entry ADD COLUMN ended INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1));

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

-- What was read before holds less than what counts now: it is read again, and what stands here stays until then.
DELETE FROM directory_mark WHERE resource_type IN ('Organization', 'Location', 'Endpoint', 'HealthcareService');
