//! Operators that wait without a worker: sensors, `trigger_dagrun`, `approval`.

use std::time::Duration;

use dagctl_core::duration::human;
use dagctl_core::operator::{
    Answer, Approval, ExternalTaskSensor, FileSensor, HttpSensor, SqlSensor, TimeSensor,
    TriggerDagrun,
};
use dagctl_core::poke::{self, MOST_POKES, Poking};
use dagctl_core::state::{RunState, Verdict};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::operator::{http, json_map, sql_of, template};
use super::task::Site;
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::lint::Names;
use crate::reader::Choice;
use crate::sources::Session;
use crate::yaml::Node;

const VERDICTS: Choice<'_, Verdict> = Choice {
    works: &[
        ("success", Verdict::Success),
        ("failed", Verdict::Failed),
        ("upstream_failed", Verdict::UpstreamFailed),
        ("skipped", Verdict::Skipped),
    ],
    not_yet: &[],
};

/// How a run as a whole ends.
const ENDS: Choice<'_, Verdict> = Choice {
    works: &[("success", Verdict::Success), ("failed", Verdict::Failed)],
    not_yet: &[],
};

const RUN_STATES: Choice<'_, RunState> = Choice {
    works: &[("success", RunState::Success), ("failed", RunState::Failed)],
    not_yet: &[],
};

const ANSWERS: Choice<'_, Answer> = Choice {
    works: &[("approve", Answer::Approve), ("reject", Answer::Reject)],
    not_yet: &[],
};

