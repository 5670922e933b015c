WITH requests AS (
  SELECT
    COALESCE("indexed_Feature", '(untagged)') AS "Feature",
    COALESCE("model", '(untagged)') AS "model",
    "total_cost",
    "cost_status",
    "usage_status"
  FROM llm_requests
  WHERE
    "requested_at" >= CAST('2026-10-01 00:00:00+00:00' AS TIMESTAMPTZ)
    AND "requested_at" < CAST('2026-11-01 00:00:00+00:00' AS TIMESTAMPTZ)
)
SELECT
  "Feature",
  "model",
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests",
  COUNT(*) AS "coverage: requests",
  COUNT(*) FILTER(WHERE
    "total_cost" IS NULL) AS "coverage: unknown",
  COUNT(*) FILTER(WHERE
    NOT "total_cost" IS NULL AND "cost_status" = 'stated') AS "coverage: stated",
  COUNT(*) FILTER(WHERE
    NOT "total_cost" IS NULL
    AND (
      "cost_status" IS NULL OR NOT "cost_status" = 'stated'
    )
    AND "usage_status" IN ('estimated', 'partial')) AS "coverage: estimated",
  GROUPING("Feature") AS "coverage: of all"
FROM requests
GROUP BY
  GROUPING SETS (
    ("Feature", "model"),
    ()
  )
