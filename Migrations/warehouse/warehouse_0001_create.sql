-- The PostgreSQL schema, step 1: docs/formats/postgresql.md.
--
-- Makes everything from nothing, or upgrades in place a table aggregated_logs made with SERIAL, INTEGER, VARCHAR and
-- TIMESTAMP columns, rows kept. Can be run again on its own result without effect.

CREATE TABLE IF NOT EXISTS aggregated_logs (
    id              bigserial PRIMARY KEY,
    message_pattern text NOT NULL,
    count           bigint DEFAULT 1,
    level           text,
    source          text,
    first_seen      timestamptz DEFAULT now(),
    last_seen       timestamptz DEFAULT now(),
    metadata        jsonb,
    sample_messages jsonb
);

-- Wider types, only where they are narrower: changing a type, even to itself, is refused while a view uses the column.
-- A timestamp without zone is taken to be in the server's TimeZone, because that is how its default now() wrote it.
DO $$
DECLARE
    wanted record;
    owned_sequence text;
BEGIN
    FOR wanted IN
        SELECT a.attname AS column_name, w.type_name
        FROM (VALUES
            ('id', 'bigint'), ('message_pattern', 'text'), ('count', 'bigint'), ('level', 'text'), ('source', 'text'),
            ('first_seen', 'timestamp with time zone'), ('last_seen', 'timestamp with time zone'),
            ('metadata', 'jsonb'), ('sample_messages', 'jsonb')
        ) AS w (column_name, type_name)
        JOIN pg_attribute AS a ON a.attname = w.column_name
            AND a.attrelid = 'aggregated_logs'::regclass AND NOT a.attisdropped
        WHERE format_type(a.atttypid, a.atttypmod) <> w.type_name
        ORDER BY a.attnum
    LOOP
        EXECUTE format('ALTER TABLE aggregated_logs ALTER COLUMN %I TYPE %s', wanted.column_name, wanted.type_name);
    END LOOP;

    -- SERIAL's sequence ends at 2^31 although the column no longer does.
    owned_sequence := pg_get_serial_sequence('aggregated_logs', 'id');
    IF owned_sequence IS NOT NULL AND EXISTS (
        SELECT FROM pg_sequence WHERE seqrelid = owned_sequence::regclass AND seqtypid <> 'bigint'::regtype
    ) THEN
        EXECUTE format('ALTER SEQUENCE %s AS bigint', owned_sequence);
    END IF;
END
$$;

ALTER TABLE aggregated_logs
    ADD COLUMN IF NOT EXISTS pattern_id    bigint,
    ADD COLUMN IF NOT EXISTS host          text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS tenant        text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS dashboard     text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS node_id       uuid,
    ADD COLUMN IF NOT EXISTS bucket        timestamptz,
    ADD COLUMN IF NOT EXISTS latency_count bigint,
    ADD COLUMN IF NOT EXISTS latency_sum   double precision,
    ADD COLUMN IF NOT EXISTS latency_min   double precision,
    ADD COLUMN IF NOT EXISTS latency_max   double precision,
    ADD COLUMN IF NOT EXISTS clock_guessed boolean NOT NULL DEFAULT false;

-- What an upsert finds its row by. Rows of other writers have no pattern_id, and NULLs are distinct, so they never meet.
CREATE UNIQUE INDEX IF NOT EXISTS idx_aggregated_logs_series
    ON aggregated_logs (pattern_id, bucket, level, source, host, tenant, dashboard, node_id);

CREATE INDEX IF NOT EXISTS idx_aggregated_logs_source ON aggregated_logs (source);
CREATE INDEX IF NOT EXISTS idx_aggregated_logs_level ON aggregated_logs (level);

-- Time is searched by bucket. An index on last_seen, which every delivery changes, would make each update of a row write
-- into every index; without it PostgreSQL updates the row in its page (HOT), for which a page keeps a fifth free. A table
-- that has that index already keeps it: somebody's queries may need it more than we need the speed.
CREATE INDEX IF NOT EXISTS idx_aggregated_logs_bucket ON aggregated_logs (bucket);
ALTER TABLE aggregated_logs SET (fillfactor = 80);

CREATE TABLE IF NOT EXISTS delivery_progress (
    node_id    uuid NOT NULL,
    stream     bigint NOT NULL,
    applied    bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_id, stream)
);

CREATE OR REPLACE VIEW v_patterns AS
SELECT
    pattern_id,
    message_pattern,
    level,
    source,
    tenant,
    sum(count)::bigint AS count,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    count(DISTINCT node_id) AS node_count,
    count(DISTINCT host) AS host_count,
    sum(latency_count)::bigint AS latency_count,
    sum(latency_sum) / nullif(sum(latency_count), 0) AS latency_mean,
    min(latency_min) AS latency_min,
    max(latency_max) AS latency_max
FROM aggregated_logs
GROUP BY pattern_id, message_pattern, level, source, tenant;

COMMENT ON TABLE aggregated_logs IS
    'Log patterns with their counts, one row a pattern, origin, node and 10 minutes (Logboom).';
COMMENT ON COLUMN aggregated_logs.message_pattern IS
    'The message with its variable parts replaced: User <ID> logged in.';
COMMENT ON COLUMN aggregated_logs.count IS 'Records this row stands for.';
COMMENT ON COLUMN aggregated_logs.level IS 'TRACE, DEBUG, INFO, NOTICE, WARN, ERROR or FATAL.';
COMMENT ON COLUMN aggregated_logs.metadata IS
    'What the records said beside the message: {"key": {"values": {"value": count}, "other": count}}, from a recent batch.';
COMMENT ON COLUMN aggregated_logs.sample_messages IS 'Up to five of the messages, the first ones of the row''s time.';
COMMENT ON COLUMN aggregated_logs.pattern_id IS 'Hash of the pattern, the same on every machine; NULL in rows of other writers.';
COMMENT ON COLUMN aggregated_logs.bucket IS 'Start of the 10 minutes that the row counts.';
COMMENT ON COLUMN aggregated_logs.node_id IS 'The machine that counted.';
COMMENT ON COLUMN aggregated_logs.clock_guessed IS 'The machine''s clock was not set yet when some of the dates were taken.';
COMMENT ON COLUMN aggregated_logs.latency_sum IS 'Sum in milliseconds of the latencies that senders stated; latency_count of them.';
COMMENT ON TABLE delivery_progress IS
    'How far each stream of batches was applied: what makes a batch count once. Do not edit (Logboom).';
COMMENT ON VIEW v_patterns IS 'aggregated_logs summed over time, hosts and nodes.';
