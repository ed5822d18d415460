-- Which alerts name a value, such as an address, a country or a user, as involved in them: the same attacker under other
-- entities.
SELECT
    id,
    severity,
    rule_id,
    entity_kind,
    entity_id,
    summary,
    last_seen
FROM alerts_latest
ARRAY JOIN related
WHERE related.kind = {related_kind:String} AND related.value = {related_value:String}
    AND last_seen >= {from:DateTime64(3)} AND last_seen < {to:DateTime64(3)}
ORDER BY last_seen DESC, id
LIMIT 500
