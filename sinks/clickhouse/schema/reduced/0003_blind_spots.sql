-- The table of blind spots for servers before 22.1.
CREATE TABLE IF NOT EXISTS blind_spots
(
    id              String,
    version         UInt32,
    schema          UInt16,
    state           String,
    cause           String,
    from_time       DateTime,
    to_time         DateTime,
    topic           String,
    partitions      Array(Int32),
    rules           Array(String),
    kinds           Array(String),
    sink            String,
    count           UInt64,
    detail          String,
    emitted_at      DateTime,
    earliness       UInt32 MATERIALIZED toUInt32(4294967295 - toUInt32(emitted_at))
)
ENGINE = ReplacingMergeTree(earliness)
PARTITION BY toYYYYMM(from_time)
ORDER BY (id, version)
