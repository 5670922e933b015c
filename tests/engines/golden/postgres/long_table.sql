WITH requests AS (
  SELECT
    COALESCE(
      "plan table"."plan is",
      CASE WHEN NOT "raw_metadata" ->> 'User-Id' IS NULL THEN 'none' END,
      '(untagged)'
    ) AS "plan"
  FROM llm_requests
  LEFT JOIN UNNEST(STRING_TO_ARRAY(
    'u0
u1
u2
u3
u4
u5
u6
u7
u8
u9
u10
u11
u12
u13
u14
u15
u16
u17
u18
u19
u20
u21
u22
u23
u24
u25
u26
u27
u28
u29
u30
u31
u32',
    '
'
  ), STRING_TO_ARRAY(
    'p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0
p1
p0',
    '
'
  )) AS "plan table"("plan of", "plan is")
    ON "raw_metadata" ->> 'User-Id' = "plan table"."plan of"
)
SELECT
  "plan",
  COUNT(*) AS "requests"
FROM requests
GROUP BY
  "plan"
