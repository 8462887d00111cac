//! The notifier: sends what stands in the outbox, under a lease, until it has arrived or nobody can know.

use std::time::Duration;

use anyhow::Context as _;
use dagctl_core::callback::{Notifier as Told, SlackNotifier};
use dagctl_core::connection::Connection;
use dagctl_core::ids::MapIndex;
use dagctl_core::notice::{self, Markup, Notice};
use dagctl_core::template::{self, Context, ContextFacts, Quoting};
use dagctl_runner::email::{self, Letter};
use dagctl_runner::{Delivery, http, slack};
use dagctl_store::notices::{Doubt, DueNotice, SendResult};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::Engine;
use crate::notice_payload;
use crate::reconcile::Service;
use crate::settings::Snapshot;

/// How long a send may take before somebody else may try.
const LEASE: Duration = Duration::from_secs(60);
/// Slack takes one message a second of a webhook.
const BETWEEN: Duration = Duration::from_secs(1);
/// Messages of one pass at most; between passes the notifier can be stopped.
const MOST_A_PASS: usize = 10;
/// After this a message that could not be delivered stays in the outbox as such.
const GIVE_UP_AFTER: f64 = 72.0 * 3600.0;
/// After so many sends that may have arrived, no other is made.
const MOST_DOUBTFUL: i16 = 2;

/// Sends what stands in the outbox.
pub struct Notifier {
    engine: Engine,
    client: dagctl_runner::http::Client,
}

impl Notifier {
    /// A notifier for the engine's database.
    pub fn new(engine: Engine) -> Self {
        let client = dagctl_runner::http::client();
        Self { engine, client }
    }

    async fn send(&self, notice: &DueNotice) -> SendResult {
        let settings = match self.engine.settings().snapshot().await {
            Ok(it) => it,
            Err(error) => return later(notice, format!("{error:#}"), Doubt::None, None),
        };
        let delivery = self.deliver(notice, &settings).await;
        // What the other side says may hold what it was told.
        let masked = |error: String| settings.masker().mask(&error).into_owned();
        match delivery {
            Ok(Delivery::Sent) => SendResult::Sent,
            Ok(Delivery::RetryAfter(delay)) => later(
                notice,
                format!("the other side asked us to wait {}s", delay.as_secs()),
                Doubt::None,
                Some(delay),
            ),
            Ok(Delivery::Retry(error)) => later(notice, masked(error), Doubt::None, None),
            Ok(Delivery::Doubtful(error)) if notice.doubtful + 1 >= MOST_DOUBTFUL => {
                SendResult::Unknown {
                    error: masked(error),
                }
            }
            Ok(Delivery::Doubtful(error)) => later(notice, masked(error), Doubt::Some, None),
            Ok(Delivery::Refused(error)) => SendResult::GivenUp {
                error: masked(error),
            },
            Err(error) => later(notice, masked(format!("{error:#}")), Doubt::None, None),
        }
    }

    /// Records what became of a send, as long as its lease may hold: what is not recorded is sent again.
    async fn settle(
        &self,
        notice: &DueNotice,
        result: &SendResult,
        taken: Instant,
    ) -> anyhow::Result<()> {
        let is_ours = loop {
            match self.engine.store().settle_notice(notice, result).await {
                Ok(is_ours) => break is_ours,
                Err(error) if taken.elapsed() > LEASE => return Err(error.into()),
                Err(error) => warn!(
                    "What became of message {} waits for the database: {error}",
                    notice.notice_id
                ),
            }
            sleep(Duration::from_millis(500)).await;
        };
        if !is_ours {
            warn!(
                "Message {} was taken over by another sender",
                notice.notice_id
            );
        }
        Ok(())
    }

    async fn deliver(&self, due: &DueNotice, settings: &Snapshot) -> anyhow::Result<Delivery> {
        let notice = notice_payload::notice(due);
        // Messages that were written before they were facts bear their text.
        let text = |markup| match due.payload["text"].as_str() {
            Some(text) => text.to_owned(),
            None => notice.text(markup),
        };
        match notice_payload::notifier(&due.payload) {
            Told::Slack(it) => {
                let url = self.webhook(&it, settings)?;
                let text = match &it.text {
                    Some(template) => {
                        let context = self.context(due, settings).await?;
                        custom(&notice, template, &context, Markup::Slack)
                    }
                    None => text(Markup::Slack),
                };
                let payload = notice::payload(&it, &text);
                Ok(slack::post(&self.client, &url, &payload).await)
            }
            Told::Http(mut it) => {
                let context = self.context(due, settings).await?;
                let context = context.with_error(notice.error_value());
                let data = match it.data.take() {
                    Some(data) => template::render_value(&data, &context)
                        .map_err(|err| anyhow::anyhow!("cannot render `data`: {err}"))?,
                    None => notice.as_value(),
                };
                let connections = settings.connections();
                let key = format!("dagctl-notice-{}", due.notice_id);
                Ok(http::tell(&self.client, &it, data, &context, connections, &key).await)
            }
            Told::Email(it) => {
                let connection = connection(settings, &it.conn_id)?;
                let context = self.context(due, settings).await?;
                let words = |template: &Option<String>, default: String| match template {
                    Some(template) => custom(&notice, template, &context, Markup::Plain),
                    None => default,
                };
                let known = context.clone().with_error(notice.error_value());
                let to = it.to.iter().map(|it| {
                    template::render(it, &known, Quoting::Plain)
                        .map_err(|err| anyhow::anyhow!("cannot render `to`: {err}"))
                });
                let letter = Letter {
                    from: it.from_email.clone(),
                    to: to.collect::<anyhow::Result<_>>()?,
                    subject: words(&it.subject, notice.subject()),
                    text: words(&it.text, text(Markup::Plain)),
                    message_id: format!("<notice-{}@dagctl>", due.notice_id),
                };
                Ok(email::send(connection, &letter).await)
            }
        }
    }

