//! dagctl-runner
