-- How long it takes from the event that raised an alert to its delivery here, in milliseconds. The first delivery of a
-- version counts. Replayed history shows its age, not a delay.
SELECT
    toStartOfInterval(delivered, toIntervalSecond({step:UInt32})) AS time,
    count() AS versions,
    quantileExact(0.5)(delay) AS p50,
    quantileExact(0.99)(delay) AS p99,
    max(delay) AS longest
FROM
(
    SELECT min(emitted_at) AS delivered, dateDiff('millisecond', any(detected_at), min(emitted_at)) AS delay
    FROM alerts
    WHERE emitted_at >= {from:DateTime64(3)} AND emitted_at < {to:DateTime64(3)}
    GROUP BY id, version
)
GROUP BY time
ORDER BY time
