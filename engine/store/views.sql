-- Views for the questions people ask. Replaced at every opening, so that an old run gets the new views.
CREATE OR REPLACE VIEW current_state AS SELECT name, state, reason FROM runs;
