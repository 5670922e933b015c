WITH requests AS (
  SELECT
    COALESCE(
      CASE
        WHEN "model" IS NULL
        THEN NULL
        WHEN "model" ~ '^gpt-'
        THEN 'GPT'
        WHEN "model" ~ '^o[0-9]'
        THEN 'o'
        ELSE 'rest'
      END,
      '(untagged)'
    ) AS "family",
    COALESCE(
      CASE
        WHEN "raw_metadata" ->> 'User-Id' IS NULL
        THEN NULL
        WHEN "raw_metadata" ->> 'User-Id' IN ('u1', 'u2')
        THEN 'paid'
        WHEN "raw_metadata" ->> 'User-Id' = 'u3'
        THEN 'free'
        ELSE 'unknown'
      END,
      '(untagged)'
    ) AS "tier",
    COALESCE(
      CASE
        WHEN LENGTH("indexed_metadata" ->> 'Feature') - LENGTH(REPLACE("indexed_metadata" ->> 'Feature', '-', '')) >= 1
        THEN SPLIT_PART("indexed_metadata" ->> 'Feature', '-', 2)
      END,
      '(untagged)'
    ) AS "region",
    "total_cost"
  FROM llm_requests
)
SELECT
  "family",
  "tier",
  "region",
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "family",
  "tier",
  "region"
