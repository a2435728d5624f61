//! From a request to its answer.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::access::{Refused, Secrets, Visitor};
use crate::answer::{self, Answer, set};
use crate::assets;
use crate::fields::{Fields, link};
use crate::layout::{self, Page};
use crate::live;
use crate::pages::{self, Done, Reply, Visit};
use crate::problem::{Problem, Result};
use crate::stage::Stage;

/// The longest form: an event of Lambda's 6 MB, each byte of which may take three.
const FORM_BYTES_MAX: usize = 20 * 1024 * 1024;

/// By this header, the script asks for an answer for itself.
const OF_SCRIPT: &str = "x-console-script";

/// What all requests share.
pub(crate) struct Serving {
    pub(crate) port: u16,
    pub(crate) stage: Arc<Stage>,
    pub(crate) ended: watch::Receiver<bool>,
}

/// Answers any request.
pub(crate) async fn answer(serving: &Serving, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let secrets = &serving.stage.secrets;
    let visitor = match secrets.admit(serving.port, &parts.headers, &parts.uri) {
        Ok(visitor) => visitor,
        Err(Refused::Stranger(stranger)) => return closed(stranger.message()),
        // What the door looks like is no secret.
        Err(Refused::Unknown) => {
            return assets::at(parts.uri.path()).unwrap_or_else(|| {
                closed("The address has to contain the console's key, and this one does not.")
            });
        }
    };
    let mut answer = admitted(serving, &parts, body).await;
    if visitor == Visitor::New
        && let Some(cookie) = secrets.set_cookie(serving.port)
    {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

fn closed(message: &str) -> Answer {
    answer::page(StatusCode::FORBIDDEN, layout::closed_door(message))
}

async fn admitted(serving: &Serving, parts: &Parts, body: Incoming) -> Answer {
    let path = parts.uri.path();
    // hyper leaves the body of the answer to HEAD out.
    if matches!(parts.method, Method::GET | Method::HEAD) {
        if let Some(asset) = assets::at(path) {
            return asset;
        }
        if path == "/live" {
            return live::follow(serving.stage.host.changes(), serving.ended.clone());
        }
    }
    let visit = Visit::new(
        &serving.stage,
        parts.uri.path(),
        parts.uri.query().unwrap_or_default(),
    );
    let reply = match parts.method {
        Method::GET | Method::HEAD => pages::show(&visit).await,
        Method::POST => change(&visit, parts, body).await,
        _ => Err(Problem::missing("the console answers GET, HEAD and POST")),
    };
    let is_for_script = parts.headers.contains_key(OF_SCRIPT);
    match reply {
        Ok(Reply::Page(status, page)) => document(&visit, status, &page),
        Ok(Reply::Answer(answer)) => answer,
        Ok(Reply::Done(Done { leads_to, sentence })) if is_for_script => {
            let mut answer = answer::text(StatusCode::OK, sentence);
            set(&mut answer, header::LOCATION, &leads_to);
            answer
        }
        Ok(Reply::Done(Done { leads_to, sentence })) => {
            let number = visit.stage.notices.keep(sentence).to_string();
            let separator = if leads_to.contains('?') { '&' } else { '?' };
            let notice = link("", &[("notice", &number)]).replace('?', "");
            answer::see_other(&format!("{leads_to}{separator}{notice}"))
        }
        Err(problem) if is_for_script => answer::text(problem.status, problem.message),
        Err(problem) => {
            let page = layout::problem_page(pages::section_of(path), &problem);
            document(&visit, problem.status, &page)
        }
    }
}

fn document(visit: &Visit, status: StatusCode, page: &Page) -> Answer {
    let notice = visit.query.get("notice");
    let notice = notice.and_then(|number| visit.stage.notices.of(number));
    answer::page(status, page.document(&visit.stage.app(), notice.as_deref()))
}

/// Does what a form asks for, if a page of the console has sent it.
async fn change(visit: &Visit, parts: &Parts, body: Incoming) -> Result<Reply> {
    if !Secrets::is_from_a_page(&parts.method, &parts.headers) {
        return Err(refusal(
            "the request does not come from a page of the console",
        ));
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if let Ok(boundary) = multer::parse_boundary(content_type) {
        return pages::upload(visit, body, &boundary).await;
    }
    let body = Limited::new(body, FORM_BYTES_MAX).collect().await;
    let body =
        body.map_err(|error| Problem::mistake(format!("could not read the form: {error}")))?;
    let form = Fields::parse(&String::from_utf8_lossy(&body.to_bytes()));
    if !visit.stage.secrets.has_made(form.get("token")) {
        return Err(refusal("the form does not come from this console"));
    }
    pages::change(visit, &form).await
}

fn refusal(why: &str) -> Problem {
    Problem {
        status: StatusCode::FORBIDDEN,
        ..Problem::mistake(why)
    }
    .hint("open the page again: a form expires when the stage restarts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Section;

    #[test]
    fn a_problem_stays_in_its_part_of_the_menu() {
        assert_eq!(pages::section_of("/data/table/x"), Section::Data);
        assert_eq!(pages::section_of("/nowhere"), Section::Map);
    }
}
