//! A job: what it was started with, how far it is, and what was found.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    general_labels::{GeneralLabelsSettings, Label},
    objects::ObjectLocation,
    video::Metadata,
};

/// Names a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub(crate) String);

impl JobId {
    /// A new one, of 64 hexadecimal digits as AWS's.
    #[must_use]
    pub fn random() -> Self {
        let half = || uuid::Uuid::new_v4().simple().to_string();
        Self(half() + &half())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A valid request to start a job. Two are equal if they ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Where the video is.
    pub video: ObjectLocation,
    /// Percent that a label must reach.
    pub min_confidence: f32,
    /// Which labels are wanted.
    pub settings: GeneralLabelsSettings,
    /// Where the end of the job is published.
    pub channel: Option<NotificationChannel>,
    /// What the caller calls the job.
    pub tag: Option<String>,
    /// Names the request, so that sending it again starts no second job.
    pub token: Option<String>,
}

/// Where the end of a job is published, and by which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationChannel {
    /// The topic.
    #[serde(rename = "SNSTopicArn")]
    pub topic_arn: String,
    /// The role that may publish to it.
    #[serde(rename = "RoleArn")]
    pub role_arn: String,
}

impl NotificationChannel {
    /// The account that the role is in. It is the caller's as well: roles cannot be passed across accounts.
    #[must_use]
    pub fn account(&self) -> &str {
        self.role_arn.split(':').nth(4).unwrap_or_default()
    }
}

/// A job as it is at one moment.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it was started with.
    pub request: Arc<StartRequest>,
    /// How far it is.
    pub state: State,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub enum State {
    /// Waiting or running.
    InProgress,
    /// Done.
    Succeeded(Arc<Timeline>),
    /// Given up, and why.
    Failed(Arc<str>),
}

/// What was found in a video.
#[derive(Debug, Serialize, Deserialize)]
pub struct Timeline {
    /// What kind of video it is.
    pub metadata: Metadata,
    /// The frames that were looked at, in the order of their times.
    pub frames: Vec<LabelledFrame>,
}

/// What was found in one frame.
#[derive(Debug, Serialize, Deserialize)]
pub struct LabelledFrame {
    /// From the start of the video.
    pub millis: u64,
    /// From the most to the least confident.
    pub labels: Vec<Label>,
}

/// A job as it is written down: `R` is its request and `T` its timeline, borrowed or owned.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptJob<R, T> {
    /// Its name.
    pub id: JobId,
    /// What it was started with.
    pub request: R,
    /// What came of it, if it has ended.
    pub outcome: Option<KeptOutcome<T>>,
    /// Whether its end was published, or need not be.
    pub is_told: bool,
}

/// What came of a job.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeptOutcome<T> {
    /// What was found.
    Succeeded(T),
    /// Why it was given up.
    Failed(String),
}
