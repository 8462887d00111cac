//! dagctl-server
