-- Requests, one row each, and how far each spool has come.

create table llm_requests (
    id uuid primary key,
    requested_at timestamptz not null,
    responded_at timestamptz,
    requested_date date not null,
    response_time_ms bigint,
    time_to_first_byte_ms bigint,
    majordomo_api_key_id uuid,
    provider_api_key_hash text,
    provider_api_key_alias text,
    provider text not null,
    api_flavour text,
    model text,
    requested_model text,
    request_method text not null,
    request_path text not null,
    status_code bigint,
    outcome text not null,
    error_message text,
    is_streamed boolean,
    retry_attempt bigint,
    provider_request_id text,
    response_id text,
    request_bytes bigint,
    response_bytes bigint,
    input_tokens bigint,
    cached_tokens bigint,
    cache_creation_tokens bigint,
    cache_creation_5m_tokens bigint,
    cache_creation_1h_tokens bigint,
    tool_prompt_tokens bigint,
    input_audio_tokens bigint,
    input_image_tokens bigint,
    input_video_tokens bigint,
    cached_audio_tokens bigint,
    cached_image_tokens bigint,
    cached_video_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    output_audio_tokens bigint,
    output_image_tokens bigint,
    web_searches bigint,
    social_searches bigint,
    storage_searches bigint,
    code_executions bigint,
    rerank_searches bigint,
    input_audio_ms bigint,
    input_characters bigint,
    usage_status text not null,
    usage_source text,
    usage_raw text,
    service_tier text,
    speed text,
    inference_geo text,
    traffic_type text,
    input_cost numeric(20, 10),
    output_cost numeric(20, 10),
    tool_cost numeric(20, 10),
    total_cost numeric(20, 10),
    stated_cost numeric(20, 10),
    cost_status text not null,
    price_version text,
    raw_metadata jsonb not null default '{}',
    flags text[] not null default '{}',
    indexed_metadata jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create index llm_requests_requested_at on llm_requests (requested_at);
create index llm_requests_api_key on llm_requests (majordomo_api_key_id, requested_at desc);
create index llm_requests_indexed_metadata
    on llm_requests using gin (indexed_metadata jsonb_path_ops);

-- Only these APIs have answers that can be read again.
create index llm_requests_response_id on llm_requests (response_id)
    where api_flavour in ('responses', 'background_response', 'assistants');

create table ingest_checkpoint (
    spool text primary key,
    sequence bigint not null,
    updated_at timestamptz not null default now()
);
