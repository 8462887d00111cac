//! dagctl-testkit
