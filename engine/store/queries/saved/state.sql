-- Where the run stands, in one row
FROM current_state;
