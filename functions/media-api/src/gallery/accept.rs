//! In which form an answer is wanted.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::http::header::ACCEPT;

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// For programs, and for whoever takes anything.
    Json,
    /// For people: a browser shows a page.
    Page,
    /// A browser shows a picture or plays a video.
    File,
}

impl Wanted {
    /// What the header `Accept` names before the others. Only what it names counts, so that `*/*`,
    /// which programs send that do not care, is JSON.
    pub(crate) fn of(request: &ApiGatewayV2httpRequest) -> Self {
        let accept = request.headers.get_all(ACCEPT).iter();
        let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
        let accept = accept.join(",");
        let weight = |wanted: &dyn Fn(&str) -> bool| {
            let ranges = accept.split(',').map(weighed);
            let ranges = ranges.filter(|(range, _)| wanted(range));
            ranges.map(|(_, weight)| weight).max().unwrap_or(0)
        };
        let json = weight(&|range| range == "application/json");
        let page = weight(&|range| range == "text/html");
        let file = weight(&|range| range.starts_with("image/") || range.starts_with("video/"));
        if page > json && page >= file {
            Self::Page
        } else if file > json {
            Self::File
        } else {
            Self::Json
        }
    }
}

/// A media range, in small letters, and its weight in thousandths.
fn weighed(text: &str) -> (String, u32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let weight = weight.and_then(|weight| weight.parse::<f32>().ok());
    (
        range,
        (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: Option<&str>) -> Wanted {
        let mut request = ApiGatewayV2httpRequest::default();
        if let Some(accept) = accept {
            request.headers.insert(ACCEPT, accept.parse().unwrap());
        }
        Wanted::of(&request)
    }

    #[test]
    fn programs_get_json() {
        for accept in [
            None,
            Some(""),
            Some("*/*"),
            Some("application/json"),
            Some("application/json, */*;q=0.5"),
            Some("application/json, text/html;q=0.9"),
            Some("text/html;q=0, */*"),
            Some("nonsense;;q=x,,"),
        ] {
            assert_eq!(wanted(accept), Wanted::Json, "{accept:?}");
        }
    }

    #[test]
    fn browsers_get_a_page_or_what_they_show() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8";
        let safari = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [
            chromium,
            safari,
            "TEXT/HTML",
            "application/json;q=0.5, text/html",
        ] {
            assert_eq!(wanted(Some(accept)), Wanted::Page, "{accept}");
        }
        let picture = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
        assert_eq!(wanted(Some(picture)), Wanted::File);
        assert_eq!(
            wanted(Some("video/webm,video/*;q=0.9,*/*;q=0.5")),
            Wanted::File
        );
    }
}
