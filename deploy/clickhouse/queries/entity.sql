-- Everything about one entity: its alerts in their latest version. The entity is the same in all versions of an alert, so
-- that filtering comes before choosing the latest.
SELECT
    id,
    version,
    state,
    severity,
    rule_id,
    summary,
    first_seen,
    last_seen,
    observed_value,
    observed_limit,
    tags,
    related.kind,
    related.value,
    evidence
FROM alerts
WHERE entity_kind = {entity_kind:String} AND entity_id = {entity_id:String}
    AND detected_at >= {from:DateTime64(3)} AND detected_at < {to:DateTime64(3)}
ORDER BY last_seen DESC, version DESC, emitted_at
LIMIT 1 BY id
LIMIT 500
