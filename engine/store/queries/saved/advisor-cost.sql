-- What the advisors cost: calls, errors, tokens and seconds
FROM cost;
