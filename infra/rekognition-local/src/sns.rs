//! Tells a topic that a job has ended, as Rekognition does: it assumes the role of the notification channel and publishes
//! with the credentials that this gives, so what the role may not do fails here, too.

use std::{
    error::Error,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sdk_sns::config::SharedCredentialsProvider;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    job::{Job, JobId, NotificationChannel, State},
    objects::causes,
};

/// How long to wait before each further attempt. What is down for longer is not waited for: the job has its result.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Says on whose behalf a role is assumed. STS takes it as the key `aws:SourceAccount` of the role's trust policy.
const SOURCE_ACCOUNT: &str = "x-amz-source-account";

/// Says which service assumes a role, where no certificate does. The emulator of the local stage looks for it in the role's
/// trust policy; others ignore it.
const SERVICE_PRINCIPAL: &str = "x-local-service-principal";

/// What "Getting the completion status of an Amazon Rekognition Video analysis request" says the message is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Completion<'a> {
    job_id: &'a JobId,
    status: &'static str,
    #[serde(rename = "API")]
    api: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_tag: Option<&'a str>,
    /// Milliseconds since 1970.
    timestamp: u64,
    video: Video<'a>,
}

#[derive(Debug, Serialize)]
struct Video<'a> {
    #[serde(rename = "S3ObjectName")]
    name: Option<&'a str>,
    #[serde(rename = "S3Bucket")]
    bucket: Option<&'a str>,
}

impl<'a> Completion<'a> {
    /// The message about a job that has just ended.
    #[must_use]
    pub fn of(job: &'a Job) -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            job_id: &job.id,
            status: match job.state {
                State::Succeeded(_) => "SUCCEEDED",
                State::InProgress | State::Failed(_) => "FAILED",
            },
            api: "StartLabelDetection",
            job_tag: job.request.tag.as_deref(),
            timestamp: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            video: Video {
                name: job.request.video.name.as_deref(),
                bucket: job.request.video.bucket.as_deref(),
            },
        }
    }
}

/// Publishes messages as the roles that may.
pub struct Publisher {
    sts: aws_sdk_sts::Client,
    sns: aws_sdk_sns::Client,
}

impl Publisher {
    /// Assumes roles through `sts` and publishes through `sns`, whose own credentials are not used.
    #[must_use]
    pub fn new(sts: aws_sdk_sts::Client, sns: aws_sdk_sns::Client) -> Self {
        Self { sts, sns }
    }

    /// Publishes a message, in several attempts. A failure is logged, because no caller waits.
    pub async fn publish(&self, channel: &NotificationChannel, message: &Completion<'_>) {
        let (topic, role) = (&channel.topic_arn, &channel.role_arn);
        let mut pauses = PAUSES.into_iter();
        while let Err(error) = self.try_publish(channel, message).await {
            let error = causes(&*error);
            let failure = format!(
                "telling {topic} as {role} that job {} has ended failed: {error}",
                message.job_id
            );
            let Some(pause) = pauses.next() else {
                tracing::error!(
                    "{failure}; giving up. Check that the topic exists, that the role's trust policy names rekognition.amazonaws.com and that its policy allows sns:Publish"
                );
                return;
            };
            tracing::warn!("{failure}; trying again in {} ms", pause.as_millis());
            sleep(pause).await;
        }
    }

    async fn try_publish(
        &self,
        channel: &NotificationChannel,
        message: &Completion<'_>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let message = serde_json::to_string(message)?;
        let account = channel.account().to_owned();
        let assumed = self
            .sts
            .assume_role()
            .role_arn(&channel.role_arn)
            .role_session_name("rekognition-local")
            .customize()
            .mutate_request(move |request| {
                request
                    .headers_mut()
                    .insert(SOURCE_ACCOUNT, account.clone());
                request
                    .headers_mut()
                    .insert(SERVICE_PRINCIPAL, "rekognition.amazonaws.com");
            })
            .send()
            .await?;
        let credentials = assumed.credentials.ok_or("STS gave no credentials")?;
        let credentials = Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            None,
            "assumed role",
        );
        let as_role = aws_sdk_sns::config::Builder::default()
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        self.sns
            .publish()
            .topic_arn(&channel.topic_arn)
            .message(message)
            .customize()
            .config_override(as_role)
            .send()
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::StartRequest;
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[test]
    fn the_message_has_the_documented_members() {
        let body = json!({
            "Video": {"S3Object": {"Bucket": "videos", "Name": "a b+c.mp4"}},
            "JobTag": "a.b",
        });
        let job = Job {
            id: JobId::random(),
            request: Arc::new(StartRequest::parse(body.to_string().as_bytes()).unwrap()),
            state: State::Failed("no reason".into()),
        };
        let mut message = serde_json::to_value(Completion::of(&job)).unwrap();
        let timestamp = message["Timestamp"].take().as_u64().unwrap();
        assert!(timestamp > 1_700_000_000_000, "{timestamp}");
        let expected = json!({
            "JobId": job.id,
            "Status": "FAILED",
            "API": "StartLabelDetection",
            "JobTag": "a.b",
            "Timestamp": Value::Null,
            "Video": {"S3ObjectName": "a b+c.mp4", "S3Bucket": "videos"},
        });
        assert_eq!(message, expected);
    }
}
