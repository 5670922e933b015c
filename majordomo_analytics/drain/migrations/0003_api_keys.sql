-- API keys, as the data directory has them: the SHA-256 of each, never its text.

create table api_keys (
    id uuid primary key,
    name text not null,
    key_hash bytea not null unique,
    created_at timestamptz not null,
    revoked_at timestamptz
);
