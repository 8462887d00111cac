//! `GET /variables`, `GET`, `PUT` and `DELETE /variables/{name}`, and the same of `/connections/{conn_id}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use dagctl_api::settings::{Connection, ConnectionWrite, Saved, Variable, VariableWrite};
use dagctl_core::connection::Secret;
use dagctl_engine::settings::{ConnectionChange, ConnectionText, VariableChange};
use dagctl_store::audit::AuditEntry;

use super::{Body, convert};
use crate::App;
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/variables", get(variables))
        .route(
            "/api/v1/variables/{name}",
            get(variable).put(put_variable).delete(delete_variable),
        )
        .route("/api/v1/connections", get(connections))
        .route(
            "/api/v1/connections/{conn_id}",
            get(connection)
                .put(put_connection)
                .delete(delete_connection),
        )
}

/// Every variable, wherever it comes from.
async fn variables(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Variable>>> {
    let all = app.engine().settings().list_variables().await?;
    Ok(Json(all.into_iter().map(convert::variable).collect()))
}

/// A variable.
async fn variable(
    State(app): State<App>,
    _: Viewer,
    Path(name): Path<String>,
) -> Answer<Json<Variable>> {
    match app.engine().settings().get_variable(&name).await? {
        Some(it) => Ok(Json(convert::variable(it))),
        None => Err(Failure::not_found(format!("there is no variable `{name}`"))
            .hint(format!("`dagctl variables set {name} VALUE` sets it"))),
    }
}

/// Sets a variable in the database.
async fn put_variable(
    State(app): State<App>,
    operator: Operator,
    Path(name): Path<String>,
    Body(write): Body<VariableWrite>,
) -> Answer<Json<Saved>> {
    let warnings = save_variable(&app, &operator, &name, write).await?;
    Ok(Json(Saved { warnings }))
}

/// Sets a variable in the database, and remembers who did.
pub(crate) async fn save_variable(
    app: &App,
    caller: &Caller,
    name: &str,
    write: VariableWrite,
) -> Answer<Vec<String>> {
    let warnings = app
        .engine()
        .settings()
        .set_variable(VariableChange {
            name: name.to_owned(),
            value: write.value.map(Secret::new),
            is_secret: write.is_secret,
            description: write.description,
            by: caller.name().to_owned(),
        })
        .await?;
    audit(app, caller, "variable.set", name).await?;
    Ok(warnings)
}

/// Deletes a variable from the database.
async fn delete_variable(
    State(app): State<App>,
    operator: Operator,
    Path(name): Path<String>,
) -> Answer<Json<Saved>> {
    let warnings = remove_variable(&app, &operator, &name).await?;
    Ok(Json(Saved { warnings }))
}

/// Deletes a variable from the database, and remembers who did.
pub(crate) async fn remove_variable(app: &App, caller: &Caller, name: &str) -> Answer<Vec<String>> {
    let warnings = app.engine().settings().delete_variable(name).await?;
    audit(app, caller, "variable.delete", name).await?;
    Ok(warnings)
}

/// Every connection, wherever it comes from, without secrets.
async fn connections(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Connection>>> {
    let all = app.engine().settings().list_connections().await?;
    Ok(Json(all.into_iter().map(convert::connection).collect()))
}

/// A connection without its secrets.
async fn connection(
    State(app): State<App>,
    _: Viewer,
    Path(conn_id): Path<String>,
) -> Answer<Json<Connection>> {
    match app.engine().settings().get_connection(&conn_id).await? {
        Some(it) => Ok(Json(convert::connection(it))),
        None => Err(
            Failure::not_found(format!("there is no connection `{conn_id}`"))
                .hint(format!("`dagctl connections add {conn_id} URI` adds it")),
        ),
    }
}

/// Sets a connection in the database.
async fn put_connection(
    State(app): State<App>,
    operator: Operator,
    Path(conn_id): Path<String>,
    Body(write): Body<ConnectionWrite>,
) -> Answer<Json<Saved>> {
    let warnings = save_connection(&app, &operator, &conn_id, write).await?;
    Ok(Json(Saved { warnings }))
}

/// Sets a connection in the database, and remembers who did.
pub(crate) async fn save_connection(
    app: &App,
    caller: &Caller,
    conn_id: &str,
    write: ConnectionWrite,
) -> Answer<Vec<String>> {
    let description = write.description.clone();
    let warnings = app
        .engine()
        .settings()
        .set_connection(ConnectionChange {
            conn_id: conn_id.to_owned(),
            text: connection_text(conn_id, write)?,
            description,
            by: caller.name().to_owned(),
        })
        .await?;
    audit(app, caller, "connection.set", conn_id).await?;
    Ok(warnings)
}

fn connection_text(conn_id: &str, write: ConnectionWrite) -> Answer<ConnectionText> {
    if let Some(uri) = write.uri {
        let has_parts = write.conn_type.is_some()
            || write.host.is_some()
            || write.port.is_some()
            || write.schema.is_some()
            || write.login.is_some()
            || write.password.is_some()
            || write.extra.is_some();
        if has_parts {
            return Err(Failure::bad_request(
                "send either `uri` or the parts of a connection, not both",
            ));
        }
        return Ok(ConnectionText::Whole(Secret::new(uri)));
    }
    let Some(conn_type) = write.conn_type else {
        return Err(Failure::bad_request(
            "a connection needs a `uri`, or its parts with at least `conn_type`",
        ));
    };
    Ok(ConnectionText::Parts {
        keeps_password: write.password.is_none(),
        keeps_extra: write.extra.is_none(),
        connection: Box::new(dagctl_core::connection::Connection {
            conn_id: conn_id.to_owned(),
            conn_type,
            host: write.host,
            port: write.port,
            schema: write.schema,
            login: write.login,
            password: write.password.filter(|it| !it.is_empty()).map(Secret::new),
            extra: write.extra.unwrap_or_default(),
        }),
    })
}

/// Deletes a connection from the database.
async fn delete_connection(
    State(app): State<App>,
    operator: Operator,
    Path(conn_id): Path<String>,
) -> Answer<Json<Saved>> {
    let warnings = remove_connection(&app, &operator, &conn_id).await?;
    Ok(Json(Saved { warnings }))
}

/// Deletes a connection from the database, and remembers who did.
pub(crate) async fn remove_connection(
    app: &App,
    caller: &Caller,
    conn_id: &str,
) -> Answer<Vec<String>> {
    let warnings = app.engine().settings().delete_connection(conn_id).await?;
    audit(app, caller, "connection.delete", conn_id).await?;
    Ok(warnings)
}

async fn audit(app: &App, caller: &Caller, action: &str, object: &str) -> Answer<()> {
    app.store()
        .audit(AuditEntry {
            who: caller.name(),
            action,
            object,
            ..AuditEntry::default()
        })
        .await?;
    Ok(())
}
