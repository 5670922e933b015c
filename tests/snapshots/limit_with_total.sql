WITH requests AS (
  SELECT
    CAST(DATE_TRUNC('MONTH', CAST("requested_at" AT TIME ZONE 'UTC' AS DATE)) AS DATE) AS "month",
    COALESCE("indexed_Team", '(untagged)') AS "Team",
    "total_cost",
    "cost_status",
    "usage_status"
  FROM llm_requests
), ranked AS (
  SELECT
    "Team",
    TRUE AS kept
  FROM requests
  GROUP BY
    "Team"
  ORDER BY
    CAST(SUM(requests."total_cost") AS DECIMAL(38, 10)) DESC,
    "Team" ASC
  LIMIT 2
)
SELECT
  "month",
  COALESCE(ranked."Team", '(other)') AS "Team",
  CAST(SUM(requests."total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests",
  COUNT(*) AS "coverage: requests",
  COUNT(*) FILTER(WHERE
    requests."total_cost" IS NULL) AS "coverage: unknown",
  COUNT(*) FILTER(WHERE
    NOT requests."total_cost" IS NULL AND requests."cost_status" = 'stated') AS "coverage: stated",
  COUNT(*) FILTER(WHERE
    NOT requests."total_cost" IS NULL
    AND (
      requests."cost_status" IS NULL OR NOT requests."cost_status" = 'stated'
    )
    AND requests."usage_status" IN ('estimated', 'partial')) AS "coverage: estimated",
  GROUPING("month") AS "coverage: of all"
FROM requests
LEFT JOIN ranked
  ON requests."Team" = ranked."Team"
GROUP BY
  GROUPING SETS (
    ("month", COALESCE(ranked."Team", '(other)')),
    ()
  )
