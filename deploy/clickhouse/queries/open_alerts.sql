-- Alerts that are not closed, the most severe and latest first.
SELECT
    id,
    severity,
    rule_id,
    entity_kind,
    entity_id,
    summary,
    first_seen,
    last_seen,
    version
FROM alerts_latest
WHERE state != 'closed'
ORDER BY indexOf(['critical', 'high', 'medium', 'low', 'info'], severity), last_seen DESC, id
LIMIT 500