    fn webhook(&self, notifier: &SlackNotifier, settings: &Snapshot) -> anyhow::Result<url::Url> {
        let webhook = match &notifier.slack_webhook_conn_id {
            Some(conn_id) => connection(settings, conn_id)?
                .password
                .as_ref()
                .map(|it| it.expose().to_owned())
                .with_context(|| {
                    format!("connection `{conn_id}` has no password, where the webhook belongs")
                })?,
            None => settings.variables().get("slack_url").cloned().context(
                "Variable `slack_url` is not set: run `dagctl variables set slack_url URL`",
            )?,
        };
        Ok(slack::webhook_url(
            &self.engine.config().slack_base_url,
            &webhook,
        )?)
    }

    async fn context(&self, notice: &DueNotice, settings: &Snapshot) -> anyhow::Result<Context> {
        let store = self.engine.store();
        let dag_id = notice.payload["dag_id"].as_str().unwrap_or_default();
        let run_id = notice.payload["run_id"].as_str().unwrap_or_default();
        let (dag_key, _) = store.find_dag(dag_id).await?.context("its DAG is gone")?;
        let run = store
            .find_run(dag_key, run_id)
            .await?
            .context("its run is gone")?;
        let run = store
            .run_contexts(&[run])
            .await?
            .pop()
            .context("its run is gone")?;
        let dag = self
            .engine
            .inner
            .dags
            .get(store, run.dag_version_id)
            .await?;
        let task = notice.payload["task_index"]
            .as_i64()
            .and_then(|it| i32::try_from(it).ok())
            .and_then(|it| dag.task(dagctl_core::ids::TaskIndex(it)));
        Ok(Context::new(ContextFacts {
            dag_id: dag_id.to_owned(),
            dag_owner: dag
                .tasks()
                .iter()
                .find_map(|it| it.owner.clone())
                .unwrap_or_default(),
            tags: dag.spec.tags.clone(),
            task_id: task.map(|it| it.task_id.to_string()).unwrap_or_default(),
            task_owner: task.and_then(|it| it.owner.clone()).unwrap_or_default(),
            run_id: run.run_id,
            run_type: run.run_type.name().to_owned(),
            commit: run.commit.unwrap_or_default(),
            logical_date: run.logical_at,
            data_interval_start: run.interval_start,
            data_interval_end: run.interval_end,
            timezone: dag.spec.timezone.clone(),
            params: run.params,
            outputs: Default::default(),
            variables: settings.variables().clone(),
            connections: settings.connections().clone(),
            run_dir: String::new(),
            asset_events: std::collections::BTreeMap::new(),
            map_index: MapIndex::UNMAPPED.get(),
            items: serde_json::Map::new(),
            try_number: notice.payload["attempt"]
                .as_i64()
                .and_then(|it| i16::try_from(it).ok())
                .unwrap_or(0),
        }))
    }
}

impl Service for Notifier {
    fn name(&self) -> &'static str {
        "notifier"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        for _ in 0..MOST_A_PASS {
            let next = self.engine.store().next_notice().await?;
            if next != Some(Duration::ZERO) {
                return Ok(next);
            }
            // One at a time: a lease that covers many sends would run out while Slack is slow.
            let Some(notice) = self.engine.store().take_notices(1, LEASE).await?.pop() else {
                // Somebody else is taking it.
                return Ok(Some(BETWEEN));
            };
            let taken = Instant::now();
            let result = self.send(&notice).await;
            match &result {
                SendResult::Sent => info!("Sent message {}", notice.notice_id),
                SendResult::Later { error, .. } => {
                    warn!("Message {} waits: {error}", notice.notice_id)
                }
                SendResult::Unknown { error } => warn!(
                    "Message {} may have arrived twice or not at all: {error}",
                    notice.notice_id
                ),
                SendResult::GivenUp { error } => {
                    warn!("Message {} was given up: {error}", notice.notice_id)
                }
            }
            self.settle(&notice, &result, taken).await?;
            sleep(BETWEEN).await;
        }
        Ok(Some(Duration::ZERO))
    }
}

/// A notifier's own words. What they cannot say is said by the default ones: a message in other words beats none.
fn custom(notice: &Notice, template: &str, context: &Context, markup: Markup) -> String {
    let own = notice.custom_text(template, context, markup);
    own.unwrap_or_else(|problem| {
        let text = notice.text(markup);
        format!("{text}\n(the notifier's own text could not be made: {problem})")
    })
}

fn connection<'s>(settings: &'s Snapshot, conn_id: &str) -> anyhow::Result<&'s Connection> {
    settings.connections().get(conn_id).with_context(|| {
        format!("connection `{conn_id}` is not defined: run `dagctl connections add {conn_id}`")
    })
}

fn later(notice: &DueNotice, error: String, doubt: Doubt, asked: Option<Duration>) -> SendResult {
    if notice.age_seconds > GIVE_UP_AFTER {
        return SendResult::GivenUp { error };
    }
    let doublings = u32::try_from(notice.sends.clamp(0, 9)).unwrap_or(0);
    let pause = Duration::from_secs(1 << doublings).min(Duration::from_secs(300));
    SendResult::Later {
        delay: asked.unwrap_or(pause),
        error,
        doubt,
    }
}
