WITH requests AS (
  SELECT
    COALESCE("raw_metadata" ->> 'feature', '(untagged)') AS "Feature",
    CASE
      WHEN total_cost <> 0
      OR (
        (
          input_tokens <> 0 OR output_tokens <> 0
        ) AND model_alias_found
      )
      THEN CAST(total_cost AS DECIMAL(20, 10))
    END AS "total_cost"
  FROM llm_requests
  WHERE
    CASE
      WHEN total_cost <> 0
      OR (
        (
          input_tokens <> 0 OR output_tokens <> 0
        ) AND model_alias_found
      )
      THEN CAST(total_cost AS DECIMAL(20, 10))
    END > 1
)
SELECT
  "Feature",
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "Feature"
