WITH requests AS (
  SELECT
    COALESCE(
      `plan table`.`plan is`,
      CASE WHEN NOT `raw_metadata`['User-Id'] IS NULL THEN 'none' END,
      '(untagged)'
    ) AS `plan`
  FROM llm_requests
  LEFT JOIN VALUES
    ('u0', 'p0'),
    ('u1', 'p1'),
    ('u2', 'p0'),
    ('u3', 'p1'),
    ('u4', 'p0'),
    ('u5', 'p1'),
    ('u6', 'p0'),
    ('u7', 'p1'),
    ('u8', 'p0'),
    ('u9', 'p1'),
    ('u10', 'p0'),
    ('u11', 'p1'),
    ('u12', 'p0'),
    ('u13', 'p1'),
    ('u14', 'p0'),
    ('u15', 'p1'),
    ('u16', 'p0'),
    ('u17', 'p1'),
    ('u18', 'p0'),
    ('u19', 'p1'),
    ('u20', 'p0'),
    ('u21', 'p1'),
    ('u22', 'p0'),
    ('u23', 'p1'),
    ('u24', 'p0'),
    ('u25', 'p1'),
    ('u26', 'p0'),
    ('u27', 'p1'),
    ('u28', 'p0'),
    ('u29', 'p1'),
    ('u30', 'p0'),
    ('u31', 'p1'),
    ('u32', 'p0') AS `plan table`(`plan of`, `plan is`)
    ON `raw_metadata`['User-Id'] = `plan table`.`plan of`
)
SELECT
  `plan`,
  COUNT(*) AS `requests`
FROM requests
GROUP BY
  `plan`
