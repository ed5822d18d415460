-- One row is one version of an alert. Rows with equal (id, version) are the same version delivered twice: they collapse
-- when parts merge, and before that for queries with FINAL; the first delivery stays. The partition comes from detected_at
-- because that is equal in all of them; the time to live from emitted_at because replayed history is new, however old its
-- events are.
CREATE TABLE IF NOT EXISTS alerts
(
    id              String                             COMMENT 'episode: equal for all versions',
    version         UInt32                             COMMENT 'from 1',
    schema          UInt16                             COMMENT 'version of the alert form',
    state           LowCardinality(String)             COMMENT 'open, update, closed',
    severity        LowCardinality(String)             COMMENT 'info, low, medium, high, critical',
    rule_id         LowCardinality(String),
    rule_title      LowCardinality(String),
    rule_advice     LowCardinality(String),
    tags            Array(LowCardinality(String))      COMMENT 'OWASP API Top 10, MITRE ATT&CK',
    entity_kind     LowCardinality(String)             COMMENT 'field or fields the rule groups by',
    entity_id       String,
    first_seen      DateTime64(3, 'UTC')               COMMENT 'event time of the first evidence' CODEC(Delta, ZSTD),
    last_seen       DateTime64(3, 'UTC')               COMMENT 'event time of the latest event beyond the limit' CODEC(Delta, ZSTD),
    detected_at     DateTime64(3, 'UTC')               COMMENT 'event time that raised this version' CODEC(Delta, ZSTD),
    emitted_at      DateTime64(3, 'UTC')               COMMENT 'wall clock of the delivery' CODEC(Delta, ZSTD),
    summary         String CODEC(ZSTD(3)),
    observed_value  Float64,
    observed_exact  Bool,
    observed_error  Float64                            COMMENT 'relative standard error when not exact',
    observed_limit  Float64,
    observed_unit   LowCardinality(String),
    observed_window LowCardinality(String),
    observed_detail String                             COMMENT 'JSON object or empty' CODEC(ZSTD(3)),
    baseline        String                             COMMENT 'JSON object or empty' CODEC(ZSTD(3)),
    evidence        String                             COMMENT 'JSON array of events' CODEC(ZSTD(3)),
    related         Nested(kind LowCardinality(String), value String) COMMENT 'other entities, places and routes involved',
    risk            Nullable(Float64),
    earliness       UInt64 MATERIALIZED toUInt64(9223372036854775807 - toUnixTimestamp64Milli(emitted_at)),
    INDEX entity_id_bloom entity_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(earliness)
PARTITION BY toYYYYMM(detected_at)
ORDER BY (id, version)
TTL toDateTime(emitted_at) + INTERVAL 400 DAY DELETE
