-- How far each stream may have been sent: rows up to there keep their bounds, as a sink may have applied some of them.
CREATE TABLE spool_sent (
    lane TEXT NOT NULL,
    stream INTEGER NOT NULL,
    through INTEGER NOT NULL,
    PRIMARY KEY (lane, stream)
) STRICT, WITHOUT ROWID;
-- What is there now was appended without saying whether it was sent.
INSERT INTO spool_sent SELECT lane, stream, max(sequence) FROM spool GROUP BY lane, stream;

-- When a stream last moved: one that stood still for a day is forgotten. Requests with an Idempotency-Key have streams of their own,
-- which must outlive the process.
ALTER TABLE delivery_progress ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
