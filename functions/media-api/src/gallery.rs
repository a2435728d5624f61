//! The pages for people: a gallery of what the catalogue holds, and a page for each file.
//!
//! A browser asks for HTML and gets these pages by the routes that answer programs with JSON. They
//! are whole without a script; the script adds suggestions, pages that come by scrolling, uploads
//! and deletions. Nothing in them is of a third party, and script and style are allowed by their
//! hashes, so what files are called and labelled can run nothing.

mod accept;
mod assets;
mod item;
mod layout;
mod list;

use std::time::SystemTime;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use maud::Markup;
use media::dynamodb::DynamoCatalogue;
use media::thumbnail::ThumbnailKey;
use media::{MediaItem, MediaType};
use percent_encoding::utf8_percent_encode;
use runtime::http::{HttpError, cursor_of_key};
use runtime::s3::{ObjectKey, Presigner};
use runtime::uri::IN_PATH;
use serde_json::Value;

pub(crate) use accept::Wanted;

use crate::query::ListQuery;
use crate::writes::Writes;

/// What the pages are made with.
#[derive(Debug)]
pub struct Gallery {
    /// Signs URLs of pictures and videos.
    pub media: Presigner,
    /// Signs URLs of thumbnails.
    pub thumbnails: Presigner,
}

impl Gallery {
    /// The first page of what the query asks for, or a later one.
    pub(crate) async fn list(
        &self,
        catalogue: &DynamoCatalogue,
        writes: &Writes,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let query = ListQuery::of_form(request)?;
        let page = catalogue
            .list(&query.filter, query.limit, query.after.as_ref())
            .await
            .map_err(HttpError::internal)?;
        let list = list::List {
            tiles: self.tiles(&page.items)?,
            query: &query,
            next: page
                .next
                .map(|name| cursor_of_key(&query.cursor_key(&name))),
            can_upload: writes.can_upload(),
        };
        Ok(self.html(200, &list.page()))
    }

    /// The page of one file.
    pub(crate) fn item(
        &self,
        item: &MediaItem,
        failure: Option<&media::Failure>,
        writes: &Writes,
    ) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let url = self.media.get(item.name.as_str(), SystemTime::now());
        let item = item::Item {
            item,
            failure,
            url: url.map_err(HttpError::internal)?,
            can_delete: writes.can_delete(),
        };
        Ok(self.html(200, &item.page()))
    }

    /// Leads to the file itself.
    pub(crate) fn file(&self, name: &ObjectKey) -> Result<ApiGatewayV2httpResponse, HttpError> {
        let url = self.media.get(name.as_str(), SystemTime::now());
        let url = url.map_err(HttpError::internal)?;
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = 307;
        let url = HeaderValue::try_from(url).map_err(HttpError::internal)?;
        response.headers.insert(LOCATION, url);
        Ok(response)
    }

    /// The same answer, as a page if one was wanted and it is an error. All answers say that others
    /// may get another form.
    pub(crate) fn finish(
        &self,
        wanted: Wanted,
        mut response: ApiGatewayV2httpResponse,
    ) -> ApiGatewayV2httpResponse {
        if wanted == Wanted::Page && response.status_code >= 400 {
            let status = response.status_code;
            response = self.html(status, &layout::error(status, &message_of(&response)));
        }
        let accept = HeaderValue::from_static("accept");
        response.headers.insert(VARY, accept);
        response
    }

    fn tiles<'a>(&self, items: &'a [MediaItem]) -> Result<Vec<list::Tile<'a>>, HttpError> {
        let now = SystemTime::now();
        let tile = |item: &'a MediaItem| {
            let url = match item.media_type {
                MediaType::Image => {
                    let key = ThumbnailKey::of(&item.name);
                    self.thumbnails.get(key.as_str(), now)
                }
                MediaType::Video => self.media.get(item.name.as_str(), now),
            };
            let url = url.map_err(HttpError::internal)?;
            Ok(list::Tile { item, url })
        };
        items.iter().map(tile).collect()
    }

    fn html(&self, status: i64, page: &Markup) -> ApiGatewayV2httpResponse {
        let (media, thumbnails) = (self.media.origin(), self.thumbnails.origin());
        let (script, style) = (assets::script_hash(), assets::style_hash());
        let policy = format!(
            "default-src 'none'; script-src '{script}'; style-src '{style}'; \
             img-src 'self' data: {media} {thumbnails}; media-src {media}; connect-src 'self' {media}; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = status;
        let fixed: [(HeaderName, &'static str); 4] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            // Its URLs live for minutes.
            (CACHE_CONTROL, "private, no-cache"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
        response.headers.extend(fixed);
        // Origins are those of URLs, which have no other characters than a header may.
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response.body = Some(Body::Text(page.0.clone()));
        response
    }
}

/// What an answer of the API says went wrong, without the error's name.
fn message_of(response: &ApiGatewayV2httpResponse) -> String {
    let Some(Body::Text(body)) = &response.body else {
        return String::new();
    };
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let message = body["Message"].as_str().unwrap_or_default();
    let message = message.split_once(": ").map_or(message, |(_, rest)| rest);
    message.to_owned()
}

/// Where a file's page is. API Gateway decodes a path twice, so `%` and `?` are encoded twice.
fn path_of(name: &ObjectKey) -> String {
    let once = name.as_str().replace('%', "%25").replace('?', "%3F");
    format!("/{}", utf8_percent_encode(&once, IN_PATH))
}

#[cfg(test)]
mod tests;
