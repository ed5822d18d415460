-- Intervals in which gatewatch could not see, the latest first: silence in them proves nothing.
SELECT
    from_time,
    to_time,
    cause,
    state,
    count,
    detail,
    topic,
    partitions,
    rules,
    kinds,
    sink,
    id
FROM blind_spots_latest
WHERE to_time >= {from:DateTime64(3)} AND from_time < {to:DateTime64(3)}
ORDER BY from_time DESC, id
LIMIT 500
