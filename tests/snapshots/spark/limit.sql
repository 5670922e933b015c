WITH requests AS (
  SELECT
    CAST(DATE_TRUNC('MONTH', CAST(FROM_UTC_TIMESTAMP(`requested_at`, 'UTC') AS DATE)) AS DATE) AS `month`,
    COALESCE(`indexed_Team`, '(untagged)') AS `Team`,
    `total_cost`
  FROM llm_requests
), ranked AS (
  SELECT
    `Team`,
    CAST(SUM(requests.`total_cost`) AS DECIMAL(38, 10)) AS `rank 1`,
    TRUE AS kept
  FROM requests
  GROUP BY
    `Team`
  ORDER BY
    `rank 1` DESC,
    `Team` ASC NULLS LAST
  LIMIT 2
)
SELECT
  `month`,
  COALESCE(ranked.`Team`, '(other)') AS `Team`,
  CAST(SUM(requests.`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
LEFT JOIN ranked
  ON requests.`Team` = ranked.`Team`
GROUP BY
  `month`,
  COALESCE(ranked.`Team`, '(other)')
