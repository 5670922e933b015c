WITH requests AS (
  SELECT
    CAST(DATE_TRUNC(
      'YEAR',
      CAST("requested_at" AT TIME ZONE 'UTC' AS DATE) - INTERVAL '4 DAY' - INTERVAL '1 MONTH'
    ) + INTERVAL '1 MONTH' + INTERVAL '4 DAY' AS DATE) AS "year"
  FROM llm_requests
)
SELECT
  "year",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "year"
