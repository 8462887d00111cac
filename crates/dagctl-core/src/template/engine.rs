//! The Jinja engine with our filters and limits, and nothing of the world in it.

use std::sync::OnceLock;

use minijinja::value::{Rest, from_args};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::moment::{self, Moment};
use super::{escape_slack, syntax};
use crate::sql_text;

/// How much work a template may make; one unit is one instruction or 64 bytes.
const FUEL: u64 = 250_000;

/// How long a rendered text may be.
pub(super) const MAX_OUTPUT: usize = 1024 * 1024;

/// The engine as every template starts with it.
pub(super) fn environment() -> Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(build).clone()
}

/// The engine that writes [`MARK`] before each value, so that an empty one is seen as well.
pub(super) fn marking_environment() -> Environment<'static> {
    let mut environment = environment();
    environment.set_formatter(|out, _, value| {
        out.write_str(MARK)?;
        out.write_str(&value.to_string())?;
        Ok(())
    });
    environment
}

/// The same, with each value as JSON, for a language whose literals have types.
pub(super) fn json_marking_environment() -> Environment<'static> {
    let mut environment = environment();
    environment.set_formatter(|out, _, value| {
        out.write_str(MARK)?;
        out.write_str(&to_json(value, Rest(Vec::new()))?)?;
        Ok(())
    });
    environment
}

/// What [`marking_environment`] writes before a value.
pub(super) const MARK: &str = "=";

/// The engine that writes values so that Slack takes them as text.
pub(super) fn slack_environment() -> Environment<'static> {
    let mut environment = environment();
    environment.set_formatter(|out, _, value| {
        out.write_str(&escape_slack(&value.to_string()))?;
        Ok(())
    });
    environment
}

fn build() -> Environment<'static> {
    let mut it = Environment::new();
    it.set_syntax(syntax::config());
    it.set_undefined_behavior(UndefinedBehavior::Strict);
    it.set_fuel(Some(FUEL));
    it.set_recursion_limit(100);
    // Names the ranges of errors in the source.
    it.set_debug(true);
    it.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    it.set_unknown_method_callback(method);
    // It would print everything a template can see.
    it.remove_global("debug");

    it.add_filter("ident", ident);
    it.add_filter("tojson", to_json);
    it.add_filter("strftime", |value: &Value, pattern: &str| {
        moment::strftime(&Moment::read(value)?, pattern)
    });
    it.add_filter("ds", |value: &Value| {
        Ok::<_, Error>(moment::ds(&Moment::read(value)?))
    });
    it.add_filter("ds_nodash", |value: &Value| {
        Ok::<_, Error>(moment::ds_nodash(&Moment::read(value)?))
    });
    it.add_filter("ts", |value: &Value| {
        Ok::<_, Error>(moment::ts(&Moment::read(value)?))
    });
    it.add_filter("ts_nodash", |value: &Value| {
        Ok::<_, Error>(moment::ts_nodash(&Moment::read(value)?))
    });
    it
}

/// `macros`.
pub(super) fn macros() -> Value {
    Value::from_pairs([
        (
            "ds_add",
            Value::from_function(|date: &Value, days: i64| moment::ds_add(date, days)),
        ),
        (
            "ds_format",
            Value::from_function(|text: &str, from: &str, to: &str| {
                moment::ds_format(text, from, to)
            }),
        ),
        (
            "datetime",
            Value::from_function(|text: &Value| Moment::read(text).map(Moment::value)),
        ),
    ])
}

fn ident(name: &Value) -> Result<String, Error> {
    match name.as_str() {
        Some("") | None => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("an SQL name must be a text that is not empty, and this is {name:?}"),
        )),
        Some(name) if name.contains('\0') => Err(Error::new(
            ErrorKind::InvalidOperation,
            "an SQL name must not hold a zero byte",
        )),
        Some(name) => Ok(sql_text::ident(name)),
    }
}

/// Plain JSON; the engine's own `tojson` escapes for HTML, which nothing here is.
fn to_json(value: &Value, args: Rest<Value>) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let pretty = from_args::<(Option<minijinja::value::Kwargs>,)>(&args)?
        .0
        .map(|kwargs| {
            let indent = kwargs.get::<Option<usize>>("indent")?;
            kwargs.assert_all_used()?;
            Ok::<_, Error>(indent.is_some())
        })
        .transpose()?
        .unwrap_or_default();
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    text.map_err(|error| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("this cannot be written as JSON: {error}"),
        )
    })
}

/// The methods of Python's texts and maps that templates written for Airflow call.
fn method(
    _state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return of_text(text, name, args);
    }
    if let Some(object) = value.as_object()
        && object.repr() == minijinja::value::ObjectRepr::Map
    {
        match name {
            "get" => {
                let (key, default) = from_args::<(&Value, Option<Value>)>(args)?;
                return Ok(object
                    .get_value(key)
                    .unwrap_or_else(|| default.unwrap_or(Value::from(()))));
            }
            "keys" => {
                from_args::<()>(args)?;
                return Ok(Value::from_iter(value.try_iter()?));
            }
            "values" => {
                from_args::<()>(args)?;
                let values = value.try_iter()?.map(|key| value.get_item(&key));
                return Ok(Value::from(values.collect::<Result<Vec<_>, _>>()?));
            }
            _ => {}
        }
    }
    Err(ErrorKind::UnknownMethod.into())
}

fn of_text(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let chars = |args| -> Result<Vec<char>, Error> {
        let (chars,) = from_args::<(Option<&str>,)>(args)?;
        Ok(chars.unwrap_or(" \t\r\n\x0b\x0c").chars().collect())
    };
    Ok(match name {
        "upper" => {
            from_args::<()>(args)?;
            Value::from(text.to_uppercase())
        }
        "lower" => {
            from_args::<()>(args)?;
            Value::from(text.to_lowercase())
        }
        "strip" => Value::from(text.trim_matches(chars(args)?.as_slice())),
        "lstrip" => Value::from(text.trim_start_matches(chars(args)?.as_slice())),
        "rstrip" => Value::from(text.trim_end_matches(chars(args)?.as_slice())),
        "startswith" => Value::from(text.starts_with(from_args::<(&str,)>(args)?.0)),
        "endswith" => Value::from(text.ends_with(from_args::<(&str,)>(args)?.0)),
        "replace" => {
            let (from, to) = from_args::<(&str, &str)>(args)?;
            let grown = text.matches(from).count().saturating_mul(to.len());
            if grown > MAX_OUTPUT {
                return Err(ErrorKind::OutOfFuel.into());
            }
            Value::from(text.replace(from, to))
        }
        "split" => match from_args::<(Option<&str>,)>(args)?.0 {
            Some("") => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "`split` needs a separator that is not empty",
                ));
            }
            Some(separator) => Value::from_iter(text.split(separator)),
            None => Value::from_iter(text.split_whitespace()),
        },
        _ => return Err(ErrorKind::UnknownMethod.into()),
    })
}
