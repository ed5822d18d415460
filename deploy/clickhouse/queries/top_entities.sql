-- Who misbehaves most: entities by their alerts and by how many different rules they break.
SELECT
    entity_kind,
    entity_id,
    uniqExact(id) AS alerts,
    arraySort(groupUniqArray(rule_id)) AS rules,
    max(last_seen) AS latest
FROM alerts
WHERE detected_at >= {from:DateTime64(3)} AND detected_at < {to:DateTime64(3)}
GROUP BY entity_kind, entity_id
ORDER BY length(rules) DESC, alerts DESC, entity_kind, entity_id
LIMIT 50
