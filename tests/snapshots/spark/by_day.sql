WITH requests AS (
  SELECT
    CAST(FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') AS DATE) AS `day`,
    `total_cost`
  FROM llm_requests
  WHERE
    `requested_at` >= CAST('2026-10-01 00:00:00+00:00' AS TIMESTAMP)
    AND `requested_at` < CAST('2026-11-01 00:00:00+00:00' AS TIMESTAMP)
)
SELECT
  `day`,
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `day`
