WITH requests AS (
  SELECT
    CAST((
      DAYOFWEEK(
        CAST((
          FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') + CASE
            WHEN `requested_at` >= CAST('2026-10-25 01:00:00+00:00' AS TIMESTAMP)
            THEN INTERVAL '1' HOUR
            ELSE INTERVAL '2' HOUR
          END
        ) AS DATE)
      ) + 5
    ) % 7 + 1 AS BIGINT) AS `weekday`,
    CAST(EXTRACT(HOUR FROM (
      FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') + CASE
        WHEN `requested_at` >= CAST('2026-10-25 01:00:00+00:00' AS TIMESTAMP)
        THEN INTERVAL '1' HOUR
        ELSE INTERVAL '2' HOUR
      END
    )) AS BIGINT) AS `hour_of_day`
  FROM llm_requests
  WHERE
    `requested_at` >= CAST('2026-09-30 22:00:00+00:00' AS TIMESTAMP)
    AND `requested_at` < CAST('2026-10-31 23:00:00+00:00' AS TIMESTAMP)
)
SELECT
  `weekday`,
  `hour_of_day`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `weekday`,
  `hour_of_day`
