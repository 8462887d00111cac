//! `operator: http`: makes a request, checks the answer and gives on what the next task needs.

mod client;
mod message;
mod request;
mod response;

use std::path::{Path, PathBuf};
use std::time::Instant;

use dagctl_core::operator::{Http, Paging};
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::template::{self, Context, Quoting};
pub use reqwest::Client;
use reqwest::header::LOCATION;
use serde_json::{Map, Value};
use url::Url;

use self::client::Shared;
use self::request::{Asker, Request};
use self::response::Response;
use crate::masking::MAX_OUTPUT;
use crate::{Attempt, Log, run_folder};

pub use self::client::client;
pub(crate) use self::client::{chain, check_url, failure, find_refused};
pub use self::message::tell;
pub(crate) use self::response::retry_after;

/// Makes the task's request, and those for further pages.
pub(crate) async fn run(
    attempt: &Attempt,
    spec: &Http,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    if spec.paging.is_some() && spec.output_file.is_some() {
        let message =
            "`paging` and `output_file` cannot stand together: pages are joined in memory";
        return Err(definition(message.to_owned()));
    }
    let shared = match attempt.execution_timeout {
        Some(_) => Shared::Patient,
        None => Shared::Impatient,
    };
    let caller = Caller {
        client: shared.client(),
        log,
    };
    let request = Request::new(&Asker::of(attempt), spec)?;
    if let Some(source) = &spec.output_file {
        let file = output_file(attempt, source)?;
        return to_file(attempt, spec, &caller, request, &file).await;
    }
    let mut outputs = Map::new();
    let mut pages = Pages::default();
    let mut next = Some(request);
    while let Some(request) = next.take() {
        let response = caller.call(&request, None).await?;
        check(&response, spec, attempt)?;
        let context = attempt.context.clone().with_response(response.as_value());
        if let Some(filter) = &spec.response_filter {
            let value = template::evaluate(filter, &context).map_err(|err| {
                let message = format!(
                    "cannot evaluate `response_filter: {filter}`: {err}; the answer was {}",
                    response.excerpt()
                );
                Failure::new(FailureKind::Check, message)
            })?;
            pages.add(value)?;
        }
        outputs.insert("status".to_owned(), response.status.into());
        outputs.insert("size".to_owned(), response.size.into());
        if let Some(paging) = &spec.paging {
            let url = pages.next(paging, &response, &context, log).await?;
            next = url.map(|url| request.to(url));
        }
    }
    if spec.response_filter.is_some() {
        outputs.insert("value".to_owned(), pages.into_value(spec.paging.is_some()));
    }
    Ok(outputs)
}

/// Asks once whether the answer is as it should be: `None` where there is nothing yet, which a 404 says as well.
pub(crate) async fn poke(
    attempt: &Attempt,
    spec: &Http,
    log: &Log,
) -> Result<Option<Map<String, Value>>, Failure> {
    let shared = match attempt.execution_timeout {
        Some(_) => Shared::Patient,
        None => Shared::Impatient,
    };
    let caller = Caller {
        client: shared.client(),
        log,
    };
    let response = caller
        .call(&Request::new(&Asker::of(attempt), spec)?, None)
        .await?;
    if response.status == 404 {
        return Ok(None);
    }
    if response.status >= 400 {
        let any = Http {
            response_check: None,
            ..spec.clone()
        };
        check(&response, &any, attempt)?;
    }
    let is_there = match &spec.response_check {
        None => true,
        Some(check) => {
            let context = attempt.context.clone().with_response(response.as_value());
            let value = template::evaluate(check, &context).map_err(|err| {
                let message = format!(
                    "cannot evaluate `response_check: {check}`: {err}; the answer was {}",
                    response.excerpt()
                );
                Failure::new(FailureKind::Check, message)
            })?;
            log.line(format!("response_check: {value}")).await;
            template::is_true(&value)
        }
    };
    Ok(is_there.then(|| Map::from_iter([("status".to_owned(), response.status.into())])))
}

