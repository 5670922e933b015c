-- Which metadata keys the requests of each API key have.

create table llm_requests_metadata_keys (
    majordomo_api_key_id uuid,
    key_name text not null,
    display_name text,
    is_active boolean not null default false,
    activated_at timestamptz,
    request_count bigint not null default 0,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    created_at timestamptz not null default now()
);

-- A request without an API key has a null there, and counts like any other: nulls are taken
-- for one key, that of no API key. PostgreSQL 14 has no `nulls not distinct`.
create unique index llm_requests_metadata_keys_key on llm_requests_metadata_keys (
    coalesce(majordomo_api_key_id, '00000000-0000-0000-0000-000000000000'), key_name
);
