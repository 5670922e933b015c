WITH requests AS (
  SELECT
    COALESCE(`indexed_Team`, '(untagged)') AS `Team`,
    `status_code`,
    `total_cost`
  FROM llm_requests
), ranked AS (
  SELECT
    `Team`,
    `status_code`,
    CAST(SUM(requests.`total_cost`) AS DECIMAL(38, 10)) AS `rank 1`,
    TRUE AS kept
  FROM requests
  GROUP BY
    `Team`,
    `status_code`
  ORDER BY
    `rank 1` DESC,
    `Team` ASC NULLS LAST,
    `status_code` ASC NULLS LAST
  LIMIT 2
)
SELECT
  ranked.`Team` AS `Team`,
  ranked.`status_code` AS `status_code`,
  CAST(SUM(requests.`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
INNER JOIN ranked
  ON requests.`Team` = ranked.`Team`
  AND requests.`status_code` IS NOT DISTINCT FROM ranked.`status_code`
GROUP BY
  ranked.`Team`,
  ranked.`status_code`
