-- Which metrics there are, and between which values they move
SELECT name, count(*) AS points, count(*) FILTER (NOT isfinite(value)) AS broken,
       min(value) FILTER (isfinite(value)) AS low, avg(value) FILTER (isfinite(value)) AS mean,
       max(value) FILTER (isfinite(value)) AS high
FROM metrics GROUP BY name ORDER BY name;
