-- New alerts by severity; one point every {step} seconds, empty ones included.
SELECT
    toStartOfInterval(first_detected, toIntervalSecond({step:UInt32})) AS time,
    countIf(severity = 'critical') AS critical,
    countIf(severity = 'high') AS high,
    countIf(severity = 'medium') AS medium,
    countIf(severity = 'low') AS low,
    countIf(severity = 'info') AS info
FROM
(
    SELECT id, min(detected_at) AS first_detected, any(severity) AS severity
    FROM alerts
    WHERE version = 1 AND detected_at >= {from:DateTime64(3)} AND detected_at < {to:DateTime64(3)}
    GROUP BY id
)
GROUP BY time
ORDER BY time WITH FILL
    FROM toStartOfInterval(toDateTime({from:DateTime64(3)}, 'UTC'), toIntervalSecond({step:UInt32}))
    TO toDateTime({to:DateTime64(3)}, 'UTC')
    STEP toIntervalSecond({step:UInt32})
