-- From schema version 2 to 3: sending can be undone.
INSERT INTO allowed_move VALUES ('outbound', 'addressed', 'queued');
