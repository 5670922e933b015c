WITH requests AS (
  SELECT
    CASE
      WHEN "input_tokens" < 1000
      THEN 0
      WHEN "input_tokens" < 10000
      THEN 1
      WHEN "input_tokens" >= 10000
      THEN 2
    END AS "size",
    "total_cost"
  FROM llm_requests
), ranked AS (
  SELECT
    "size",
    TRUE AS kept
  FROM requests
  GROUP BY
    "size"
  ORDER BY
    "size" ASC
  LIMIT 2
)
SELECT
  ranked."size" AS "size",
  ranked."kept" IS NULL AS is_other,
  CAST(SUM(requests."total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
LEFT JOIN ranked
  ON requests."size" IS NOT DISTINCT FROM ranked."size"
GROUP BY
  ranked."size",
  ranked."kept" IS NULL
