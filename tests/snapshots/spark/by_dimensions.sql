WITH requests AS (
  SELECT
    COALESCE(`indexed_Feature`, '(untagged)') AS `Feature`,
    COALESCE(`model`, '(untagged)') AS `model`,
    `total_cost`
  FROM llm_requests
  WHERE
    `requested_at` >= CAST('2026-10-01 00:00:00+00:00' AS TIMESTAMP)
    AND `requested_at` < CAST('2026-11-01 00:00:00+00:00' AS TIMESTAMP)
)
SELECT
  `Feature`,
  `model`,
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `Feature`,
  `model`
