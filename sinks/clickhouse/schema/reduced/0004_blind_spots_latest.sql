-- The latest version of every blind spot.
CREATE VIEW IF NOT EXISTS blind_spots_latest AS
SELECT * FROM blind_spots ORDER BY id, version DESC, emitted_at LIMIT 1 BY id
