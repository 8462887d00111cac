//! Which tables SQL writes, as far as a parser can tell without a database.
//!
//! A table counts where its schema is said and no template is part of its name. What cannot be read writes nothing that
//! anybody knows of: `writes` says it then.

use sqlparser::ast::{
    CopySource, FromTable, Ident, ObjectName, Query, SetExpr, Statement, TableFactor, TableObject,
    TableWithJoins,
};

use crate::sources::Session;
use crate::sql_read::holds_template;

/// Words without which SQL writes no table.
const WRITES: [&str; 7] = [
    "insert", "update", "delete", "merge", "create", "truncate", "copy",
];

impl Session<'_> {
    /// The tables that a text of statements writes, as `schema.table`, each once; names fold to lower case as in
    /// PostgreSQL.
    pub(crate) fn tables_written(&mut self, sql: &str) -> Vec<String> {
        let lower = sql.to_ascii_lowercase();
        let may_write = WRITES.iter().any(|it| lower.contains(it));
        // What a `{% if %}` leaves out cannot be known.
        if !may_write || sql.contains("{%") {
            return vec![];
        }
        self.read_sql(sql).writes.clone()
    }
}

/// Gathers the tables that statements of one text write.
pub(crate) struct Found<'s> {
    sql: &'s str,
    /// The tables, each once.
    pub(crate) tables: Vec<String>,
}

impl<'s> Found<'s> {
    /// Starts with nothing found in `sql`, which is the text as it was written, with its templates.
    pub(crate) fn new(sql: &'s str) -> Self {
        Self {
            sql,
            tables: vec![],
        }
    }

    /// Adds what a statement writes.
    pub(crate) fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Insert(it) => {
                if let TableObject::TableName(name) = &it.table {
                    self.name(name);
                }
                if let Some(source) = &it.source {
                    self.query(source);
                }
            }
            Statement::Update(it) => self.table(&it.table),
            Statement::Delete(it) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &it.from;
                from.iter().for_each(|it| self.table(it));
            }
            Statement::Merge(it) => self.factor(&it.table),
            Statement::Truncate(it) => it.table_names.iter().for_each(|it| self.name(&it.name)),
            Statement::CreateTable(it) if it.query.is_some() && !it.temporary => {
                self.name(&it.name);
            }
            Statement::Copy {
                source: CopySource::Table { table_name, .. },
                to: false,
                ..
            } => self.name(table_name),
            Statement::Query(it) => self.query(it),
            _ => (),
        }
    }

    /// `with moved as (delete from a.b … returning *) insert into a.c …`.
    fn query(&mut self, query: &Query) {
        for it in query.with.iter().flat_map(|it| &it.cte_tables) {
            self.query(&it.query);
        }
        match &*query.body {
            SetExpr::Insert(it)
            | SetExpr::Update(it)
            | SetExpr::Delete(it)
            | SetExpr::Merge(it) => {
                self.statement(it);
            }
            SetExpr::Query(it) => self.query(it),
            _ => (),
        }
    }

    fn table(&mut self, it: &TableWithJoins) {
        self.factor(&it.relation);
    }

    fn factor(&mut self, it: &TableFactor) {
        if let TableFactor::Table { name, .. } = it {
            self.name(name);
        }
    }

    fn name(&mut self, name: &ObjectName) {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(|it| it.as_ident()).collect();
        let Some([schema, table]) = parts.as_deref() else {
            return;
        };
        if [schema, table].map(|it| holds_template(&it.value, self.sql)) != [false; 2] {
            return;
        }
        let name = [schema, table].map(|it| match it.quote_style {
            Some(_) => it.value.clone(),
            None => it.value.to_lowercase(),
        });
        let name = name.join(".");
        if !self.tables.contains(&name) {
            self.tables.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sources::{Session, Sources};

    fn tables(sql: &str) -> Vec<String> {
        Session::new(&Sources::new([], "")).tables_written(sql)
    }

    #[test]
    fn every_kind_of_statement_that_writes_names_its_table() {
        for (sql, wanted) in [
            (
                "insert into a.b (x) values (1) on conflict (x) do update set x = excluded.x",
                "a.b",
            ),
            (
                "UPDATE Raw.Orders o SET x = 1 FROM a.c WHERE o.i = c.i",
                "raw.orders",
            ),
            ("delete from a.b using a.c where b.i = c.i", "a.b"),
            (
                "merge into a.b using a.c c on b.i = c.i when matched then delete",
                "a.b",
            ),
            ("truncate a.b, a.c", "a.b a.c"),
            ("create table a.b as select * from a.c", "a.b"),
            ("create table if not exists a.\"B\" as select 1", "a.B"),
            ("copy a.b from 's3://x' iam_role default csv", "a.b"),
            (
                "with gone as (delete from a.b returning *) insert into a.c select * from gone",
                "a.b a.c",
            ),
            (
                "insert into a.b values (:day); insert into a.b values ('{{ ds }}'); analyze a.b",
                "a.b",
            ),
        ] {
            assert_eq!(tables(sql).join(" "), wanted, "{sql}");
        }
    }

    #[test]
    fn what_is_not_known_for_sure_writes_nothing() {
        for sql in [
            "select * from a.b",
            "insert into b select 1",
            "create table a.b (like a.c)",
            "create temporary table a.b as select 1",
            "insert into a.orders_{{ ds_nodash }} select 1",
            "insert into {{ params.table | ident }} select 1",
            "insert into \"{{}}\".b select 1",
            "{% if x %}insert into a.b select 1{% endif %}",
            "insert into a.b selec oops (",
            "copy a.b to stdout",
            "-- delete from a.b\nselect 1",
            "select 'insert into a.b values (1)'",
        ] {
            assert_eq!(tables(sql), [""; 0], "{sql}");
        }
    }
}
