//! dagctl-dagfile
