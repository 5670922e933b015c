WITH requests AS (
  SELECT
    `total_cost`,
    `raw_metadata`['Plan'] AS `Plan`,
    `raw_metadata`['User-Id'] AS `User-Id`
  FROM llm_requests
)
SELECT
  CAST(SUM(`total_cost`) FILTER(WHERE
    `Plan` = 'pro') AS DECIMAL(38, 10)) AS `pro_cost`,
  CAST(CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS DOUBLE) / NULLIF(CAST(COUNT(DISTINCT `User-Id`) AS DOUBLE), 0) AS `cost_per_user`
FROM requests
