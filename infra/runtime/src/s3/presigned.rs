//! Requests that somebody else makes with the rights of the function, for minutes: a browser that
//! shows an object, and a form that uploads one.
//!
//! They are signed here and not by S3's client, whose code for an operation would be part of the
//! function although it never calls it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::{SigningParams, calculate_signature, generate_signing_key};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;

use super::key::ObjectKey;
use crate::aws::Aws;
use crate::uri::IN_PATH;

/// How long a URL or a form can be used, at least.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// URLs of the same object are the same for so long, so that a browser need not load it again.
const SAME_FOR: Duration = Duration::from_secs(5 * 60);

/// Signs requests for the objects of one bucket.
#[derive(Debug, Clone)]
pub struct Presigner {
    credentials: Credentials,
    region: String,
    bucket: String,
    /// The URL of the bucket, without a slash at its end.
    url: String,
}

/// A form by which a browser uploads one object: the fields, then the file in the field `file`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Form {
    /// Where to send it.
    pub url: String,
    /// Names and values.
    pub fields: Vec<(&'static str, String)>,
}

/// Why a request could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("could not sign a request for the bucket: {0}")]
pub struct PresignError(String);

impl PresignError {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl Presigner {
    /// A signer with the function's credentials.
    ///
    /// # Errors
    /// The region has no endpoint.
    pub async fn new(aws: &Aws, bucket: &str) -> Result<Self, PresignError> {
        Ok(Self {
            credentials: aws.credentials().clone(),
            region: aws.region().to_owned(),
            bucket: bucket.to_owned(),
            url: aws.bucket_url(bucket).await.map_err(PresignError::new)?,
        })
    }

    /// The origin of the URLs, for a Content-Security-Policy.
    pub fn origin(&self) -> &str {
        let host = self.url.find("://").map_or(0, |scheme| scheme + 3);
        let path = self.url[host..].find('/');
        path.map_or(&*self.url, |path| &self.url[..host + path])
    }

    /// A URL that shows the object for [`LIFETIME`], and then for [`SAME_FOR`] at most.
    ///
    /// # Errors
    /// The URL cannot be signed.
    pub fn get(&self, key: &str, now: SystemTime) -> Result<String, PresignError> {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since_epoch.unwrap_or_default().as_secs();
        let signed_at = seconds - seconds % SAME_FOR.as_secs();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(signed_at);

        let url = format!("{}/{}", self.url, utf8_percent_encode(key, IN_PATH));
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(LIFETIME + SAME_FOR);
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(time)
            .settings(settings)
            .build()
            .map_err(PresignError::new)?
            .into();
        let no_headers = std::iter::empty();
        let body = SignableBody::UnsignedPayload;
        let request = SignableRequest::new("GET", &url, no_headers, body);
        let signed = sign(request.map_err(PresignError::new)?, &params);
        let (instructions, _) = signed.map_err(PresignError::new)?.into_parts();
        let query = instructions.params().iter().map(|(name, value)| {
            format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
        });
        Ok(format!("{url}?{}", query.collect::<Vec<_>>().join("&")))
    }

