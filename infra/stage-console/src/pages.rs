//! The pages, and what their forms do.

mod bucket;
mod data;
mod events;
mod faults;
mod functions;
mod logs;
mod map;
mod permissions;
mod queue;
mod table;

use std::sync::Arc;

use http::StatusCode;
use hyper::body::Incoming;
use local::Decision;
use percent_encoding::percent_decode_str;

use crate::answer::Answer;
use crate::fields::Fields;
use crate::layout::{Page, Section};
use crate::problem::{Problem, Result};
use crate::stage::Stage;

/// A request, as pages see it.
pub(crate) struct Visit {
    pub(crate) stage: Arc<Stage>,
    /// The parts of the path, decoded.
    path: Vec<String>,
    pub(crate) query: Fields,
}

/// What a request leads to.
pub(crate) enum Reply {
    Page(StatusCode, Page),
    Answer(Answer),
    Done(Done),
}

/// What was done, and the page that shows it.
pub(crate) struct Done {
    pub(crate) leads_to: String,
    pub(crate) sentence: String,
}

impl Reply {
    /// Something was done; the page at `leads_to` shows it.
    pub(crate) fn done(leads_to: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::Done(Done {
            leads_to: leads_to.into(),
            sentence: sentence.into(),
        })
    }
}

impl Visit {
    pub(crate) fn new(stage: &Arc<Stage>, path: &str, query: &str) -> Self {
        let parts = path.split('/').filter(|part| !part.is_empty());
        Self {
            stage: Arc::clone(stage),
            path: parts
                .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
                .collect(),
            query: Fields::parse(query),
        }
    }

    pub(crate) fn token(&self) -> &str {
        self.stage.secrets.token()
    }

    /// What the stage has allowed and denied.
    async fn decisions(&self) -> Result<Vec<Decision>> {
        self.stage.host.decisions().await.map_err(Problem::failed)
    }
}

/// The part of the menu that a path belongs to.
pub(crate) fn section_of(path: &str) -> Section {
    let sections = Section::ALL
        .into_iter()
        .filter(|section| *section != Section::Map);
    let mut sections = sections.filter(|section| path.starts_with(section.path()));
    sections.next().unwrap_or(Section::Map)
}

/// What is at a path.
pub(crate) async fn show(visit: &Visit) -> Result<Reply> {
    let path: Vec<&str> = visit.path.iter().map(String::as_str).collect();
    let page = match path.as_slice() {
        [] => map::show(visit).await?,
        ["events"] => events::show(visit).await?,
        ["events", id] => events::trace(visit, id).await?,
        ["functions"] => functions::list(visit).await?,
        // A form that was refused is answered at its own address, which is then looked at as well.
        ["functions", name] | ["functions", name, "invoke" | "save"] => {
            functions::show(visit, name).await?
        }
        ["permissions"] => permissions::show(visit).await?,
        ["faults"] | ["faults", "on" | "off" | "fail" | "kill" | "delay"] => {
            faults::show(visit).await?
        }
        ["logs"] => logs::show(visit).await?,
        ["data"] => data::show(visit).await?,
        ["data", "table", name] | ["data", "table", name, "create" | "change" | "delete"] => {
            table::show(visit, name).await?
        }
        ["data", "table", name, "new"] => table::new(visit, name).await?,
        ["data", "table", name, "item"] => table::item(visit, name).await?,
        ["data", "bucket", name] => bucket::show(visit, name).await?,
        ["data", "bucket", name, "object"] => bucket::object(visit, name).await?,
        ["data", "bucket", name, "image"] => return bucket::image(visit, name).await,
        ["data", "bucket", name, "download"] => return bucket::download(visit, name).await,
        ["data", "queue", name] => queue::show(visit, name).await?,
        ["data", "failures", function] => queue::failures(visit, function).await?,
        ["data", "topic", name] => data::topic(visit, name).await?,
        _ => return Err(nothing()),
    };
    Ok(Reply::Page(StatusCode::OK, page))
}

/// Does what the form of a path is for.
pub(crate) async fn change(visit: &Visit, form: &Fields) -> Result<Reply> {
    let path: Vec<&str> = visit.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["functions", name, "invoke"] => functions::invoke(visit, name, form).await,
        ["functions", name, "save"] => functions::save(visit, name, form),
        ["faults", "on"] => faults::begin(visit, form).await,
        ["faults", "off"] => faults::stop(visit).await,
        ["faults", "fail"] => faults::fail(visit, form).await,
        ["faults", "kill"] => faults::kill_function(visit, form).await,
        ["faults", "delay"] => faults::delay(visit, form).await,
        ["data", "table", name, "create"] => table::create(visit, name, form).await,
        ["data", "table", name, "change"] => table::change(visit, name, form).await,
        ["data", "table", name, "delete"] => table::delete(visit, name, form).await,
        ["data", "bucket", name, "delete"] => bucket::delete(visit, name, form).await,
        ["data", "queue", name, "send"] => queue::send(visit, name, form).await,
        ["data", "failures", function, "redrive"] => {
            queue::redrive(visit, function, form, false).await
        }
        ["data", "failures", function, "drop"] => queue::redrive(visit, function, form, true).await,
        ["data", "topic", name, "publish"] => data::publish(visit, name, form).await,
        ["data", "schedule", name, "fire"] => data::fire(visit, name).await,
        _ => Err(nothing()),
    }
}

/// Takes files.
pub(crate) async fn upload(visit: &Visit, body: Incoming, boundary: &str) -> Result<Reply> {
    let path: Vec<&str> = visit.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["data", "bucket", name, "upload"] => bucket::upload(visit, name, body, boundary).await,
        _ => Err(nothing()),
    }
}

fn nothing() -> Problem {
    Problem::missing("the console has no page at this address")
}
