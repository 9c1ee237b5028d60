-- The prompts that are answered wrongly most often
SELECT prompt, any_value(answer) AS answer, count(*) AS tries, count(*) FILTER (NOT correct) AS wrong,
       count(*) FILTER (truncated) AS truncated
FROM completions GROUP BY prompt ORDER BY wrong DESC, tries DESC LIMIT 50;
