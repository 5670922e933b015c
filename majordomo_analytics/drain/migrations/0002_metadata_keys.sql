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
    created_at timestamptz not null default now(),
    -- A request without an API key has a null here, and counts like any other.
    constraint llm_requests_metadata_keys_key
        unique nulls not distinct (majordomo_api_key_id, key_name)
);
