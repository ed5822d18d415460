-- The latest version of every alert. Duplicates that have not merged yet need no FINAL here: one row of each id is left.
CREATE VIEW IF NOT EXISTS alerts_latest AS
SELECT * FROM alerts ORDER BY id, version DESC, emitted_at LIMIT 1 BY id
