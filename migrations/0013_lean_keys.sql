-- Keys that are read and used in one transaction, of rows that nothing ever deletes. Each check of such a reference locks
-- the row that is referred to: two for every task of a DAG file and one for every edge, and one for every run on the
-- row of its DAG, which all of its runs write to when they end.
alter table dag_task drop constraint dag_task_pool_key_fkey;
alter table dag_task drop constraint dag_task_queue_key_fkey;
alter table dag_edge drop constraint dag_edge_dag_version_id_fkey;
alter table run_key drop constraint run_key_dag_key_fkey;
