//! Answers that are not AWS's: the pages of proxies, firewalls, gateways and guest networks.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use http::StatusCode;

use crate::error::{Error, ErrorKind, PROXY_PASSWORD};

/// How much of a page is shown.
const SHOWN_CHARACTERS: usize = 80;

/// Who answered. The connection attaches it to each answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Scheme, host and port, and the proxy if there is one.
    pub(crate) by: String,
    /// Whether the request was one whose answer has no body.
    pub(crate) without_body: bool,
}

impl Answered {
    /// Whether the host is one of AWS's own, in any of its partitions.
    pub(crate) fn is_aws(&self) -> bool {
        const DOMAINS: [&str; 5] = [
            ".amazonaws.com",
            ".amazonaws.com.cn",
            ".amazonaws.eu",
            ".api.aws",
            ".c2s.ic.gov",
        ];
        DOMAINS.iter().any(|domain| self.by.ends_with(domain))
    }
}

/// What is known of an answer.
pub(crate) fn answered(response: &HttpResponse) -> Option<&Answered> {
    response.extension()
}

/// Whether an answer without an error code may still be AWS's: it has the header of a request
/// ID, which each of AWS's answers has, or it has no body because none was asked for.
pub(crate) fn may_be_of_aws(response: &HttpResponse) -> bool {
    let named = response
        .headers()
        .iter()
        .any(|(name, _)| name.starts_with("x-amz"));
    let body = response.body().bytes().unwrap_or_default();
    let silent = answered(response).is_none_or(|answered| answered.without_body);
    named || (body.is_empty() && silent)
}

/// The error that something else answered in AWS's place.
pub(crate) fn not_of_aws(what: String, response: &HttpResponse) -> Error {
    let status = response.status().as_u16();
    let by = answered(response).map_or("the endpoint", |answered| answered.by.as_str());
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .map(|reason| format!(" {reason}"))
        .unwrap_or_default();
    let body = response.body().bytes().unwrap_or_default();
    let said = match (status, response.headers().get("location")) {
        (300..400, Some(location)) => format!("a redirect to {}", shortened(location)),
        _ => match first_line(&String::from_utf8_lossy(body)) {
            Some(line) => format!("\"{line}\""),
            None => "nothing in it".to_owned(),
        },
    };
    Error::new(what)
        .because(format!(
            "the answer is not from AWS: {by} answered {status}{reason}, {said}"
        ))
        .of_kind(ErrorKind::NotAws)
        .hint(match status {
            407 => PROXY_PASSWORD,
            502..=504 => "a gateway or proxy could not pass the request on: try again, and check the proxy and the endpoint",
            _ => "a proxy, a firewall or a guest network may answer in place of AWS: sign in to the network in a browser, or check HTTPS_PROXY and AWS_ENDPOINT_URL",
        })
}

/// The title of a page, or else its first line of text, shortened.
fn first_line(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|tag| {
        let start = tag + lower.get(tag..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find("</title")?;
        text.get(start..end)
    });
    let title = title.filter(|title| !title.trim().is_empty());
    let text = match title {
        Some(title) => title.split_whitespace().collect::<Vec<_>>().join(" "),
        None => without_tags(text)
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())?
            .to_owned(),
    };
    Some(shortened(&text))
}

/// The text between tags, and each tag the end of a line. Scripts and styles are left out.
fn without_tags(page: &str) -> String {
    if !page.trim_start().starts_with('<') {
        return page.to_owned();
    }
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push('\n');
        let name = tag.to_ascii_lowercase();
        let end = ["script", "style"]
            .iter()
            .find(|hidden| name.starts_with(**hidden))
            .map_or(">".to_owned(), |hidden| format!("</{hidden}>"));
        rest = match name.find(&end) {
            Some(at) => tag.get(at + end.len()..).unwrap_or_default(),
            None => "",
        };
    }
    text.push_str(rest);
    text
}

fn shortened(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= SHOWN_CHARACTERS {
        return text;
    }
    let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    format!("{}…", shown.trim_end())
}

/// Text of others as a terminal may show it: without what moves the cursor, colours, or turns
/// the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| {
            let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            *c == '\n' || !(c.is_control() || turns)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shown_by_its_title_or_first_line() {
        for (page, shown) in [
            (
                "<!DOCTYPE html><html><head><TITLE lang=en>\n Guest\n Wi-Fi </TITLE></head>…",
                "Guest Wi-Fi",
            ),
            (
                "<html><title></title><style>p{}</style><script>if (a<b) {}</script><h1>502 Bad Gateway</h1><p>nginx",
                "502 Bad Gateway",
            ),
            ("\n\n  no healthy upstream\nmore", "no healthy upstream"),
            (
                r#"{"message":"no Route matched"}"#,
                r#"{"message":"no Route matched"}"#,
            ),
            ("<title>\u{1b}[31mred\u{7}\u{202e}</title>", "[31mred"),
        ] {
            assert_eq!(first_line(page).as_deref(), Some(shown), "{page}");
        }
        for page in ["", " \n ", "<html></html>", "<script>", "<title"] {
            assert_eq!(first_line(page), None, "{page}");
        }
        assert_eq!(first_line(&"x".repeat(500)).unwrap().chars().count(), 81);
    }

    #[test]
    fn a_title_behind_letters_of_any_length_is_found() {
        assert_eq!(
            first_line("<p>İİİ ẞ</p><title>Straße</title>").as_deref(),
            Some("Straße")
        );
    }
}
