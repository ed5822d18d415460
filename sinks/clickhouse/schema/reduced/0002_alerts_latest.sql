-- The latest version of every alert.
CREATE VIEW IF NOT EXISTS alerts_latest AS
SELECT * FROM alerts ORDER BY id, version DESC, emitted_at LIMIT 1 BY id
