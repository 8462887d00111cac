//! dagctl-store
