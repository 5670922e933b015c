WITH requests AS (
  SELECT
    "total_cost"
  FROM llm_requests
  WHERE
    (
      "indexed_metadata" ->> 'Team' IS NULL
      OR NOT "indexed_metadata" @> CAST('{"Team": "it''s"}' AS JSONB)
    )
    AND (
      "raw_metadata" ->> 'Plan' IS NULL OR "raw_metadata" ->> 'Plan' = 'pro'
    )
    AND "status_code" >= 400
    AND "status_code" < 500
    AND "total_cost" > 0.05
    AND STARTS_WITH("model", 'gpt')
)
SELECT
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
