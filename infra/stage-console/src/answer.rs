//! Answers of the console, with the headers that keep what they show from acting.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use maud::Markup;
use tokio::sync::mpsc;

/// The body of an answer.
pub(crate) type AnswerBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub(crate) type Answer = Response<AnswerBody>;

/// The console's own style and script, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Objects of buckets are whatever somebody has uploaded. Should a browser show one in spite of the other headers, it has
/// no origin and may do nothing.
const OBJECT_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// A page.
pub(crate) fn page(status: StatusCode, page: Markup) -> Answer {
    full(
        status,
        "text/html; charset=utf-8",
        PAGE_POLICY,
        page.into_string().into(),
    )
}

/// A style or a script. Its address changes with it, so browsers may keep it.
pub(crate) fn asset(content_type: &'static str, content: &'static str) -> Answer {
    let mut answer = full(
        StatusCode::OK,
        content_type,
        PAGE_POLICY,
        Bytes::from_static(content.as_bytes()),
    );
    set(
        &mut answer,
        header::CACHE_CONTROL,
        "private, max-age=31536000, immutable",
    );
    answer
}

/// Leads on to another page, by GET.
pub(crate) fn see_other(path: &str) -> Answer {
    let mut answer = full(
        StatusCode::SEE_OTHER,
        "text/plain",
        PAGE_POLICY,
        Bytes::new(),
    );
    set(&mut answer, header::LOCATION, path);
    answer
}

/// A plain text, for the script.
pub(crate) fn text(status: StatusCode, text: String) -> Answer {
    full(
        status,
        "text/plain; charset=utf-8",
        PAGE_POLICY,
        text.into(),
    )
}

/// An image, of which the content has told that it is one.
pub(crate) fn image(content_type: &'static str, content: Bytes) -> Answer {
    full(StatusCode::OK, content_type, OBJECT_POLICY, content)
}

/// An object of a bucket, to be saved under a name.
pub(crate) fn download(name: &str, length: Option<u64>, body: Chunks) -> Answer {
    let mut answer = Response::new(body.boxed_unsync());
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    secure(&mut answer, "application/octet-stream", OBJECT_POLICY);
    set(
        &mut answer,
        header::CONTENT_DISPOSITION,
        &format!("attachment; filename=\"{name}\""),
    );
    if let Some(length) = length {
        set(&mut answer, header::CONTENT_LENGTH, &length.to_string());
    }
    answer
}

/// Server-sent events.
pub(crate) fn events(body: Chunks) -> Answer {
    let mut answer = Response::new(body.boxed_unsync());
    secure(&mut answer, "text/event-stream", PAGE_POLICY);
    answer
}

fn full(status: StatusCode, content_type: &str, policy: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).boxed_unsync());
    *answer.status_mut() = status;
    secure(&mut answer, content_type, policy);
    answer
}

fn secure(answer: &mut Answer, content_type: &str, policy: &str) {
    set(answer, header::CONTENT_TYPE, content_type);
    set(answer, header::CONTENT_SECURITY_POLICY, policy);
    set(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // By `no-referrer`, browsers send forms with the origin `null`, which is nobody's.
    // <https://fetch.spec.whatwg.org/#append-a-request-origin-header>
    set(answer, header::REFERRER_POLICY, "same-origin");
    set(answer, header::CACHE_CONTROL, "no-store");
    set(answer, header::X_FRAME_OPTIONS, "DENY");
    set(answer, CROSS_ORIGIN_OPENER_POLICY, "same-origin");
    set(answer, CROSS_ORIGIN_RESOURCE_POLICY, "same-origin");
}

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Text that no header can hold is left out: it would be a split header.
pub(crate) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// A body that is written while it is sent.
pub(crate) struct Chunks(mpsc::Receiver<Bytes>);

impl Chunks {
    /// A body and its writer, which learns when the reader is gone.
    pub(crate) fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(4);
        (sender, Self(receiver))
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(answer: &'a Answer, name: &str) -> &'a str {
        let value = answer.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn pages_run_no_script_but_their_own_and_are_not_framed() {
        let page = page(StatusCode::OK, maud::html! { "x" });
        let policy = value(&page, "content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(value(&page, "x-content-type-options"), "nosniff");
        assert_eq!(value(&page, "referrer-policy"), "same-origin");
        assert_eq!(value(&page, "cache-control"), "no-store");
    }

    #[test]
    fn an_object_is_saved_and_not_shown() {
        let (_, body) = Chunks::new();
        let answer = download("a\"b\r\nX: <script>.svg", Some(3), body);
        assert_eq!(value(&answer, "content-type"), "application/octet-stream");
        assert!(value(&answer, "content-security-policy").contains("sandbox"));
        assert_eq!(
            value(&answer, "content-disposition"),
            "attachment; filename=\"a_b__X___script_.svg\""
        );
    }

    #[test]
    fn an_address_cannot_split_a_header() {
        let answer = see_other("/x\r\nset-cookie: a=b");
        assert_eq!(value(&answer, "location"), "");
        assert_eq!(value(&answer, "set-cookie"), "");
    }
}
