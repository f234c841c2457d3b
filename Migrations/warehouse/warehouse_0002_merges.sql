-- Patterns that turned out to be one, and what kind of thing a pattern speaks of: docs/formats/postgresql.md.

ALTER TABLE aggregated_logs
    ADD COLUMN IF NOT EXISTS category text,
    ADD COLUMN IF NOT EXISTS tags     text[];

CREATE TABLE IF NOT EXISTS pattern_merges (
    from_id         bigint PRIMARY KEY,
    to_id           bigint NOT NULL,
    message_pattern text NOT NULL,
    merged_at       timestamptz NOT NULL DEFAULT now()
);
-- The rows that a further merge of their target has to move along.
CREATE INDEX IF NOT EXISTS idx_pattern_merges_to ON pattern_merges (to_id);

CREATE OR REPLACE VIEW v_patterns AS
SELECT
    coalesce(merged.to_id, stored.pattern_id) AS pattern_id,
    coalesce(merged.message_pattern, stored.message_pattern) AS message_pattern,
    stored.level,
    stored.source,
    stored.tenant,
    sum(stored.count)::bigint AS count,
    min(stored.first_seen) AS first_seen,
    max(stored.last_seen) AS last_seen,
    count(DISTINCT stored.node_id) AS node_count,
    count(DISTINCT stored.host) AS host_count,
    sum(stored.latency_count)::bigint AS latency_count,
    sum(stored.latency_sum) / nullif(sum(stored.latency_count), 0) AS latency_mean,
    min(stored.latency_min) AS latency_min,
    max(stored.latency_max) AS latency_max
FROM aggregated_logs AS stored
LEFT JOIN pattern_merges AS merged ON merged.from_id = stored.pattern_id
GROUP BY coalesce(merged.to_id, stored.pattern_id), coalesce(merged.message_pattern, stored.message_pattern),
    stored.level, stored.source, stored.tenant;

COMMENT ON COLUMN aggregated_logs.category IS
    'What the pattern speaks of: auth, network, storage, power and so on (docs/formats/batch.md); NULL when nothing fits.';
COMMENT ON COLUMN aggregated_logs.tags IS 'Closer words for it, such as under-voltage or out-of-memory.';
COMMENT ON TABLE pattern_merges IS
    'Patterns that turned out to be one: rows under from_id belong to to_id, whose text stands beside it (Logboom).';
COMMENT ON VIEW v_patterns IS 'aggregated_logs summed over time, hosts and nodes, merged patterns as one.';
