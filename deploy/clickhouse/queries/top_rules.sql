-- Which rules alert most: episodes, the entities behind them and the severity of the rule.
SELECT
    rule_id,
    any(rule_title) AS title,
    any(severity) AS severity,
    uniqExact(id) AS alerts,
    uniqExact(entity_kind, entity_id) AS entities,
    max(version) AS most_versions,
    max(last_seen) AS latest
FROM alerts
WHERE detected_at >= {from:DateTime64(3)} AND detected_at < {to:DateTime64(3)}
GROUP BY rule_id
ORDER BY alerts DESC, rule_id
LIMIT 50
