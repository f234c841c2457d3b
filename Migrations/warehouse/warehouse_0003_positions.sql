-- How far replayable sources (the journal) were counted with a batch: docs/formats/delivery.md. NULL in rows of other streams.

ALTER TABLE delivery_progress ADD COLUMN IF NOT EXISTS positions jsonb;

COMMENT ON COLUMN delivery_progress.positions IS
    'How far the node had counted its journal with this batch; NULL where none of it is in it (Logboom).';
