-- What was diagnosed most often, and how badly
SELECT pathology, count(*) AS times, avg(severity) AS severity, list(DISTINCT node_id ORDER BY node_id) AS nodes
FROM current_diagnoses GROUP BY pathology ORDER BY times DESC;