pub(super) fn sql_sensor(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<SqlSensor> {
    let query = sql_of(session, site, layers);
    let poking = poking(session, site, layers);
    let (conn_id, sql, parameters) = query?;
    Some(SqlSensor {
        conn_id,
        sql,
        parameters,
        poking,
    })
}

pub(super) fn http_sensor(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<HttpSensor> {
    let request = http(session, site, layers);
    let poking = poking(session, site, layers);
    Some(HttpSensor {
        request: request?,
        poking,
    })
}

pub(super) fn file_sensor(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<FileSensor> {
    let at = (site.place, &*site.what());
    let filepath = layers.require(session, at, "filepath", plain);
    let poking = poking(session, site, layers);
    Some(FileSensor {
        filepath: filepath?,
        poking,
    })
}

pub(super) fn external_task_sensor(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<ExternalTaskSensor> {
    let at = (site.place, &*site.what());
    let external_dag_id = layers.require(session, at, "external_dag_id", plain);
    let external_task_ids = layers.read(session, "external_task_id", |session, node, field| {
        let items = session.items(node);
        let texts: Vec<_> = items.iter().map(|it| plain(session, it, field)).collect();
        texts.into_iter().collect::<Option<Vec<_>>>()
    });
    let words = match layers.get("external_task_id") {
        Some(_) => &VERDICTS,
        None => &ENDS,
    };
    let allowed = states(session, layers, "allowed_states", words);
    let failed = states(session, layers, "failed_states", words);
    let execution_delta = layers.read(session, "execution_delta", Session::duration);
    let check_existence = layers.read(session, "check_existence", Session::boolean);
    let poking = poking(session, site, layers);
    Some(ExternalTaskSensor {
        external_dag_id: external_dag_id?,
        external_task_ids: external_task_ids.unwrap_or_default(),
        allowed_states: allowed.unwrap_or_else(|| vec![Verdict::Success]),
        failed_states: failed.unwrap_or_default(),
        execution_delta: execution_delta.unwrap_or_default(),
        check_existence: check_existence.unwrap_or_default(),
        poking,
    })
}

pub(super) fn time_sensor(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<TimeSensor> {
    let at = (site.place, &*site.what());
    let target_time = layers.require(session, at, "target_time", |session, node, field| {
        let text = plain(session, node, field)?;
        if is_fixed(&text)
            && let Err(problem) = poke::target_time(&text, &TimeZone::UTC, Timestamp::UNIX_EPOCH)
        {
            session
                .report(
                    Code::BadDate,
                    node.place,
                    format!("`{field}: {text}`: {problem}"),
                )
                .hint("write `target_time: \"14:30\"`, in the DAG's time zone");
            return None;
        }
        Some(text)
    });
    let poking = Poking {
        timeout: at_least_a_second(session, layers, "timeout").unwrap_or(Poking::default().timeout),
        soft_fail: layers
            .read(session, "soft_fail", Session::boolean)
            .unwrap_or_default(),
        ..Poking::default()
    };
    Some(TimeSensor {
        target_time: target_time?,
        poking,
    })
}

pub(super) fn trigger_dagrun(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<TriggerDagrun> {
    let at = (site.place, &*site.what());
    let trigger_dag_id = layers.require(session, at, "trigger_dag_id", plain);
    let conf = layers.read(session, "conf", json_map);
    let logical_date = layers.read(session, "logical_date", |session, node, field| {
        let text = plain(session, node, field)?;
        if is_fixed(&text) && poke::moment(&text, &TimeZone::UTC).is_none() {
            session
                .report(Code::BadDate, node.place, format!("`{field}: {text}` is no date"))
                .hint("write `2026-01-31`, `2026-01-31T08:00:00` or a template such as `\"{{ logical_date }}\"`");
            return None;
        }
        Some(text)
    });
    let wait = layers.read(session, "wait_for_completion", Session::boolean);
    let allowed = states(session, layers, "allowed_states", &RUN_STATES);
    let failed = states(session, layers, "failed_states", &RUN_STATES);
    Some(TriggerDagrun {
        trigger_dag_id: trigger_dag_id?,
        conf: conf.unwrap_or_default(),
        logical_date,
        wait_for_completion: wait.unwrap_or_default(),
        allowed_states: allowed.unwrap_or_else(|| vec![RunState::Success]),
        failed_states: failed.unwrap_or_else(|| vec![RunState::Failed]),
    })
}

pub(super) fn approval(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<Approval> {
    let at = (site.place, &*site.what());
    let subject = layers.require(session, at, "subject", plain);
    let body = layers.read(session, "body", plain);
    let timeout = at_least_a_second(session, layers, "timeout");
    let default = layers.read(session, "default", |session, node, field| {
        session.choice(node, field, &ANSWERS)
    });
    if let Some(entry) = layers.get("default")
        && layers.get("timeout").is_none()
    {
        session
            .report(
                Code::MissingField,
                entry.key_place,
                "`default` is the answer when time runs out, and there is no `timeout`",
            )
            .hint("add `timeout: 8h`, or leave out `default`");
    }
    Some(Approval {
        subject: subject?,
        body,
        timeout,
        default,
    })
}

fn poking(session: &mut Session<'_>, site: &Site<'_>, layers: &Layers<'_>) -> Poking {
    let default = Poking::default();
    let poke_interval = at_least_a_second(session, layers, "poke_interval");
    let timeout = at_least_a_second(session, layers, "timeout");
    let max_wait = at_least_a_second(session, layers, "max_wait");
    let soft_fail = layers.read(session, "soft_fail", Session::boolean);
    let backoff = layers.read(session, "exponential_backoff", Session::boolean);
    let poking = Poking {
        poke_interval: poke_interval.unwrap_or(default.poke_interval),
        timeout: timeout.unwrap_or(default.timeout),
        soft_fail: soft_fail.unwrap_or_default(),
        exponential_backoff: backoff.unwrap_or_default(),
        max_wait,
    };
    if poking.pokes_within_timeout() > MOST_POKES {
        let entry = layers.get("poke_interval").or(layers.get("timeout"));
        let place = entry.map_or(site.place, |it| it.value.place);
        let message = format!(
            "`poke_interval: {}` looks more than {MOST_POKES} times within `timeout: {}`",
            human(poking.poke_interval),
            human(poking.timeout)
        );
        session.report(Code::BadValue, place, message).hint(
            "make `poke_interval` longer or `timeout` shorter, or write `exponential_backoff: true`",
        );
    }
    poking
}

fn at_least_a_second(
    session: &mut Session<'_>,
    layers: &Layers<'_>,
    field: &str,
) -> Option<Duration> {
    layers.read(session, field, |session, node, field| {
        let it = session.duration(node, field)?;
        if it.is_zero() {
            session.report(
                Code::BadValue,
                node.place,
                format!("`{field}` must be `1s` or more"),
            );
            return None;
        }
        Some(it)
    })
}

fn states<T: Copy>(
    session: &mut Session<'_>,
    layers: &Layers<'_>,
    field: &str,
    words: &Choice<'_, T>,
) -> Option<Vec<T>> {
    layers.read(session, field, |session, node, field| {
        let items = session.items(node);
        let states: Vec<_> = items
            .iter()
            .map(|it| session.choice(it, field, words))
            .collect();
        states.into_iter().collect()
    })
}

fn plain(session: &mut Session<'_>, node: &Node, field: &str) -> Option<String> {
    template(session, node, field, Names::None)
}

/// Whether a text is what it is, and no template.
fn is_fixed(text: &str) -> bool {
    !text.contains("{{") && !text.contains("{%")
}
