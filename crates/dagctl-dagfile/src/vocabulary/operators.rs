//! The operators of the language and the fields of their own.

/// An operator's own fields.
pub(crate) struct OperatorFields {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [&'static str],
}

/// Every operator.
pub(crate) const OPERATORS: &[OperatorFields] = &[
    OperatorFields {
        name: "empty",
        fields: &[],
    },
    OperatorFields {
        name: "sql",
        fields: &["conn_id", "sql", "parameters", "autocommit", "fetch"],
    },
    OperatorFields {
        name: "sql_check",
        fields: &[
            "conn_id",
            "sql",
            "parameters",
            "count",
            "max_count",
            "equals",
        ],
    },
    OperatorFields {
        name: "build_table",
        fields: &[
            "conn_id",
            "config",
            "schema",
            "table",
            "main_sql",
            "primary_key",
            "input_check",
            "output_check",
            "allow_empty",
            "swap",
            "keep_versions",
        ],
    },
    OperatorFields {
        name: "load_file",
        fields: &[
            "conn_id",
            "file",
            "format",
            "header",
            "delimiter",
            "columns",
            "mode",
            "schema",
            "table",
            "primary_key",
            "input_check",
            "output_check",
            "allow_empty",
            "swap",
            "keep_versions",
        ],
    },
    OperatorFields {
        name: "http",
        fields: &[
            "conn_id",
            "endpoint",
            "method",
            "headers",
            "data",
            "response_check",
            "response_filter",
            "output_file",
            "paging",
        ],
    },
    OperatorFields {
        name: "shell",
        fields: &[
            "command",
            "interpreter",
            "env",
            "cwd",
            "skip_on_exit_code",
            "outputs",
        ],
    },
    OperatorFields {
        name: "branch",
        fields: &["branches"],
    },
    OperatorFields {
        name: "latest_only",
        fields: &[],
    },
    OperatorFields {
        name: "sql_sensor",
        fields: &[
            "conn_id",
            "sql",
            "parameters",
            "poke_interval",
            "timeout",
            "soft_fail",
            "exponential_backoff",
            "max_wait",
        ],
    },
    OperatorFields {
        name: "http_sensor",
        fields: &[
            "conn_id",
            "endpoint",
            "method",
            "headers",
            "data",
            "response_check",
            "poke_interval",
            "timeout",
            "soft_fail",
            "exponential_backoff",
            "max_wait",
        ],
    },
    OperatorFields {
        name: "file_sensor",
        fields: &[
            "filepath",
            "poke_interval",
            "timeout",
            "soft_fail",
            "exponential_backoff",
            "max_wait",
        ],
    },
    OperatorFields {
        name: "external_task_sensor",
        fields: &[
            "external_dag_id",
            "external_task_id",
            "allowed_states",
            "failed_states",
            "execution_delta",
            "check_existence",
            "poke_interval",
            "timeout",
            "soft_fail",
            "exponential_backoff",
            "max_wait",
        ],
    },
    OperatorFields {
        name: "time_sensor",
        fields: &["target_time", "timeout", "soft_fail"],
    },
    OperatorFields {
        name: "trigger_dagrun",
        fields: &[
            "trigger_dag_id",
            "conf",
            "logical_date",
            "wait_for_completion",
            "allowed_states",
            "failed_states",
        ],
    },
    OperatorFields {
        name: "approval",
        fields: &["subject", "body", "timeout", "default"],
    },
];

/// An operator and its fields.
pub(crate) fn operator(name: &str) -> Option<&'static OperatorFields> {
    OPERATORS.iter().find(|it| it.name == name)
}

/// Fields of tables that do not work yet, here and in `config` files.
pub(crate) const TABLES_NOT_YET: &[&str] = &["max_change"];

/// Whether an operator makes a table.
pub(crate) fn makes_tables(operator: &str) -> bool {
    matches!(operator, "build_table" | "load_file")
}
