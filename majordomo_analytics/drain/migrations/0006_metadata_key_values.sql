-- How many values each metadata key has, estimated.

-- Null as long as not every value was counted: of keys that are older than this column, until
-- `mdm metadata count` has gone through their rows.
alter table llm_requests_metadata_keys
    add column approx_cardinality bigint,
    add column hll_state bytea,
    add column hll_updated_at timestamptz;
