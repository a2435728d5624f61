//! Requests to HTTP APIs, by the way that calls of AWS take: through the same proxies, with the
//! same certificate authorities, and with the same patience.

use std::fmt::Display;
use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, Request};

use crate::error::{Error, Result};
use crate::target::Target;

/// What an HTTP API answered, whatever its status.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

/// Sends one request to an HTTP API, and does not repeat it. `signed` requests carry the
/// caller's signature, which an API with the authorization `iam` asks for.
///
/// # Errors
/// When the API cannot be reached, or does not answer in time.
pub async fn ask(target: &Target, request: Request<String>, signed: bool) -> Result<HttpAnswer> {
    send(target, request, signed.then_some("execute-api")).await
}

/// Sends one request, with the caller's signature for a service if there is one.
pub(crate) async fn send(
    target: &Target,
    mut request: Request<String>,
    signed_for: Option<&str>,
) -> Result<HttpAnswer> {
    let what = format!("could not ask {} {}", request.method(), request.uri());
    let failed = |error: &dyn Display| Error::new(&what).because(error.to_string());
    if let Some(service) = signed_for {
        add_signature(target, &mut request, service).await?;
    }
    let request = HttpRequest::try_from(request.map(SdkBody::from));
    let request = request.map_err(|error| failed(&error))?;
    let answer = target.http_client.send(request).await;
    let answer = answer.map_err(|error| Error::no_answer(&what, &error))?;
    let answer = answer.try_into_http1x().map_err(|error| failed(&error))?;
    let (head, body) = answer.into_parts();
    // The client has read it to its end.
    let body = body.bytes().unwrap_or_default();
    Ok(HttpAnswer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8_lossy(body).into_owned(),
    })
}

async fn add_signature(
    target: &Target,
    request: &mut Request<String>,
    service: &str,
) -> Result<()> {
    let failed = |error: &dyn Display| {
        Error::new(format!("could not sign a request to {}", request.uri()))
            .because(error.to_string())
    };
    let provider = target.config.credentials_provider();
    let provider = provider.ok_or_else(|| failed(&"there are no credentials"))?;
    let credentials = provider.provide_credentials().await;
    let identity = credentials.map_err(|error| failed(&error))?.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&target.region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?;
    let headers = request.headers().iter();
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))),
        SignableBody::Bytes(request.body().as_bytes()),
    )
    .map_err(|error| failed(&error))?;
    let signed = sign(signable, &params.into()).map_err(|error| failed(&error))?;
    signed.into_parts().0.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests;
