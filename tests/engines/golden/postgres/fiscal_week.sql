WITH requests AS (
  SELECT
    CAST(DATE_TRUNC('WEEK', CAST("requested_at" AT TIME ZONE 'UTC' AS DATE) - INTERVAL '6 DAY') + INTERVAL '6 DAY' AS DATE) AS "week"
  FROM llm_requests
)
SELECT
  "week",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "week"
