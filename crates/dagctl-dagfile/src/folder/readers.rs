//! Which DAG files have to be read again when a file changes: a folder of thousands is not asked one by one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::sources::Asked;

/// The DAG files by what their readings asked for.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// By the path that was looked up, there or not; its own is no news to a file.
    by_path: HashMap<String, HashSet<Arc<str>>>,
    /// Those that asked for patterns of paths.
    with_globs: HashMap<Arc<str>, Asked>,
}

impl Readers {
    /// Notes what a reading of `file` asked for.
    pub(super) fn add(&mut self, file: &str, asked: &Asked) {
        let reader: Arc<str> = file.into();
        for path in asked.paths.iter().filter(|it| *it != file) {
            match self.by_path.get_mut(path) {
                Some(readers) => _ = readers.insert(reader.clone()),
                None => {
                    _ = self
                        .by_path
                        .insert(path.clone(), HashSet::from([reader.clone()]))
                }
            }
        }
        if !asked.globs.is_empty() {
            self.with_globs.insert(reader, asked.clone());
        }
    }

    /// Forgets a reading that asked for this.
    pub(super) fn remove(&mut self, file: &str, asked: &Asked) {
        for path in &asked.paths {
            if let Some(readers) = self.by_path.get_mut(path) {
                readers.remove(file);
                if readers.is_empty() {
                    self.by_path.remove(path);
                }
            }
        }
        self.with_globs.remove(file);
    }

    /// The paths that changed, and the files whose readings asked for one of them.
    pub(super) fn outdated(&self, changes: &BTreeSet<String>) -> BTreeSet<String> {
        let mut outdated = changes.clone();
        for path in changes {
            let readers = self.by_path.get(path).into_iter().flatten();
            outdated.extend(readers.map(ToString::to_string));
            let matching = self
                .with_globs
                .iter()
                .filter(|(_, asked)| asked.globs.iter().any(|glob| glob.matches(path)));
            outdated.extend(matching.map(|(reader, _)| reader.to_string()));
        }
        outdated
    }
}

#[cfg(test)]
mod tests {
    use crate::glob::Glob;

    use super::*;

    fn asked(paths: &[&str], glob: Option<&str>) -> Asked {
        Asked {
            paths: paths.iter().map(|it| (*it).to_owned()).collect(),
            globs: glob.and_then(Glob::new).into_iter().collect(),
        }
    }

    fn outdated(readers: &Readers, changes: &[&str]) -> Vec<String> {
        let changes = changes.iter().map(|it| (*it).to_owned()).collect();
        readers.outdated(&changes).into_iter().collect()
    }

    #[test]
    fn a_change_outdates_itself_and_whoever_asked_for_it() {
        let mut readers = Readers::default();
        let first = asked(&["a.yaml", "_defaults.yaml", "sql/a.sql"], None);
        readers.add("a.yaml", &first);
        readers.add("b.yaml", &asked(&["b.yaml", "_defaults.yaml"], None));
        readers.add("c.yaml", &asked(&["c.yaml"], Some("config/*.yaml")));
        assert_eq!(outdated(&readers, &["a.yaml"]), ["a.yaml"]);
        assert_eq!(
            outdated(&readers, &["_defaults.yaml"]),
            ["_defaults.yaml", "a.yaml", "b.yaml"]
        );
        assert_eq!(
            outdated(&readers, &["config/new.yaml", "sql/a.sql"]),
            ["a.yaml", "c.yaml", "config/new.yaml", "sql/a.sql"]
        );
        readers.remove("a.yaml", &first);
        assert_eq!(
            outdated(&readers, &["_defaults.yaml", "sql/a.sql"]),
            ["_defaults.yaml", "b.yaml", "sql/a.sql"]
        );
    }

    #[test]
    fn nothing_is_left_of_a_reading_that_is_forgotten() {
        let mut readers = Readers::default();
        let all = asked(&["a.yaml", "x.sql"], Some("*.yaml"));
        readers.add("a.yaml", &all);
        readers.remove("a.yaml", &all);
        assert!(readers.by_path.is_empty() && readers.with_globs.is_empty());
    }
}
