WITH requests AS (
  SELECT
    "total_cost"
  FROM llm_requests
  WHERE
    (
      REGEXP_MATCHES("model", '^gpt-[0-9]\z') OR ENDS_WITH("indexed_Team", 'al')
    )
    AND (
      "indexed_Feature" IS NULL OR NOT CONTAINS("indexed_Feature", 'chat')
    )
)
SELECT
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
