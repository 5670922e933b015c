WITH requests AS (
  SELECT
    "total_cost"
  FROM llm_requests
  WHERE
    (
      "model" ~ '^gpt-[0-9]$' OR RIGHT("indexed_metadata" ->> 'Team', 2) = 'al'
    )
    AND (
      "indexed_metadata" ->> 'Feature' IS NULL
      OR NOT STRPOS("indexed_metadata" ->> 'Feature', 'chat') > 0
    )
)
SELECT
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
