//! The operation StartLabelDetection.

use serde::{Deserialize, Serialize};

use super::members::{MAX_ID_LENGTH, allowed, constraint, invalid, json};
use crate::{
    general_labels::GeneralLabelsSettings,
    job::{JobId, NotificationChannel, StartRequest},
    objects::ObjectLocation,
    protocol::ApiError,
};

/// What the reference of StartLabelDetection gives as the default of `MinConfidence`, in percent.
const DEFAULT_MIN_CONFIDENCE: f32 = 50.0;

/// What StartLabelDetection returns.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartResponse {
    /// The job, old or new.
    pub job_id: JobId,
}

impl StartRequest {
    /// Reads and checks the body of a request.
    ///
    /// # Errors
    /// The body is not JSON of the right shape, or a parameter is missing, out of range or not provided here.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            video: Option<Video>,
            client_request_token: Option<String>,
            min_confidence: Option<f32>,
            notification_channel: Option<NotificationChannel>,
            job_tag: Option<String>,
            features: Option<Vec<String>>,
            settings: Option<Settings>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Settings {
            general_labels: Option<GeneralLabelsSettings>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Video {
            s3_object: Option<ObjectLocation>,
        }
        let body: Body = json(body)?;
        let video = body
            .video
            .and_then(|video| video.s3_object)
            .ok_or_else(|| invalid("Video.S3Object is missing"))?;
        if let Some(features) = &body.features
            && features.iter().any(|feature| feature != "GENERAL_LABELS")
        {
            return Err(invalid(format!(
                "Features is {features:?}; it may hold GENERAL_LABELS only"
            )));
        }
        let min_confidence = body.min_confidence.unwrap_or(DEFAULT_MIN_CONFIDENCE);
        if !(0.0..=100.0).contains(&min_confidence) {
            return Err(invalid(format!(
                "MinConfidence is {min_confidence}; it must be from 0 to 100"
            )));
        }
        let settings = body
            .settings
            .unwrap_or_default()
            .general_labels
            .unwrap_or_default();
        settings.validate()?;
        if let Some(channel) = &body.notification_channel {
            check(channel)?;
        }
        constraint(
            "ClientRequestToken",
            body.client_request_token.as_deref(),
            MAX_ID_LENGTH,
            b"-_",
        )?;
        constraint("JobTag", body.job_tag.as_deref(), 1024, b"_.-:+=/")?;
        Ok(Self {
            video: video.checked("Video")?,
            min_confidence,
            settings,
            channel: body.notification_channel,
            tag: body.job_tag,
            token: body.client_request_token,
        })
    }
}

/// The patterns of the types `SNSTopicArn` and `RoleArn`.
fn check(channel: &NotificationChannel) -> Result<(), ApiError> {
    let topic: Vec<_> = channel.topic_arn.splitn(6, ':').collect();
    let is_account =
        |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(topic[..], ["arn", partition, "sns", _, account, name]
        if partition.starts_with("aws") && is_account(account) && !name.is_empty())
    {
        return Err(invalid(format!(
            "NotificationChannel.SNSTopicArn is `{}`, which is not the ARN of a topic",
            channel.topic_arn
        )));
    }
    let role: Vec<_> = channel.role_arn.splitn(6, ':').collect();
    if !matches!(role[..], ["arn", partition, "iam", "", account, name]
        if partition.starts_with("aws") && is_account(account)
            && name.strip_prefix("role/").is_some_and(|name| allowed(name, b"+=,.@-_/")))
    {
        return Err(invalid(format!(
            "NotificationChannel.RoleArn is `{}`, which is not the ARN of a role",
            channel.role_arn
        )));
    }
    Ok(())
}
