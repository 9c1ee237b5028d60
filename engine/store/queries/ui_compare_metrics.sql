-- Which metrics some nodes have ($1 = their ids as a JSON list).
SELECT DISTINCT name FROM metrics WHERE list_contains(CAST($1 AS JSON)::INTEGER[], node_id) ORDER BY name
