-- What became of telling about each cause, newest last.
CREATE TABLE notices (
    id      INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    session INTEGER NOT NULL,
    cause   BLOB    NOT NULL,
    kind    TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    why     TEXT
) STRICT;
