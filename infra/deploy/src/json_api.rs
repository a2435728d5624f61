//! Calls of services by AWS's JSON protocol, without their SDK.
//!
//! The SDK of Systems Manager alone takes as long to compile as those of all the other services
//! here together, and two of its operations are called. What the SDK does beside: the endpoint is
//! the one that the SDK has for CloudFormation, with the service's name in it; attempts are
//! repeated as often as elsewhere.
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>

use std::time::Duration;

use aws_sdk_cloudformation::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use http::Request;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::http_api::{HttpAnswer, send};
use crate::network::answer::printable;
use crate::settings::{ATTEMPTS_MAX, BACKOFF_MAX};
use crate::target::Target;

/// The pause after the first attempt. It doubles with each.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// A service that speaks the protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// As the user's AWS configuration names it.
    pub(crate) name: &'static str,
    /// In host names, and in signatures.
    pub(crate) host: &'static str,
    /// Before the name of an operation.
    pub(crate) target_prefix: &'static str,
}

/// Calls an operation; `what` completes "could not …". `Err` holds the code of an answer that is a
/// refusal beside its error.
pub(crate) async fn call(
    target: &Target,
    service: Service,
    operation: &str,
    body: &Value,
    what: &str,
) -> std::result::Result<Value, Refusal> {
    let url = endpoint(target, service).await?;
    let mut pause = FIRST_BACKOFF;
    for attempt in 1.. {
        let request = Request::post(&url)
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                format!("{}.{operation}", service.target_prefix),
            )
            .body(body.to_string())
            .map_err(|error| Error::new(format!("could not {what}")).because(error.to_string()))?;
        let refusal = match send(target, request, Some(service.host)).await {
            Ok(answer) if answer.status == 200 => {
                return Ok(serde_json::from_str(&answer.body).unwrap_or_default());
            }
            Ok(answer) => Refusal::read(&answer, what),
            Err(error) => Refusal::from(error),
        };
        let passes = matches!(
            refusal.error.kind(),
            ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::Throttled
        );
        if !passes || attempt >= ATTEMPTS_MAX {
            return Err(refusal);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
    unreachable!("the attempts end")
}

/// Why a call had no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The service's code, such as `ParameterNotFound`.
    pub(crate) code: Option<String>,
}

impl Refusal {
    fn read(answer: &HttpAnswer, what: &str) -> Self {
        let what = format!("could not {what}");
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let text = |keys: [&str; 2]| keys.iter().find_map(|key| body[*key].as_str());
        let Some(code) = text(["__type", "code"]) else {
            let status = answer.status;
            let error = if status >= 500 {
                Error::from_code(what, "ServiceUnavailable", &format!("HTTP status {status}"))
            } else {
                Error::new(what).because(format!("HTTP status {status} without an error code"))
            };
            return Self::from(error);
        };
        // The code may come with a namespace.
        let code = code.rsplit('#').next().unwrap_or_default();
        let message = text(["message", "Message"]).unwrap_or("no message");
        Self {
            error: Error::from_code(what, &printable(code), &printable(message)),
            code: Some(code.to_owned()),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, code: None }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

/// Where a service answers: at the user's own endpoint, or at AWS's.
async fn endpoint(target: &Target, service: Service) -> Result<String> {
    let mut detours = target.detours.iter();
    if let Some(detour) = detours.find(|detour| detour.is_url() && detour.serves(service.name)) {
        return Ok(detour.url.clone());
    }
    let failed = |why: String| {
        Error::new(format!("could not find the endpoint of {}", service.name)).because(why)
    };
    let params = Params::builder()
        .region(&target.region)
        .set_use_fips(target.config.use_fips())
        .set_use_dual_stack(target.config.use_dual_stack())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let endpoint = ResolveEndpoint::resolve_endpoint(&DefaultResolver::new(), &params).await;
    let endpoint = endpoint.map_err(|error| failed(error.to_string()))?;
    Ok(endpoint.url().replacen("cloudformation", service.host, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Aws;

    const SSM: Service = Service {
        name: "SSM",
        host: "ssm",
        target_prefix: "AmazonSSM",
    };

    #[tokio::test]
    async fn a_service_answers_beside_cloudformation() {
        let mut target = Aws::new().target();
        for (region, expected) in [
            ("eu-west-1", "https://ssm.eu-west-1.amazonaws.com"),
            ("cn-north-1", "https://ssm.cn-north-1.amazonaws.com.cn"),
        ] {
            target.region = region.to_owned();
            assert_eq!(endpoint(&target, SSM).await.unwrap(), expected);
        }
        target.detours.push(crate::network::Endpoint {
            url: "http://127.0.0.1:1".to_owned(),
            services: vec!["SSM"],
            source: "a test".to_owned(),
        });
        assert_eq!(endpoint(&target, SSM).await.unwrap(), "http://127.0.0.1:1");
    }

    #[test]
    fn a_refusal_has_aws_code_and_message() {
        let read = |status, body: &str| {
            let answer = HttpAnswer {
                status,
                headers: http::HeaderMap::new(),
                body: body.to_owned(),
            };
            Refusal::read(&answer, "look for a parameter")
        };
        let refusal = read(
            400,
            r#"{"__type": "com.amazonaws#AccessDeniedException", "Message": "no"}"#,
        );
        assert_eq!(refusal.code.as_deref(), Some("AccessDeniedException"));
        assert_eq!(refusal.error.kind(), ErrorKind::AccessDenied);
        assert_eq!(
            refusal.error.to_string(),
            "could not look for a parameter: no (AccessDeniedException)"
        );
        assert_eq!(read(503, "").error.kind(), ErrorKind::Unavailable);
        assert_eq!(read(404, "<html>").error.kind(), ErrorKind::Other);
    }
}
