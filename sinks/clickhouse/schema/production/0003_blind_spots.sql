-- One row is one version of a blind spot: an interval in which gatewatch could not see. As in alerts, rows with equal
-- (id, version) are the same version delivered twice and collapse; from_time is equal in all versions of one id.
CREATE TABLE IF NOT EXISTS blind_spots
(
    id              String                             COMMENT 'interval: equal for all versions',
    version         UInt32                             COMMENT 'from 1',
    schema          UInt16                             COMMENT 'version of the form',
    state           LowCardinality(String)             COMMENT 'open, update, closed',
    cause           LowCardinality(String)             COMMENT 'lag, decode_errors, eviction, late_events, back_pressure, restart, retention',
    from_time       DateTime64(3, 'UTC')               COMMENT 'wall clock; event time for eviction and late_events' CODEC(Delta, ZSTD),
    to_time         DateTime64(3, 'UTC')               COMMENT 'the end of a closed one, else as far as it is known' CODEC(Delta, ZSTD),
    topic           LowCardinality(String),
    partitions      Array(Int32)                       COMMENT 'of the topic; empty: all',
    rules           Array(LowCardinality(String))      COMMENT 'concerned; empty: all',
    kinds           Array(LowCardinality(String))      COMMENT 'of entities; empty: all',
    sink            LowCardinality(String),
    count           UInt64                             COMMENT 'records, events, entities or alerts concerned, as the cause says',
    detail          String                             COMMENT 'what happened and what to do' CODEC(ZSTD(3)),
    emitted_at      DateTime64(3, 'UTC')               COMMENT 'wall clock of the delivery' CODEC(Delta, ZSTD),
    earliness       UInt64 MATERIALIZED toUInt64(9223372036854775807 - toUnixTimestamp64Milli(emitted_at))
)
ENGINE = ReplacingMergeTree(earliness)
PARTITION BY toYYYYMM(from_time)
ORDER BY (id, version)
TTL toDateTime(emitted_at) + INTERVAL 400 DAY DELETE
