-- Alerts by tag: OWASP API Top 10, MITRE ATT&CK.
SELECT
    tag,
    uniqExact(id) AS alerts,
    arraySort(groupUniqArray(rule_id)) AS rules
FROM alerts
ARRAY JOIN tags AS tag
WHERE detected_at >= {from:DateTime64(3)} AND detected_at < {to:DateTime64(3)}
GROUP BY tag
ORDER BY alerts DESC, tag
LIMIT 100
