WITH requests AS (
  SELECT
    CAST(DATE_TRUNC('WEEK', CAST(FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') AS DATE) - INTERVAL '6' DAY) + INTERVAL '6' DAY AS DATE) AS `week`
  FROM llm_requests
)
SELECT
  `week`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `week`
