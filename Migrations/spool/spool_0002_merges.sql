-- Patterns that turned out to be one, and what a pattern speaks of: same names as in PostgreSQL.
ALTER TABLE aggregated_logs ADD COLUMN category TEXT NOT NULL DEFAULT '';
ALTER TABLE aggregated_logs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';

CREATE TABLE pattern_merges (
    from_id INTEGER PRIMARY KEY,
    to_id INTEGER NOT NULL,
    message_pattern TEXT NOT NULL
) STRICT;
CREATE INDEX idx_pattern_merges_to ON pattern_merges (to_id);
