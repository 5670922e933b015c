WITH requests AS (
  SELECT
    DATE_TRUNC(
      'HOUR',
      (
        FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') + CASE
          WHEN `requested_at` >= CAST('2026-10-25 01:00:00+00:00' AS TIMESTAMP)
          THEN INTERVAL '1' HOUR
          ELSE INTERVAL '2' HOUR
        END
      )
    ) - CASE
      WHEN `requested_at` >= CAST('2026-10-25 01:00:00+00:00' AS TIMESTAMP)
      THEN INTERVAL '1' HOUR
      ELSE INTERVAL '2' HOUR
    END AS `hour`,
    `total_cost`
  FROM llm_requests
  WHERE
    `requested_at` >= CAST('2026-09-30 22:00:00+00:00' AS TIMESTAMP)
    AND `requested_at` < CAST('2026-10-31 23:00:00+00:00' AS TIMESTAMP)
)
SELECT
  `hour`,
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `hour`
