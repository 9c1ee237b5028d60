-- Which metrics there are, in how many nodes, and in how many rows.
SELECT name, count(DISTINCT node_id) AS nodes, count(*) AS rows FROM metrics GROUP BY name ORDER BY name;
