//! `expand`: lists that are known only while a run is under way, one instance of the task for each item.

use serde_json::{Map, Value};

use crate::template::{self, Context};

/// The names of `expand` with what each goes through.
#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    /// Names and values in the file's order; texts in the values are templates.
    pub over: Vec<(String, Value)>,
}

/// Instances of one task where nobody sets `max_map_length`, as in Airflow.
pub const MAX_MAP_LENGTH: u16 = 1024;

/// Why an `expand` makes no instances, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A template in it could not be rendered.
    #[error("cannot evaluate `expand: {{{name}: {text}}}`: {message}")]
    Template {
        /// The name in `expand`.
        name: String,
        /// What stands behind it.
        text: String,
        /// What is wrong.
        message: String,
    },
    /// What stands behind a name is no list.
    #[error("`expand` needs a list for `{name}`, and `{text}` is {found}")]
    NoList {
        /// The name in `expand`.
        name: String,
        /// What stands behind it.
        text: String,
        /// What came of it.
        found: String,
    },
    /// More items than are allowed.
    #[error(
        "`expand` makes {found} instances, and `max_map_length` allows {limit}: shorten the list, or set \
         DAGCTL_MAX_MAP_LENGTH to a larger number"
    )]
    TooMany {
        /// How many there would be.
        found: usize,
        /// How many there may be.
        limit: u16,
    },
}

impl Expand {
    /// The items of each instance by name. Of several lists, every combination, the last list's items changing first,
    /// as in Airflow.
    pub fn items(
        &self,
        context: &Context,
        limit: u16,
    ) -> Result<Vec<Map<String, Value>>, ExpandError> {
        let lists = self
            .over
            .iter()
            .map(|(name, value)| Ok((name, list(name, value, context)?)))
            .collect::<Result<Vec<_>, ExpandError>>()?;
        let found = lists
            .iter()
            .fold(1_usize, |all, (_, list)| all.saturating_mul(list.len()));
        if found > usize::from(limit) {
            return Err(ExpandError::TooMany { found, limit });
        }
        let mut items = vec![Map::new()];
        for (name, list) in lists {
            items = items
                .iter()
                .flat_map(|item| {
                    list.iter().map(|value| {
                        let mut item = item.clone();
                        item.insert(name.clone(), value.clone());
                        item
                    })
                })
                .collect();
        }
        Ok(items)
    }

    /// Its names, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.over.iter().map(|(name, _)| name.as_str())
    }

    /// Whether any of its templates may read `name`: none can where no text holds the word.
    pub fn may_read(&self, name: &str) -> bool {
        let mut values = self.over.iter();
        values.any(|(_, it)| it.to_string().contains(name))
    }
}

fn list(name: &str, value: &Value, context: &Context) -> Result<Vec<Value>, ExpandError> {
    let text = || match value {
        Value::String(it) => it.clone(),
        other => other.to_string(),
    };
    let rendered =
        template::render_value(value, context).map_err(|error| ExpandError::Template {
            name: name.to_owned(),
            text: text(),
            message: error.to_string(),
        })?;
    match rendered {
        Value::Array(items) => Ok(items),
        other => Err(ExpandError::NoList {
            name: name.to_owned(),
            text: text(),
            found: described(&other),
        }),
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => format!("`{it}`"),
        Value::Number(it) => format!("the number {it}"),
        Value::String(it) => format!("the text `{}`", it.chars().take(60).collect::<String>()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// What tasks downstream see of a mapped task: each output as a list in map order, of the instances that have it, and
/// how many instances `succeeded`, `failed` and were `skipped`.
pub fn gathered(outputs: Vec<Map<String, Value>>, counts: &Counts) -> Map<String, Value> {
    let mut gathered = Map::new();
    for (key, value) in outputs.into_iter().flatten() {
        if let Value::Array(list) = gathered.entry(key).or_insert_with(|| Value::Array(vec![])) {
            list.push(value);
        }
    }
    gathered.insert("succeeded".to_owned(), counts.succeeded.into());
    gathered.insert("failed".to_owned(), counts.failed.into());
    gathered.insert("skipped".to_owned(), counts.skipped.into());
    gathered
}

/// How many instances of a mapped task ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those that succeeded.
    pub succeeded: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that were skipped.
    pub skipped: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::tests::context;

    fn expand(value: Value) -> Expand {
        let Value::Object(map) = value else {
            panic!("an expand is a map")
        };
        Expand {
            over: map.into_iter().collect(),
        }
    }

    #[test]
    fn several_lists_make_every_combination_and_the_last_changes_first() {
        let items = expand(json!({"a": [1, 2], "b": ["x", "{{ 1 + 2 }}"]})).items(&context(), 4);
        assert_eq!(
            json!(items.unwrap()),
            json!([{"a": 1, "b": "x"}, {"a": 1, "b": 3}, {"a": 2, "b": "x"}, {"a": 2, "b": 3}])
        );
        let none = expand(json!({"a": [1, 2], "b": "{{ [] }}"})).items(&context(), 4);
        assert_eq!(none, Ok(vec![]));
    }

    #[test]
    fn an_expand_knows_its_names_in_order() {
        let expand = expand(json!({"shop": [1], "day": [2]}));
        assert_eq!(expand.names().collect::<Vec<_>>(), ["shop", "day"]);
    }

    #[test]
    fn an_expand_may_read_what_any_of_its_texts_names() {
        let expand = expand(json!({"shop": [1], "day": ["{{ params.day }}"]}));
        assert!(expand.may_read("params") && !expand.may_read("outputs"));
    }

    #[test]
    fn what_is_no_list_and_what_is_too_long_says_so() {
        let error = |value: Value, limit| {
            expand(value)
                .items(&context(), limit)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(json!({"shop": "{{ 'abc' }}"}), 9),
            "`expand` needs a list for `shop`, and `{{ 'abc' }}` is the text `abc`"
        );
        assert_eq!(
            error(
                json!({"a": "{{ range(40) | list }}", "b": "{{ range(30) | list }}"}),
                1024
            ),
            "`expand` makes 1200 instances, and `max_map_length` allows 1024: shorten the list, or set \
             DAGCTL_MAX_MAP_LENGTH to a larger number"
        );
    }

    #[test]
    fn outputs_of_instances_become_lists_in_map_order() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let counts = Counts {
            succeeded: 2,
            failed: 1,
            skipped: 0,
        };
        let all = vec![
            object(json!({"rows": 3})),
            object(json!({"rows": 1, "file": "b"})),
        ];
        assert_eq!(
            json!(gathered(all, &counts)),
            json!({"rows": [3, 1], "file": ["b"], "succeeded": 2, "failed": 1, "skipped": 0})
        );
    }
}
