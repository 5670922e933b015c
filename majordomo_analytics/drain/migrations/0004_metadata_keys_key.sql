-- The key of metadata keys as an index that PostgreSQL 14 can have too.

-- A server older than 15 has never had it.
alter table llm_requests_metadata_keys
    drop constraint if exists llm_requests_metadata_keys_key;

-- A request without an API key has a null there, and counts like any other: nulls are taken
-- for one key, that of no API key. PostgreSQL 14 has no `nulls not distinct`.
create unique index llm_requests_metadata_keys_key on llm_requests_metadata_keys (
    coalesce(majordomo_api_key_id, '00000000-0000-0000-0000-000000000000'), key_name
);