/// Streams the answer to disk. The file is there only when the answer was accepted.
async fn to_file(
    attempt: &Attempt,
    spec: &Http,
    caller: &Caller<'_>,
    request: Request,
    file: &Path,
) -> Result<Map<String, Value>, Failure> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", attempt.attempt));
    let part = file.with_file_name(name);
    let response = match caller.call(&request, Some(&part)).await {
        Ok(response) => response,
        Err(failure) => {
            response::discard(&part).await;
            return Err(failure);
        }
    };
    let mut outputs = Map::new();
    if let Err(failure) = check(&response, spec, attempt) {
        response::discard(&part).await;
        return Err(failure);
    }
    tokio::fs::rename(&part, file)
        .await
        .map_err(|err| definition(format!("cannot write {}: {err}", file.display())))?;
    let path = file.to_string_lossy().into_owned();
    caller
        .log
        .line(format!("wrote {} bytes to {path}", response.size))
        .await;
    if let Some(filter) = &spec.response_filter {
        let context = attempt.context.clone().with_response(response.as_value());
        let value = template::evaluate(filter, &context).map_err(|err| {
            definition(format!(
                "cannot evaluate `response_filter: {filter}`: {err}; with `output_file` there is no \
                 `response.text` and no `response.json`"
            ))
        })?;
        outputs.insert("value".to_owned(), value);
    }
    outputs.insert("status".to_owned(), response.status.into());
    outputs.insert("size".to_owned(), response.size.into());
    outputs.insert("file".to_owned(), path.into());
    Ok(outputs)
}

fn output_file(attempt: &Attempt, source: &str) -> Result<PathBuf, Failure> {
    let path = template::render(source, &attempt.context, Quoting::Plain)
        .map_err(|err| definition(format!("cannot render `output_file`: {err}")))?;
    match run_folder::beneath(&attempt.run_dir, &path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(definition(format!(
            "`output_file: {path}` is not a file beneath the run's folder: write `{{{{ run_dir }}}}/name`"
        ))),
        Err(err) => Err(definition(format!(
            "cannot make the folder of `output_file: {path}`: {err}"
        ))),
    }
}

/// Sends requests, follows redirects and says what it did.
struct Caller<'a> {
    client: &'static Client,
    log: &'a Log,
}

impl Caller<'_> {
    async fn call(&self, request: &Request, file: Option<&PathBuf>) -> Result<Response, Failure> {
        let mut request = request.clone();
        for _ in 0..=client::MAX_REDIRECTS {
            let started = Instant::now();
            let answer = self.send(&request).await?;
            let status = answer.status();
            if let Some(url) = redirect(&request, &answer) {
                let place = client::shown(&request.url);
                let text = format!("{} {place} → {status}, to {url}", request.method);
                self.log.line(text).await;
                request = request.redirected(status.as_u16(), url);
                continue;
            }
            let response = Response::read(answer, file).await?;
            let text = format!(
                "{} {} → {status}, {} bytes, {} ms",
                request.method,
                client::shown(&request.url),
                response.size,
                started.elapsed().as_millis()
            );
            self.log.line(text).await;
            return Ok(response);
        }
        let message = format!(
            "more than {} redirects, the last to {}",
            client::MAX_REDIRECTS,
            client::shown(&request.url)
        );
        Err(definition(message))
    }

    async fn send(&self, request: &Request) -> Result<reqwest::Response, Failure> {
        check_url(&request.url)
            .map_err(|refused| definition(format!("{}: {refused}", client::shown(&request.url))))?;
        let mut headers = request.headers.clone();
        if let Some(login) = request.login.headers_for(&request.url) {
            for (name, value) in login {
                // What the task says about its own request wins.
                headers.entry(name).or_insert_with(|| value.clone());
            }
        }
        let mut builder = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        match builder.send().await {
            Ok(answer) => Ok(answer),
            Err(err) => {
                let failure = failure(&request.url, err);
                let text = format!("{} {}", request.method, failure.message);
                self.log.error(text).await;
                Err(failure)
            }
        }
    }
}

