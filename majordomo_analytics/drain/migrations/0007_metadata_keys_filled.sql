-- Which promotion of a metadata key has reached every row.

-- The `activated_at` whose back-fill is finished: null as long as none is, and void as soon as
-- `activated_at` is another. A drain that writes rows without the key changes that, also one
-- that does not know this column.
alter table llm_requests_metadata_keys add column filled_activation timestamptz;
