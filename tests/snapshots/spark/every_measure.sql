WITH requests AS (
  SELECT
    `total_cost`,
    `input_cost`,
    `output_cost`,
    `tool_cost`,
    `input_tokens`,
    `output_tokens`,
    `cached_tokens`,
    `cache_creation_tokens`,
    `reasoning_tokens`,
    `status_code`,
    `outcome`,
    `response_time_ms`,
    `raw_metadata`['User-Id'] AS `User-Id`
  FROM llm_requests
)
SELECT
  COUNT(*) AS `requests`,
  CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS `total_cost`,
  CAST(SUM(`input_cost`) AS DECIMAL(38, 10)) AS `input_cost`,
  CAST(SUM(`output_cost`) AS DECIMAL(38, 10)) AS `output_cost`,
  CAST(SUM(`tool_cost`) AS DECIMAL(38, 10)) AS `tool_cost`,
  CAST(SUM(CAST(`input_tokens` AS DECIMAL(20, 0))) AS BIGINT) AS `input_tokens`,
  CAST(SUM(CAST(`output_tokens` AS DECIMAL(20, 0))) AS BIGINT) AS `output_tokens`,
  CAST(SUM(CAST(`cached_tokens` AS DECIMAL(20, 0))) AS BIGINT) AS `cached_tokens`,
  CAST(SUM(CAST(`cache_creation_tokens` AS DECIMAL(20, 0))) AS BIGINT) AS `cache_creation_tokens`,
  CAST(SUM(CAST(`reasoning_tokens` AS DECIMAL(20, 0))) AS BIGINT) AS `reasoning_tokens`,
  CAST(SUM(
    COALESCE(
      CAST(`input_tokens` AS DECIMAL(20, 0)) + CAST(`output_tokens` AS DECIMAL(20, 0)),
      CAST(`input_tokens` AS DECIMAL(20, 0)),
      CAST(`output_tokens` AS DECIMAL(20, 0))
    )
  ) AS BIGINT) AS `total_tokens`,
  COUNT(*) FILTER(WHERE
    `status_code` >= 400 OR NOT (
      `outcome` IS NULL OR `outcome` = 'completed'
    )) AS `errors`,
  CAST(COUNT(*) FILTER(WHERE
    `status_code` >= 400 OR NOT (
      `outcome` IS NULL OR `outcome` = 'completed'
    )) AS DOUBLE) / NULLIF(CAST(COUNT(*) AS DOUBLE), 0) AS `error_rate`,
  CAST(CAST(SUM(CAST(`cached_tokens` AS DECIMAL(20, 0))) FILTER(WHERE
    NOT `cached_tokens` IS NULL AND NOT `input_tokens` IS NULL) AS BIGINT) AS DOUBLE) / NULLIF(
    CAST(CAST(SUM(CAST(`input_tokens` AS DECIMAL(20, 0))) FILTER(WHERE
      NOT `cached_tokens` IS NULL AND NOT `input_tokens` IS NULL) AS BIGINT) AS DOUBLE),
    0
  ) AS `cache_hit_rate`,
  CAST(CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS DOUBLE) / NULLIF(CAST(COUNT(*) AS DOUBLE), 0) AS `cost_per_request`,
  1000 * (
    CAST(CAST(SUM(`total_cost`) AS DECIMAL(38, 10)) AS DOUBLE) / NULLIF(
      CAST(CAST(SUM(
        COALESCE(
          CAST(`input_tokens` AS DECIMAL(20, 0)) + CAST(`output_tokens` AS DECIMAL(20, 0)),
          CAST(`input_tokens` AS DECIMAL(20, 0)),
          CAST(`output_tokens` AS DECIMAL(20, 0))
        )
      ) AS BIGINT) AS DOUBLE),
      0
    )
  ) AS `cost_per_1k_tokens`,
  CAST(CAST(SUM(CAST(`response_time_ms` AS DECIMAL(20, 0))) AS BIGINT) AS DOUBLE) / NULLIF(CAST(COUNT(*) FILTER(WHERE
    NOT `response_time_ms` IS NULL) AS DOUBLE), 0) AS `avg_response_time_ms`,
  PERCENTILE(`response_time_ms`, 0.5) AS `p50_response_time_ms`,
  PERCENTILE(`response_time_ms`, 0.95) AS `p95_response_time_ms`,
  PERCENTILE(`response_time_ms`, 0.99) AS `p99_response_time_ms`,
  COUNT(*) FILTER(WHERE
    `total_cost` IS NULL) AS `unpriced_requests`,
  COUNT(DISTINCT `User-Id`) AS `users`
FROM requests
