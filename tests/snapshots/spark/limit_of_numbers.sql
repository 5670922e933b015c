WITH requests AS (
  SELECT
    `status_code`,
    `outcome`
  FROM llm_requests
), ranked AS (
  SELECT
    `status_code`,
    CAST(COUNT(*) FILTER(WHERE
      requests.`status_code` >= 400
      OR NOT (
        requests.`outcome` IS NULL OR requests.`outcome` = 'completed'
      )) AS DOUBLE) / NULLIF(CAST(COUNT(*) AS DOUBLE), 0) AS `rank 1`,
    TRUE AS kept
  FROM requests
  GROUP BY
    `status_code`
  ORDER BY
    `rank 1` ASC NULLS LAST,
    `status_code` ASC NULLS LAST
  LIMIT 2
)
SELECT
  ranked.`status_code` AS `status_code`,
  ranked.`kept` IS NULL AS is_other,
  CAST(COUNT(*) FILTER(WHERE
    requests.`status_code` >= 400
    OR NOT (
      requests.`outcome` IS NULL OR requests.`outcome` = 'completed'
    )) AS DOUBLE) / NULLIF(CAST(COUNT(*) AS DOUBLE), 0) AS `error_rate`,
  COUNT(*) AS `requests`
FROM requests
LEFT JOIN ranked
  ON requests.`status_code` IS NOT DISTINCT FROM ranked.`status_code`
GROUP BY
  ranked.`status_code`,
  ranked.`kept` IS NULL
