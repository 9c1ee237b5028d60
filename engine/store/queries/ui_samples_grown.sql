-- Where the completions end now: changes whenever there is a new one.
SELECT max(seq) AS newest FROM completions
