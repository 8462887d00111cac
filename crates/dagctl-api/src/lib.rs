//! dagctl-api
