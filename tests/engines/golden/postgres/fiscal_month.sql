WITH requests AS (
  SELECT
    CAST(DATE_TRUNC('MONTH', CAST("requested_at" AT TIME ZONE 'UTC' AS DATE) - INTERVAL '4 DAY') + INTERVAL '4 DAY' AS DATE) AS "month"
  FROM llm_requests
)
SELECT
  "month",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "month"
