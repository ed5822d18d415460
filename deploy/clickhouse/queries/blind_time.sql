-- How long gatewatch could not see, by cause, within the period. Intervals that overlap, on several partitions for example,
-- each count.
SELECT
    cause,
    count() AS intervals,
    sum(dateDiff('millisecond', greatest(from_time, {from:DateTime64(3)}), least(to_time, {to:DateTime64(3)}))) / 1000 AS seconds,
    sum(count) AS concerned,
    max(to_time) AS latest
FROM blind_spots_latest
WHERE to_time >= {from:DateTime64(3)} AND from_time < {to:DateTime64(3)}
GROUP BY cause
ORDER BY seconds DESC, cause
