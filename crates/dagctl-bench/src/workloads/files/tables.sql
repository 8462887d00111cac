-- The same rows as dagctl's own tables have, with their keys and nothing else.
create table dag (dag_key int generated always as identity primary key, dag_id text not null unique);
create table dag_version (
    dag_version_id int generated always as identity primary key,
    dag_key int not null references dag,
    files jsonb not null
);
create table dag_task (
    dag_version_id int not null references dag_version,
    task_index int not null,
    task_id text not null,
    operator text not null,
    primary key (dag_version_id, task_index)
);
create table dag_edge (
    dag_version_id int not null references dag_version,
    parent int not null,
    child int not null,
    primary key (dag_version_id, parent, child)
);
