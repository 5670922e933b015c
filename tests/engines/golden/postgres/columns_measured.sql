WITH requests AS (
  SELECT
    "web_searches",
    "social_searches",
    "total_cost",
    "output_tokens",
    "model"
  FROM llm_requests
)
SELECT
  CAST(SUM(COALESCE("web_searches" + "social_searches", "web_searches", "social_searches")) AS BIGINT) AS "searches",
  PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY
    CAST("total_cost" AS DOUBLE PRECISION)) AS "p90_cost",
  CAST(CAST(SUM("output_tokens") AS BIGINT) AS DOUBLE PRECISION) / NULLIF(CAST(COUNT(*) FILTER(WHERE
    NOT "output_tokens" IS NULL) AS DOUBLE PRECISION), 0) AS "mean_output",
  COUNT(DISTINCT "model") AS "models"
FROM requests
