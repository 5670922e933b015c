WITH requests AS (
  SELECT
    CAST(DATE_TRUNC(
      'WEEK',
      CAST((
        FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') + INTERVAL '330' MINUTE
      ) AS DATE)
    ) AS DATE) AS `week`,
    `total_cost`
  FROM llm_requests
  WHERE
    `requested_at` >= CAST('2026-09-30 18:30:00+00:00' AS TIMESTAMP)
    AND `requested_at` < CAST('2026-10-31 18:30:00+00:00' AS TIMESTAMP)
)
SELECT
  `week`,
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `week`
