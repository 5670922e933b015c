-- What the requests of days that are over add up to, by one metadata key at a time.

-- Which days were: null while one is being added up, false if it has too many values.
create table llm_requests_days (
    key_name text not null,
    requested_date date not null,
    is_summed boolean,
    primary key (key_name, requested_date)
);

create table llm_requests_by_day (
    key_name text not null,
    requested_date date not null,
    key_value text,
    cost_status text not null,
    usage_status text not null,
    status_code bigint,
    outcome text not null,
    requests bigint not null,
    total_cost numeric,
    input_cost numeric,
    output_cost numeric,
    tool_cost numeric,
    input_tokens numeric,
    output_tokens numeric,
    cached_tokens numeric,
    cache_creation_tokens numeric,
    reasoning_tokens numeric,
    response_time_ms numeric,
    foreign key (key_name, requested_date) references llm_requests_days on delete cascade
);

create index llm_requests_by_day_key on llm_requests_by_day (key_name, requested_date);

-- Whoever changes a request, in whatever way, has its day forgotten in the same transaction.
-- Whoever begins to add days up waits for the transactions that could not see that.
create or replace function majordomo_forget_days() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    touched date[];
begin
    perform pg_advisory_xact_lock_shared(7597120008395255399);
    if tg_op = 'TRUNCATE' then
        execute format('delete from %I.llm_requests_days', tg_table_schema);
        return null;
    elsif tg_op = 'UPDATE' then
        -- A promotion changes a column that nothing here is made of.
        select array_agg(distinct (instant at time zone 'UTC')::date) into touched
        from old_rows o full join new_rows n using (id),
            unnest(array[o.requested_at, n.requested_at]) as instant
        where (
            o.requested_at, o.raw_metadata, o.cost_status, o.usage_status, o.status_code,
            o.outcome, o.total_cost, o.input_cost, o.output_cost, o.tool_cost, o.input_tokens,
            o.output_tokens, o.cached_tokens, o.cache_creation_tokens, o.reasoning_tokens,
            o.response_time_ms
        ) is distinct from (
            n.requested_at, n.raw_metadata, n.cost_status, n.usage_status, n.status_code,
            n.outcome, n.total_cost, n.input_cost, n.output_cost, n.tool_cost, n.input_tokens,
            n.output_tokens, n.cached_tokens, n.cache_creation_tokens, n.reasoning_tokens,
            n.response_time_ms
        );
    elsif tg_op = 'INSERT' then
        select array_agg(distinct (requested_at at time zone 'UTC')::date) into touched
        from new_rows;
    else
        select array_agg(distinct (requested_at at time zone 'UTC')::date) into touched
        from old_rows;
    end if;
    -- A transaction that keeps to an earlier state does not see what was added up since: it
    -- has to fail on the line that is written for each day of which anything is.
    if current_setting('transaction_isolation') not like 'read%' then
        execute format(
            'insert into %I.llm_requests_days select '''', day, null from unnest($1) as day'
            ' on conflict (key_name, requested_date) do update set is_summed = null',
            tg_table_schema
        ) using touched;
    end if;
    execute format(
        'delete from %I.llm_requests_days where requested_date = any($1)', tg_table_schema
    ) using touched;
    return null;
end
$$;

create trigger llm_requests_inserted after insert on llm_requests
    referencing new table as new_rows
    for each statement execute function majordomo_forget_days();
create trigger llm_requests_updated after update on llm_requests
    referencing old table as old_rows new table as new_rows
    for each statement execute function majordomo_forget_days();
create trigger llm_requests_deleted after delete on llm_requests
    referencing old table as old_rows
    for each statement execute function majordomo_forget_days();
create trigger llm_requests_truncated after truncate on llm_requests
    for each statement execute function majordomo_forget_days();
