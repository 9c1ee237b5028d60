-- Segments that ended by a fault, why, and which node repaired them
FROM failures;
