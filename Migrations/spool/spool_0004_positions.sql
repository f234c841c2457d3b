-- How far replayable sources were counted, each kept in the transaction of the batch it came with: docs/formats/delivery.md. The lane
-- '' holds the copy that a stop leaves, and one every ten minutes.
CREATE TABLE source_positions (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    seal INTEGER NOT NULL,
    position TEXT NOT NULL,
    UNIQUE (lane, seal)
) STRICT;
