//! dagctl-postgres
