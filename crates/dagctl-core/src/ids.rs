//! Typed names and numbers, so that a task's index is never taken for a run's key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text cannot name a DAG, task, run, pool, connection or variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than [`MAX_NAME_LEN`] bytes.
    #[error("`{0}…` is too long: a name has at most 250 bytes")]
    TooLong(String),
    /// The text holds a character outside Airflow's set.
    #[error("`{name}` has `{found}` in it: names are made of letters, digits, `_`, `-` and `.`")]
    BadCharacter {
        /// The whole text.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

/// The longest name in bytes, as in Airflow's metadata database.
pub const MAX_NAME_LEN: usize = 250;

/// Checks Airflow's rule for keys: letters and digits of any script, `_`, `-`, `.`; at most 250 bytes.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong(name.chars().take(40).collect()));
    }
    match name
        .chars()
        .find(|it| !(it.is_alphanumeric() || matches!(it, '_' | '-' | '.')))
    {
        Some(found) => Err(NameError::BadCharacter {
            name: name.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Takes a checked name; see [`check_name`].
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check_name(&name)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A DAG's name, unique in the repository.
    DagId
);
name!(
    /// A task's name, unique in its DAG. A member of an expansion is `task.member`.
    TaskId
);
name!(
    /// A pool's name.
    PoolName
);

/// The pool of a task that names none.
pub const DEFAULT_POOL: &str = "default_pool";

name!(
    /// A queue's name: which workers a task is for.
    QueueName
);

/// The queue of tasks that name none, and of workers that name none.
pub const DEFAULT_QUEUE: &str = "default";

macro_rules! number {
    ($(#[$doc:meta])* $type:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub $inner);

        impl $type {
            /// The bare number, for a statement or a path.
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The key of a DAG in the database.
    DagKey(i32)
);
number!(
    /// The key of a DAG version in the database.
    DagVersionId(i32)
);
number!(
    /// The key of a dag run: `(milliseconds since 1970 << 20) | 20 random bits`, so it sorts by creation.
    /// Above 2⁵³, hence a text in JSON.
    DagRunId(i64)
);
number!(
    /// A task's place in its DAG version, from 0, upstream tasks first.
    TaskIndex(i32)
);
number!(
    /// Which of a mapped task's instances; -1 where the task is not mapped, as in Airflow.
    MapIndex(i32)
);
number!(
    /// Which try of a task instance, from 1. The fence: it only grows.
    AttemptNo(i16)
);
number!(
    /// A worker process, never used twice.
    WorkerId(i32)
);

impl MapIndex {
    /// The map index of a task that is not mapped, and of the row that stands for all instances of one that is.
    pub const UNMAPPED: Self = Self(-1);
}

/// A task instance of some run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskInstanceKey {
    /// The run it belongs to.
    pub dag_run_id: DagRunId,
    /// Which task.
    pub task_index: TaskIndex,
    /// Which mapped instance.
    pub map_index: MapIndex,
}

impl TaskInstanceKey {
    /// The instance within its run.
    pub fn index(&self) -> InstanceIndex {
        InstanceIndex {
            task: self.task_index,
            map_index: self.map_index,
        }
    }
}

/// A task instance within its run. The one with [`MapIndex::UNMAPPED`] stands for the whole task; a mapped task has one
/// for each item besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceIndex {
    /// Which task.
    pub task: TaskIndex,
    /// Which mapped instance.
    pub map_index: MapIndex,
}

impl InstanceIndex {
    /// The instance that stands for the whole task.
    pub fn whole(task: TaskIndex) -> Self {
        Self {
            task,
            map_index: MapIndex::UNMAPPED,
        }
    }
}

/// One try of a task instance; what every write of a worker is fenced by, with its worker id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The task instance.
    pub instance: TaskInstanceKey,
    /// Its try.
    pub attempt: AttemptNo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_airflows_rule() {
        for good in ["Build_Summary", "build.mau_summary", "a-b", "요약"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "../x", "a\n", &"x".repeat(251)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
