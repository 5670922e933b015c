WITH requests AS (
  SELECT
    "total_cost",
    "input_cost",
    "output_cost",
    "tool_cost",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_creation_tokens",
    "reasoning_tokens",
    "status_code",
    "outcome",
    "response_time_ms",
    "raw_metadata" ->> 'User-Id' AS "User-Id"
  FROM llm_requests
)
SELECT
  COUNT(*) AS "requests",
  CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS "total_cost",
  CAST(SUM("input_cost") AS DECIMAL(38, 10)) AS "input_cost",
  CAST(SUM("output_cost") AS DECIMAL(38, 10)) AS "output_cost",
  CAST(SUM("tool_cost") AS DECIMAL(38, 10)) AS "tool_cost",
  CAST(SUM("input_tokens") AS BIGINT) AS "input_tokens",
  CAST(SUM("output_tokens") AS BIGINT) AS "output_tokens",
  CAST(SUM("cached_tokens") AS BIGINT) AS "cached_tokens",
  CAST(SUM("cache_creation_tokens") AS BIGINT) AS "cache_creation_tokens",
  CAST(SUM("reasoning_tokens") AS BIGINT) AS "reasoning_tokens",
  CAST(SUM(COALESCE("input_tokens" + "output_tokens", "input_tokens", "output_tokens")) AS BIGINT) AS "total_tokens",
  COUNT(*) FILTER(WHERE
    "status_code" >= 400 OR NOT (
      "outcome" IS NULL OR "outcome" = 'completed'
    )) AS "errors",
  CAST(COUNT(*) FILTER(WHERE
    "status_code" >= 400 OR NOT (
      "outcome" IS NULL OR "outcome" = 'completed'
    )) AS DOUBLE PRECISION) / NULLIF(CAST(COUNT(*) AS DOUBLE PRECISION), 0) AS "error_rate",
  CAST(CAST(SUM("cached_tokens") FILTER(WHERE
    NOT "cached_tokens" IS NULL AND NOT "input_tokens" IS NULL) AS BIGINT) AS DOUBLE PRECISION) / NULLIF(
    CAST(CAST(SUM("input_tokens") FILTER(WHERE
      NOT "cached_tokens" IS NULL AND NOT "input_tokens" IS NULL) AS BIGINT) AS DOUBLE PRECISION),
    0
  ) AS "cache_hit_rate",
  CAST(CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS DOUBLE PRECISION) / NULLIF(CAST(COUNT(*) AS DOUBLE PRECISION), 0) AS "cost_per_request",
  1000 * (
    CAST(CAST(SUM("total_cost") AS DECIMAL(38, 10)) AS DOUBLE PRECISION) / NULLIF(
      CAST(CAST(SUM(COALESCE("input_tokens" + "output_tokens", "input_tokens", "output_tokens")) AS BIGINT) AS DOUBLE PRECISION),
      0
    )
  ) AS "cost_per_1k_tokens",
  CAST(CAST(SUM("response_time_ms") AS BIGINT) AS DOUBLE PRECISION) / NULLIF(
    CAST(COUNT(*) FILTER(WHERE
      NOT "response_time_ms" IS NULL) AS DOUBLE PRECISION),
    0
  ) AS "avg_response_time_ms",
  PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY
    "response_time_ms") AS "p50_response_time_ms",
  PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY
    "response_time_ms") AS "p95_response_time_ms",
  PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY
    "response_time_ms") AS "p99_response_time_ms",
  COUNT(*) FILTER(WHERE
    "total_cost" IS NULL) AS "unpriced_requests",
  COUNT(DISTINCT "User-Id") AS "users"
FROM requests
