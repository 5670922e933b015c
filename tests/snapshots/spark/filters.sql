WITH requests AS (
  SELECT
    `total_cost`
  FROM llm_requests
  WHERE
    (
      `indexed_Team` IS NULL OR NOT `indexed_Team` = 'it\'s'
    )
    AND (
      `raw_metadata`['Plan'] IS NULL OR `raw_metadata`['Plan'] = 'pro'
    )
    AND `status_code` >= 400
    AND `status_code` < 500
    AND `total_cost` > 0.05
    AND STARTSWITH(`model`, 'gpt')
)
SELECT
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  COUNT(*) AS `requests`
FROM requests
