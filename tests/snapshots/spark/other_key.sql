WITH requests AS (
  SELECT
    COALESCE(`raw_metadata`['Plan'], '(untagged)') AS `Plan`,
    `raw_metadata`['User-Id'] AS `User-Id`
  FROM llm_requests
)
SELECT
  `Plan`,
  COUNT(DISTINCT `User-Id`) AS `users`
FROM requests
GROUP BY
  `Plan`