fn redirect(request: &Request, answer: &reqwest::Response) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    request.url.join(location).ok()
}

fn check(response: &Response, spec: &Http, attempt: &Attempt) -> Result<(), Failure> {
    let status = response.status;
    let place = client::shown(&response.url);
    let refused = match &spec.response_check {
        None if status < 400 => return Ok(()),
        None => String::new(),
        Some(check) => {
            let context = attempt.context.clone().with_response(response.as_value());
            match template::evaluate(check, &context) {
                Ok(value) if template::is_true(&value) => return Ok(()),
                Ok(value) => format!(", and `response_check: {check}` is {value}"),
                Err(err) => format!(", and `response_check: {check}` cannot be evaluated: {err}"),
            }
        }
    };
    // An answer that says by itself that it failed is told apart, for `retry_on: [http_5xx]`.
    let kind = match status {
        400.. => FailureKind::Http(status),
        _ => FailureKind::Check,
    };
    let message = format!(
        "{place} answered {status}{refused}; the answer was {}",
        response.excerpt()
    );
    Err(Failure {
        retry_after: response.retry_after(),
        ..Failure::new(kind, message)
    })
}

/// What the pages gave so far.
#[derive(Debug, Default)]
struct Pages {
    values: Vec<Value>,
    size: usize,
    count: u32,
    seen: Vec<Url>,
}

impl Pages {
    fn add(&mut self, value: Value) -> Result<(), Failure> {
        self.size += value.to_string().len();
        // One value's limit is checked for every output; here it keeps many pages out of memory.
        if self.size > MAX_OUTPUT && !self.values.is_empty() {
            return Err(definition(format!(
                "the values of {} pages take more than {MAX_OUTPUT} bytes: let `response_filter` keep less",
                self.values.len() + 1
            )));
        }
        self.values.push(value);
        Ok(())
    }

    async fn next(
        &mut self,
        paging: &Paging,
        response: &Response,
        context: &Context,
        log: &Log,
    ) -> Result<Option<Url>, Failure> {
        self.count += 1;
        self.seen.push(response.url.clone());
        let next = match template::evaluate(&paging.next, context) {
            Ok(next) => next,
            // Most servers leave the link out of the last page.
            Err(err) => match template::evaluate(&format!("({}) is defined", paging.next), context)
            {
                Ok(Value::Bool(false)) => return Ok(None),
                Ok(_) | Err(_) => {
                    let message = format!("cannot evaluate `paging: next: {}`: {err}", paging.next);
                    return Err(Failure::new(FailureKind::Check, message));
                }
            },
        };
        if !template::is_true(&next) {
            return Ok(None);
        }
        let Some(text) = next.as_str() else {
            let message = format!("`paging: next: {}` gave {next}, not a URL", paging.next);
            return Err(Failure::new(FailureKind::Check, message));
        };
        if self.count >= paging.max_pages {
            let text = format!(
                "there are more pages, but `max_pages` is {}",
                paging.max_pages
            );
            log.line(text).await;
            return Ok(None);
        }
        let url = response
            .url
            .join(text)
            .map_err(|err| definition(format!("the next page's URL `{text}` is wrong: {err}")))?;
        if self.seen.contains(&url) {
            let message = format!("the pages run in a circle: {url} comes again");
            return Err(Failure::new(FailureKind::Check, message));
        }
        Ok(Some(url))
    }

    fn into_value(mut self, is_paged: bool) -> Value {
        if !is_paged {
            return self.values.pop().unwrap_or_default();
        }
        let mut all = Vec::new();
        for value in self.values {
            match value {
                Value::Array(items) => all.extend(items),
                one => all.push(one),
            }
        }
        Value::Array(all)
    }
}

fn definition(message: String) -> Failure {
    Failure::new(FailureKind::Definition, message)
}
