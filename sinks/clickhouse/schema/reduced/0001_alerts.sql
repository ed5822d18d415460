-- The table for servers before 22.1, some of which know no DateTime64, LowCardinality, TTL, codecs or Bool: same
-- columns, times in whole seconds, nothing is deleted.
CREATE TABLE IF NOT EXISTS alerts
(
    id              String,
    version         UInt32,
    schema          UInt16,
    state           String,
    severity        String,
    rule_id         String,
    rule_title      String,
    rule_advice     String,
    tags            Array(String),
    entity_kind     String,
    entity_id       String,
    first_seen      DateTime,
    last_seen       DateTime,
    detected_at     DateTime,
    emitted_at      DateTime,
    summary         String,
    observed_value  Float64,
    observed_exact  UInt8,
    observed_error  Float64,
    observed_limit  Float64,
    observed_unit   String,
    observed_window String,
    observed_detail String,
    baseline        String,
    evidence        String,
    related         Nested(kind String, value String),
    risk            Nullable(Float64),
    earliness       UInt32 MATERIALIZED toUInt32(4294967295 - toUInt32(emitted_at))
)
ENGINE = ReplacingMergeTree(earliness)
PARTITION BY toYYYYMM(detected_at)
ORDER BY (id, version)
