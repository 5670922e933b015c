WITH requests AS (
  SELECT
    `total_cost`
  FROM llm_requests
)
SELECT
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
