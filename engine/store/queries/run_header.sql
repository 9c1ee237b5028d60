-- Everything about the run as a whole, with the policy it reports and its scores. One row; none before the run has begun.
FROM run_header
