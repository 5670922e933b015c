WITH requests AS (
  SELECT
    CAST("requested_at" AT TIME ZONE 'UTC' AS DATE) AS "day",
    "total_cost"
  FROM llm_requests
  WHERE
    "requested_at" >= CAST('2026-10-01 00:00:00+00:00' AS TIMESTAMPTZ)
    AND "requested_at" < CAST('2026-11-01 00:00:00+00:00' AS TIMESTAMPTZ)
)
SELECT
  "day",
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "day"
