//! `dagctl trigger`: makes a run, and follows it when asked to.

use dagctl_api::dags::DagDetail;
use dagctl_api::runs::{TriggerRequest, Triggered};
use serde_json::{Map, Value};

use crate::client::{Client, ClientError};
use crate::commands::problems;
use crate::config::{ClientConfig, Environment};
use crate::follow;
use crate::printer::{Format, Printer, Tone};
use crate::secret_key::hex;
use crate::stop::{Ended, Stop};

/// Triggers a run of a DAG.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The DAG to run
    dag_id: String,
    /// Set a param of the DAG; may be repeated
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Set params by a JSON object
    #[arg(short = 'c', long, value_name = "JSON")]
    conf: Option<String>,
    /// Follow the run to its end; exits with 1 if it fails
    #[arg(short = 'w', long)]
    wait: bool,
    /// The moment that the run is for, such as 2026-01-31 or 2026-01-31T08:00:00Z [default: now]
    #[arg(long, alias = "exec-date", short = 'e', value_name = "TIME")]
    logical_date: Option<String>,
    /// The run's name [default: manual__ and the moment]
    #[arg(short = 'r', long)]
    run_id: Option<String>,
    /// A word for those who look at the run later
    #[arg(long)]
    note: Option<String>,
    /// The same key gives the same run, however often it is sent [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How to write the result
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Triggers, follows, and ends as the run ends.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let params = match params(&client, &args).await? {
        Ok(params) => params,
        Err(err) => return Err(problems::explain(&client, &args.dag_id, err).await),
    };
    let request = TriggerRequest {
        params,
        logical_date: args.logical_date.as_deref().map(moment).transpose()?,
        run_id: args.run_id,
        note: args.note,
    };
    let path = ["dags", &args.dag_id, "runs"];
    let key = args.idempotency_key.unwrap_or_else(fresh_key);
    let triggered: Triggered = match client.send_once(&path, &key, &request).await {
        Ok(triggered) => triggered,
        Err(err) => return Err(problems::explain(&client, &args.dag_id, err).await),
    };
    let run = triggered.run;
    let link = client.link(&run.path);
    if args.wait {
        return follow::run(&client, run, args.output, printer).await;
    }
    match args.output {
        Format::Table => {
            printer.data(format_args!(
                "Triggered {}, run {}",
                printer.paint(Tone::Strong, &run.dag_id),
                run.run_id
            ));
            printer.say(format_args!(
                "See it at {link}, or: dagctl runs show {} {}",
                run.dag_id, run.run_id
            ));
        }
        Format::Json | Format::Yaml => printer.record(args.output, &run, &[]),
    }
    Ok(())
}

/// Reads `--conf`, then `-p`, which wins. A text becomes what the DAG's param may be.
async fn params(
    client: &Client,
    args: &Args,
) -> Result<Result<Map<String, Value>, ClientError>, Stop> {
    let mut params = match args.conf.as_deref().map(serde_json::from_str::<Value>) {
        None => Map::new(),
        Some(Ok(Value::Object(conf))) => conf,
        Some(Ok(other)) => {
            return Err(Stop::broken(format_args!(
                "--conf must be a JSON object such as '{{\"day\": \"2026-01-31\"}}', found `{other}`"
            )));
        }
        Some(Err(err)) => {
            return Err(Stop::broken(format_args!(
                "--conf is not JSON ({err}): expected an object such as '{{\"day\": \"2026-01-31\"}}'"
            )));
        }
    };
    if args.params.is_empty() {
        return Ok(Ok(params));
    }
    let dag: DagDetail = match client.get(&["dags", &args.dag_id]).await {
        Ok(dag) => dag,
        Err(err) => return Ok(Err(err)),
    };
    for text in &args.params {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Stop::broken(format_args!(
                "`-p {text}`: expected NAME=VALUE, such as -p day=2026-01-31"
            ))
        })?;
        let types = dag
            .params
            .iter()
            .find(|it| it.name == name)
            .map_or(&[] as &[String], |it| &it.types);
        params.insert(name.to_owned(), value_of(value, types));
    }
    Ok(Ok(params))
}

/// A text stays a text where the param may be one; else it is read as JSON, where it is JSON.
fn value_of(text: &str, types: &[String]) -> Value {
    let may_be_text = types.iter().any(|it| it == "string");
    if may_be_text {
        return Value::from(text);
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// A day alone means its midnight in UTC.
fn moment(text: &str) -> Result<String, Stop> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(moment.to_string());
    }
    text.parse::<jiff::civil::DateTime>()
        .ok()
        .and_then(|it| it.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|it| it.timestamp().to_string())
        .ok_or_else(|| {
            Stop::broken(format_args!(
                "`{text}` is not a moment: expected one such as 2026-01-31 or 2026-01-31T08:00:00Z"
            ))
        })
}

/// A text that no other trigger sends, so that a repeated request makes no second run.
fn fresh_key() -> String {
    hex(&rand::random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_param_is_read_as_what_the_dag_says_it_is() {
        let types = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(value_of("7", &types(&["string"])), json!("7"));
        assert_eq!(value_of("7", &types(&["integer"])), json!(7));
        assert_eq!(value_of("[1]", &types(&[])), json!([1]));
        assert_eq!(value_of("a=b", &types(&[])), json!("a=b"));
    }

    #[test]
    fn a_day_alone_is_its_midnight() {
        assert_eq!(moment("2026-01-31").unwrap(), "2026-01-31T00:00:00Z");
        assert_eq!(
            moment("2026-01-31T08:00:00+09:00").unwrap(),
            "2026-01-30T23:00:00Z"
        );
        assert!(moment("yesterday").is_err());
    }
}
