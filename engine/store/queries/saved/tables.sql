-- What every table, view and column means, with its type and unit
FROM documentation;
