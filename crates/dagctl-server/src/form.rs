//! What a page's form sends, taken only with the token that the page was given.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use url::form_urlencoded;

use crate::App;
use crate::auth::Caller;
use crate::error::Failure;

/// The fields of a form. Extracting it checks that the form came from one of our own pages.
#[derive(Debug)]
pub(crate) struct Form(Fields);

/// The fields of a form, in its order.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of a field; empty where the form does not have it.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(it, _)| it == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// The value of a field without spaces around it, if there is one.
    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        let text = self.text(name).trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether a box is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    pub(crate) async fn read(request: Request, app: &App) -> Result<Self, Failure> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|it| it.to_str().ok())
            .is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bad_request",
                "this address takes a form",
            ));
        }
        let body = Bytes::from_request(request, app).await.map_err(|error| {
            Failure::unreadable(error.status(), "the form could not be read".to_owned())
        })?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}

impl std::ops::Deref for Form {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl FromRequest<App> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let caller = request.extensions().get::<Caller>().cloned();
        let fields = Fields::read(request, app).await?;
        match caller {
            Some(caller) if caller.owns_form_token(fields.text("csrf")) => Ok(Self(fields)),
            Some(_) | None => Err(Failure::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "this form is too old, or did not come from dagctl",
            )
            .hint("open the page again and repeat it")),
        }
    }
}
