//! `DAGCTL_VAR_…`, `AIRFLOW_VAR_…` and their siblings for connections.

use std::collections::BTreeMap;

use dagctl_core::connection::Secret;

use super::{Entry, Source, Stack};

/// What the environment says, by upper-case name.
#[derive(Debug)]
pub(super) struct Environment {
    kind: &'static str,
    dagctl: BTreeMap<String, Secret>,
    airflow: BTreeMap<String, Secret>,
}

impl Environment {
    /// Picks what belongs to `kind`, which is `VAR` or `CONN`.
    pub(super) fn new(environment: &BTreeMap<String, String>, kind: &'static str) -> Self {
        let with_prefix = |system: &str| {
            let prefix = format!("{system}_{kind}_");
            environment
                .iter()
                .filter_map(|(name, text)| Some((name.strip_prefix(&prefix)?, text)))
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, text)| (name.to_uppercase(), Secret::new(text)))
                .collect()
        };
        Self {
            kind,
            dagctl: with_prefix("DAGCTL"),
            airflow: with_prefix("AIRFLOW"),
        }
    }

    /// Whether a name is defined, in any case.
    pub(super) fn defines(&self, name: &str) -> bool {
        let name = name.to_uppercase();
        self.dagctl.contains_key(&name) || self.airflow.contains_key(&name)
    }

    /// The environment variable that decides a name.
    pub(super) fn variable_of(&self, name: &str) -> Option<String> {
        let name = name.to_uppercase();
        if self.dagctl.contains_key(&name) {
            Some(format!("DAGCTL_{}_{name}", self.kind))
        } else if self.airflow.contains_key(&name) {
            Some(format!("AIRFLOW_{}_{name}", self.kind))
        } else {
            None
        }
    }

    /// What the environment says about a name, the strongest first.
    pub(super) fn entries(&self, name: &str) -> Stack {
        let name = name.to_uppercase();
        [
            (Source::Environment, self.dagctl.get(&name)),
            (Source::AirflowEnvironment, self.airflow.get(&name)),
        ]
        .into_iter()
        .filter_map(|(source, text)| {
            Some(Entry {
                source,
                text: Ok(text?.clone()),
                is_secret: self.kind == "CONN",
                description: None,
                updated_at: None,
            })
        })
        .collect()
    }

    /// Adds the names that nobody else defines, spelled by `spell`.
    pub(super) fn add_to(
        &self,
        stacks: &mut BTreeMap<String, Stack>,
        spell: impl Fn(&str) -> String,
    ) {
        for name in self.dagctl.keys().chain(self.airflow.keys()) {
            if !stacks.keys().any(|it| it.to_uppercase() == *name) {
                stacks.insert(spell(name), self.entries(name));
            }
        }
    }
}
