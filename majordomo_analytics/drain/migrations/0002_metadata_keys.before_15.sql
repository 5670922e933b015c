-- Which metadata keys the requests of each API key have, where no `nulls not distinct` is known:
-- without a unique key, which the fourth migration makes.

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
