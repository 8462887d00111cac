//! Every variable and connection at one moment, secrets included.

use std::collections::BTreeMap;
use std::sync::Arc;

use dagctl_core::connection::Connection;
use dagctl_core::variable::Masker;

use super::{Source, Stack, is_secret};

/// What tasks may read and what must be masked.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    variables: Arc<BTreeMap<String, String>>,
    connections: Arc<BTreeMap<String, Connection>>,
    broken: BTreeMap<String, String>,
    secrets: Vec<String>,
    masker: Masker,
}

impl Snapshot {
    pub(super) fn new(
        variables: &BTreeMap<String, Stack>,
        connections: &BTreeMap<String, Stack>,
    ) -> Self {
        let mut snapshot = Self::default();
        let (mut values, mut parsed_connections) = (BTreeMap::new(), BTreeMap::new());
        for (name, stack) in variables {
            match &stack[0].text {
                Ok(text) => {
                    if is_secret(name, stack) {
                        snapshot.secrets.push(text.expose().to_owned());
                    }
                    for name in spellings(name, stack) {
                        values
                            .entry(name)
                            .or_insert_with(|| text.expose().to_owned());
                    }
                }
                Err(problem) => {
                    snapshot.broken.insert(name.clone(), problem.clone());
                }
            }
        }
        for (conn_id, stack) in connections {
            let parsed = stack[0].text.clone().and_then(|text| {
                Connection::parse(conn_id, text.expose()).map_err(|err| err.to_string())
            });
            match parsed {
                Ok(connection) => {
                    snapshot
                        .secrets
                        .extend(connection.secrets().iter().map(|it| it.expose().to_owned()));
                    for conn_id in spellings(conn_id, stack) {
                        parsed_connections
                            .entry(conn_id.clone())
                            .or_insert_with(|| Connection {
                                conn_id,
                                ..connection.clone()
                            });
                    }
                }
                Err(problem) => {
                    snapshot.broken.insert(conn_id.clone(), problem);
                }
            }
        }
        snapshot.masker = Masker::new(&snapshot.secrets);
        snapshot.variables = Arc::new(values);
        snapshot.connections = Arc::new(parsed_connections);
        snapshot
    }

    /// Variables by name; one from the environment under its upper-case and its lower-case name.
    pub fn variables(&self) -> &Arc<BTreeMap<String, String>> {
        &self.variables
    }

    /// Connections by name; one from the environment under its upper-case and its lower-case name.
    pub fn connections(&self) -> &Arc<BTreeMap<String, Connection>> {
        &self.connections
    }

    /// Why a variable or connection of that name cannot be used, where one is set.
    pub fn broken(&self, name: &str) -> Option<&str> {
        self.broken.get(name).map(String::as_str)
    }

    /// What must not be seen in logs, messages and outputs.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// What hides the secrets.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }
}

/// The names under which tasks look for it: as it is, and in both cases where the environment defines it.
fn spellings(name: &str, stack: &Stack) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if matches!(
        stack[0].source,
        Source::Environment | Source::AirflowEnvironment
    ) {
        names.extend([name.to_lowercase(), name.to_uppercase()]);
    }
    names
}
