WITH requests AS (
  SELECT
    `web_searches`,
    `social_searches`,
    `total_cost`,
    `output_tokens`,
    `model`
  FROM llm_requests
)
SELECT
  CAST(SUM(
    COALESCE(
      CAST(`web_searches` AS DECIMAL(20, 0)) + CAST(`social_searches` AS DECIMAL(20, 0)),
      CAST(`web_searches` AS DECIMAL(20, 0)),
      CAST(`social_searches` AS DECIMAL(20, 0))
    )
  ) AS BIGINT) AS `searches`,
  PERCENTILE(CAST(`total_cost` AS DOUBLE), 0.9) AS `p90_cost`,
  CAST(CAST(SUM(CAST(`output_tokens` AS DECIMAL(20, 0))) AS BIGINT) AS DOUBLE) / NULLIF(CAST(COUNT(*) FILTER(WHERE
    NOT `output_tokens` IS NULL) AS DOUBLE), 0) AS `mean_output`,
  COUNT(DISTINCT `model`) AS `models`
FROM requests
