WITH requests AS (
  SELECT
    CAST(EXTRACT(ISODOW FROM CAST((
      "requested_at" AT TIME ZONE 'UTC' + CASE
        WHEN "requested_at" >= CAST('2026-10-25 01:00:00+00:00' AS TIMESTAMPTZ)
        THEN INTERVAL '1 HOUR'
        ELSE INTERVAL '2 HOUR'
      END
    ) AS DATE)) AS BIGINT) AS "weekday",
    CAST(EXTRACT(HOUR FROM (
      "requested_at" AT TIME ZONE 'UTC' + CASE
        WHEN "requested_at" >= CAST('2026-10-25 01:00:00+00:00' AS TIMESTAMPTZ)
        THEN INTERVAL '1 HOUR'
        ELSE INTERVAL '2 HOUR'
      END
    )) AS BIGINT) AS "hour_of_day"
  FROM llm_requests
  WHERE
    "requested_at" >= CAST('2026-09-30 22:00:00+00:00' AS TIMESTAMPTZ)
    AND "requested_at" < CAST('2026-10-31 23:00:00+00:00' AS TIMESTAMPTZ)
)
SELECT
  "weekday",
  "hour_of_day",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "weekday",
  "hour_of_day"
