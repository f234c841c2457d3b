-- How far each stream may have been sent: rows up to there keep their bounds, as a sink may have applied some of them.
CREATE TABLE spool_sent (
    lane TEXT NOT NULL,
    stream INTEGER NOT NULL,
    through INTEGER NOT NULL,
    PRIMARY KEY (lane, stream)
) STRICT, WITHOUT ROWID;
-- What is there now was appended without saying whether it was sent.
INSERT INTO spool_sent SELECT lane, stream, max(sequence) FROM spool GROUP BY lane, stream;
