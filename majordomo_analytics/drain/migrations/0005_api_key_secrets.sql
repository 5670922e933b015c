-- API keys can have several texts, one after the other; proxies copy them; uses are counted.

alter table api_keys alter column created_at set default now();

create table api_key_secrets (
    key_hash bytea primary key check (octet_length(key_hash) = 32),
    api_key_id uuid not null references api_keys (id) on delete cascade,
    created_at timestamptz not null default now(),
    -- Null unless a later one has taken its place.
    expires_at timestamptz
);

create index api_key_secrets_api_key on api_key_secrets (api_key_id);

-- What is no SHA-256 opens no door, and would be refused here.
insert into api_key_secrets (key_hash, api_key_id, created_at)
select key_hash, id, created_at from api_keys where octet_length(key_hash) = 32;

alter table api_keys drop column key_hash;

-- What proxies look at to see whether there is anything to copy. The first line names these
-- tables, the last their state; a copy of a state that is not among them is of another time.
create table api_key_changes (
    number bigint generated always as identity primary key,
    token uuid not null unique default gen_random_uuid(),
    changed_at timestamptz not null default now()
);

insert into api_key_changes default values;

create or replace function majordomo_api_keys_changed() returns trigger language plpgsql as $$
begin
    -- One change after the other, so that the newest line is of the newest commit.
    execute format('lock table %I.api_key_changes in share row exclusive mode', tg_table_schema);
    execute format('insert into %I.api_key_changes default values', tg_table_schema);
    return null;
end
$$;

create trigger api_keys_changed after insert or update or delete or truncate on api_keys
    for each statement execute function majordomo_api_keys_changed();
create trigger api_key_secrets_changed
    after insert or update or delete or truncate on api_key_secrets
    for each statement execute function majordomo_api_keys_changed();

-- Counted with the rows, in the same transaction; also for a key that is not known here yet.
create table api_key_usage (
    majordomo_api_key_id uuid primary key,
    request_count bigint not null,
    last_used_at timestamptz not null
);

insert into api_key_usage
select majordomo_api_key_id, count(*), max(requested_at)
from llm_requests where majordomo_api_key_id is not null group by 1;
