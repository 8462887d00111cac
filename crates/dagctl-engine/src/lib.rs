//! dagctl-engine
