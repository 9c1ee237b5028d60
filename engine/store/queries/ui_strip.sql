-- Every metric of node $1: averages of $2 equal parts of its planned steps, and the latest value.
WITH own AS (SELECT name, step, value FROM metrics WHERE node_id = $1),
planned AS (SELECT greatest(max(planned_steps), 1) AS steps FROM nodes WHERE node_id = $1),
latest AS (SELECT name, arg_max(value, step) AS latest FROM own GROUP BY name)
SELECT own.name, CAST(floor((own.step - 1) * CAST($2 AS INTEGER) / planned.steps) AS INTEGER) AS part,
    avg(own.value) FILTER (isfinite(own.value)) AS value, any_value(latest.latest) AS latest
FROM own CROSS JOIN planned JOIN latest USING (name) GROUP BY own.name, part ORDER BY own.name, part
