-- The state directory's one file, logboom.db: docs/formats/spool-file.md is the specification.
-- Times are microseconds since 1970-01-01T00:00:00Z; JSON is text.

-- One row a fact about the file: clean (0 from the first write until an orderly close).
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

-- Batches on their way out. No AUTOINCREMENT: it writes one more page at every commit, and rows only need to be in order
-- among those that are there. The payload stands last, so that a look at the other columns reads no overflow page.
CREATE TABLE spool (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    stream INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    record_count INTEGER NOT NULL,
    series_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    window_start INTEGER NOT NULL,
    window_end INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (lane, stream, sequence)
) STRICT;

-- Batches that can never be delivered as they are, kept for a person.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    stream INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    record_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    time INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

-- The embedded store: same names as in PostgreSQL (docs/formats/postgresql.md).
CREATE TABLE aggregated_logs (
    id INTEGER PRIMARY KEY,
    message_pattern TEXT NOT NULL,
    count INTEGER NOT NULL,
    level TEXT NOT NULL,
    source TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    pattern_id INTEGER NOT NULL,
    host TEXT NOT NULL,
    tenant TEXT NOT NULL,
    dashboard TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    latency_count INTEGER NOT NULL,
    latency_sum REAL,
    latency_min REAL,
    latency_max REAL,
    clock_guessed INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    sample_messages TEXT NOT NULL,
    UNIQUE (pattern_id, bucket, level, source, host, tenant, dashboard)
) STRICT;
CREATE INDEX idx_aggregated_logs_last_seen ON aggregated_logs (last_seen);

-- How far each stream was applied to the embedded store.
CREATE TABLE delivery_progress (
    stream INTEGER PRIMARY KEY,
    applied INTEGER NOT NULL
) STRICT;
