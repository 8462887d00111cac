-- Going again, backfills, and what limits a run as a whole.

-- How often a run that had ended went on: part of the identity of what is told of it. Past the first start its task
-- instances are there, and a look decides which of them start.
alter table dag_run add column epoch smallint not null default 0;

-- A success that was cleared stays as history, as an attempt that failed does.
alter table attempt drop constraint attempt_state_known;
alter table attempt add constraint attempt_state_known check (state in ('f', 'k', 'l', 'h', 's'));
