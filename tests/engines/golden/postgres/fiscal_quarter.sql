WITH requests AS (
  SELECT
    CAST(DATE_TRUNC(
      'QUARTER',
      CAST("requested_at" AT TIME ZONE 'UTC' AS DATE) - INTERVAL '4 DAY' - INTERVAL '1 MONTH'
    ) + INTERVAL '1 MONTH' + INTERVAL '4 DAY' AS DATE) AS "quarter"
  FROM llm_requests
)
SELECT
  "quarter",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "quarter"