    /// A form that uploads an object for [`LIFETIME`]: one of this key, content type and size in
    /// bytes, and no other.
    ///
    /// # Errors
    /// The time is none that can be written.
    pub fn form(
        &self,
        key: &ObjectKey,
        content_type: &str,
        bytes: u64,
        now: SystemTime,
    ) -> Result<Form, PresignError> {
        let (signed_at, date) = compact(now)?;
        let key_id = self.credentials.access_key_id();
        let scope = format!("{key_id}/{date}/{}/s3/aws4_request", self.region);
        let mut fields = vec![
            ("key", key.to_string()),
            ("Content-Type", content_type.to_owned()),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", scope),
            ("x-amz-date", signed_at),
        ];
        let token = self.credentials.session_token();
        fields.extend(token.map(|token| ("x-amz-security-token", token.to_owned())));

        let mut conditions: Vec<_> = fields
            .iter()
            .map(|(name, value)| json!({*name: value}))
            .collect();
        conditions.push(json!({"bucket": self.bucket}));
        conditions.push(json!(["content-length-range", bytes, bytes]));
        let expiration = text(now + LIFETIME)?;
        let policy = json!({"expiration": expiration, "conditions": conditions});
        let policy = BASE64_STANDARD.encode(policy.to_string());
        let secret = self.credentials.secret_access_key();
        let signing_key = generate_signing_key(secret, now, &self.region, "s3");
        let signature = calculate_signature(signing_key, policy.as_bytes());
        fields.extend([("policy", policy), ("x-amz-signature", signature)]);
        Ok(Form {
            url: format!("{}/", self.url),
            fields,
        })
    }
}

/// As in `2026-01-05T09:30:00Z`.
fn text(time: SystemTime) -> Result<String, PresignError> {
    let seconds = DateTime::from(time).secs();
    let text = DateTime::from_secs(seconds).fmt(Format::DateTime);
    text.map_err(PresignError::new)
}

/// As in `20260105T093000Z`, and the date alone.
fn compact(time: SystemTime) -> Result<(String, String), PresignError> {
    let compact = text(time)?.replace(['-', ':'], "");
    let date = compact.chars().take(8).collect();
    Ok((compact, date))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use serde_json::Value;

    /// The time of the examples in S3's API reference.
    const SIGNED_AT: u64 = 1_369_353_600;

    async fn presigner(more: &[(&str, &str)]) -> Presigner {
        let environment: Environment = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            (
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
        ]
        .iter()
        .chain(more)
        .copied()
        .collect();
        let aws = Aws::new(&environment).unwrap();
        Presigner::new(&aws, "examplebucket").await.unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_url_names_object_time_and_lifetime() {
        let presigner = presigner(&[]).await;
        let url = presigner.get("a b/é+%.jpg", at(SIGNED_AT)).unwrap();
        assert!(
            url.starts_with(
                "https://examplebucket.s3.us-east-1.amazonaws.com/a%20b/%C3%A9%2B%25.jpg?"
            ),
            "{url}"
        );
        for part in [
            "X-Amz-Algorithm=AWS4%2DHMAC%2DSHA256",
            "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus%2Deast%2D1%2Fs3%2Faws4%5Frequest",
            "X-Amz-Date=20130524T000000Z",
            "X-Amz-Expires=900",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Signature=",
        ] {
            assert!(url.contains(part), "{part}: {url}");
        }
    }

    #[tokio::test]
    async fn a_url_stays_the_same_for_minutes() {
        let presigner = presigner(&[]).await;
        let url = |seconds| presigner.get("a.jpg", at(seconds)).unwrap();
        assert_eq!(url(SIGNED_AT), url(SIGNED_AT + 299));
        assert_ne!(url(SIGNED_AT), url(SIGNED_AT + 300));
    }

    #[tokio::test]
    async fn the_origin_is_where_urls_lead() {
        let on_aws = presigner(&[]).await;
        assert_eq!(
            on_aws.origin(),
            "https://examplebucket.s3.us-east-1.amazonaws.com"
        );
        let local = presigner(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]).await;
        assert_eq!(local.origin(), "http://127.0.0.1:4566");
        let url = local.get("a.jpg", at(SIGNED_AT)).unwrap();
        assert!(
            url.starts_with("http://127.0.0.1:4566/examplebucket/a.jpg?"),
            "{url}"
        );
    }

    #[tokio::test]
    async fn a_form_is_for_one_key_type_and_size() {
        let presigner = presigner(&[("AWS_SESSION_TOKEN", "token")]).await;
        let key = ObjectKey::new("a b.jpg").unwrap();
        let form = presigner
            .form(&key, "image/jpeg", 1234, at(1_451_347_200))
            .unwrap();
        assert_eq!(
            form.url,
            "https://examplebucket.s3.us-east-1.amazonaws.com/"
        );
        let field = |wanted| {
            let mut fields = form.fields.iter();
            fields
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| &**value)
                .unwrap()
        };
        let policy = BASE64_STANDARD.decode(field("policy")).unwrap();
        let policy: Value = serde_json::from_slice(&policy).unwrap();
        let credential = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
        assert_eq!(
            policy,
            json!({
                "expiration": "2015-12-29T00:10:00Z",
                "conditions": [
                    {"key": "a b.jpg"},
                    {"Content-Type": "image/jpeg"},
                    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
                    {"x-amz-credential": credential},
                    {"x-amz-date": "20151229T000000Z"},
                    {"x-amz-security-token": "token"},
                    {"bucket": "examplebucket"},
                    ["content-length-range", 1234, 1234],
                ],
            })
        );
        assert_eq!(field("x-amz-signature").len(), 64);
    }
}
