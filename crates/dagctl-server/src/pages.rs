//! Pages, filled from the templates in `web/templates`, one subject a file.

mod account;
mod backfills;
mod badge;
mod chrome;
mod connections;
mod dag;
mod dags;
mod definition;
pub(crate) mod filters;
mod graph;
pub(crate) mod links;
mod log_text;
mod login;
mod moment;
mod news;
mod param_form;
mod problems;
mod run;
mod task;
mod trigger;
mod variables;
mod workers;

use askama::Template;
use axum::response::Html;

pub(crate) use self::chrome::Chrome;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::default()
        .merge(login::routes())
        .merge(dags::routes())
        .merge(dag::routes())
        .merge(backfills::routes())
        .merge(definition::routes())
        .merge(trigger::routes())
        .merge(run::routes())
        .merge(task::routes())
        .merge(variables::routes())
        .merge(connections::routes())
        .merge(problems::routes())
        .merge(workers::routes())
        .merge(account::routes())
}

fn page(template: &impl Template) -> Answer<Html<String>> {
    template.render().map(Html).map_err(Failure::internal)
}
