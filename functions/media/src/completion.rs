//! Rekognition's messages at the end of video jobs, as SNS delivers them.
//!
//! A job says in its tag which change of the object it was started for. Jobs that someone
//! starts by hand have no such tag.
//!
//! <https://docs.aws.amazon.com/rekognition/latest/dg/video-notification-payload.html>

use runtime::records::{Failed, RecordFailure, RecordsError};
use runtime::s3::{BucketName, KeyError, ObjectKey, Sequencer, SequencerError};
use runtime::sns::SnsEvent;
use serde::Deserialize;

use crate::detector::JobId;

/// Tells our tags from those of jobs started by hand, which may be any text, even a
/// hexadecimal number.
const TAG_PREFIX: &str = "sequencer:";

/// Rekognition's names of the jobs that detect labels. It sends the first, as the example in
/// "Calling Amazon Rekognition Video operations" of its developer guide; the second is in the
/// guide's "Reference: Video analysis results notification".
const LABEL_DETECTION: [&str; 2] = ["StartLabelDetection", "LABEL_DETECTION"];

/// The tag of a job for the change at `sequencer`. It is within Rekognition's limits:
/// up to 1024 characters, of letters, digits and `_.-:+=/`.
/// <https://docs.aws.amazon.com/rekognition/latest/APIReference/API_StartLabelDetection.html>
pub(crate) fn job_tag(sequencer: &Sequencer) -> String {
    format!("{TAG_PREFIX}{sequencer}")
}

/// What SNS sends: messages, in practice one.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Completion(SnsEvent);

/// The end of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The job.
    pub job: JobId,
    /// How it ended.
    pub status: JobStatus,
    /// The raw key of the video.
    pub key: ObjectKey,
    /// The change that the job was started for. `None` if by hand.
    pub sequencer: Option<Sequencer>,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobStatus {
    /// Its labels can be fetched.
    Succeeded,
    /// The video cannot be analysed.
    Failed,
    /// Rekognition could not analyse it.
    Error,
}

/// What a message says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    job_id: JobId,
    status: JobStatus,
    #[serde(rename = "API")]
    api: String,
    job_tag: Option<String>,
    video: Video,
}

#[derive(Debug, Deserialize)]
struct Video {
    #[serde(rename = "S3ObjectName")]
    object_name: String,
    #[serde(rename = "S3Bucket")]
    bucket: String,
}

/// Why a message cannot be handled. Nothing is skipped in silence: a message that should
/// not be here ends in the failure queue, where it is seen.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The job looked for something else.
    #[error(
        "the message is about a {0:?} job, and the catalogue holds the results of label detection jobs: give other jobs another topic"
    )]
    WrongJob(String),
    /// The job looked at a video of another bucket.
    #[error("the message is about the bucket {found:?}, the catalogue about {expected:?}")]
    WrongBucket {
        /// Bucket in the message.
        found: String,
        /// The catalogue's bucket.
        expected: String,
    },
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The tag is like ours, with no sequencer in it.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
}

impl RecordFailure for MessageError {}

impl JobEnd {
    fn of(message: Message, bucket: &BucketName) -> Result<Self, MessageError> {
        if !LABEL_DETECTION.contains(&message.api.as_str()) {
            return Err(MessageError::WrongJob(message.api));
        }
        if message.video.bucket != bucket.as_str() {
            return Err(MessageError::WrongBucket {
                found: message.video.bucket,
                expected: bucket.as_str().into(),
            });
        }
        let tag = message.job_tag.as_deref();
        let sequencer = tag.and_then(|tag| tag.strip_prefix(TAG_PREFIX));
        Ok(Self {
            job: message.job_id,
            status: message.status,
            key: ObjectKey::new(message.video.object_name)?,
            sequencer: sequencer.map(Sequencer::parse).transpose()?,
        })
    }
}

impl Completion {
    /// Hands every job's end to `handle`, one after the other, and fails if one of them
    /// failed.
    pub async fn for_each<E: Into<Failed>>(
        self,
        bucket: &BucketName,
        handle: impl AsyncFn(JobEnd) -> Result<(), E>,
    ) -> Result<(), RecordsError> {
        let handle_message = async |message| {
            let end = JobEnd::of(message, bucket)?;
            handle(end).await.map_err(Into::into)
        };
        let expected = "Rekognition's about a finished job";
        self.0
            .for_each::<Message, Failed>(expected, handle_message)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    const EVENT: &str = include_str!("../../../assets/events/add-video-file.json");

    async fn handled(event: Value) -> (Vec<JobEnd>, Result<(), RecordsError>) {
        let ends = RefCell::new(Vec::new());
        let completion: Completion = serde_json::from_value(event).unwrap();
        let keep = async |end| {
            ends.borrow_mut().push(end);
            Ok::<_, MessageError>(())
        };
        let bucket = BucketName::new("amzn-s3-demo-bucket");
        let result = completion.for_each(&bucket, keep).await;
        (ends.into_inner(), result)
    }

    /// The sample event with another message.
    fn sample(change: impl Fn(&mut Value)) -> Value {
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        let text = &mut event["Records"][0]["Sns"]["Message"];
        let mut message = serde_json::from_str(text.as_str().unwrap()).unwrap();
        change(&mut message);
        *text = message.to_string().into();
        event
    }

    #[tokio::test]
    async fn the_sample_event_is_read() {
        let (ends, result) = handled(serde_json::from_str(EVENT).unwrap()).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            ends,
            [JobEnd {
                job: JobId::new("6de014b0a2121e4bf09e31856a18719e22ab0c6d7fb8d5c4e3a2917f6b5d4c3e"),
                status: JobStatus::Succeeded,
                key: ObjectKey::new("holiday videos/dog+ball.mp4").unwrap(),
                sequencer: Some(Sequencer::parse("0055AED6DCD90281E7").unwrap()),
            }]
        );
    }

    #[tokio::test]
    async fn tags_of_others_and_none_mean_by_hand() {
        for tag in [
            json!("0055AED6DCD90281E5"),
            json!("cats"),
            json!(""),
            Value::Null,
        ] {
            let (ends, _) = handled(sample(|message| message["JobTag"] = tag.clone())).await;
            assert_eq!(ends[0].sequencer, None, "{tag}");
        }
        let without = sample(|message| {
            message.as_object_mut().unwrap().remove("JobTag");
        });
        assert_eq!(handled(without).await.0[0].sequencer, None);
    }

    #[tokio::test]
    async fn every_status_is_known_and_the_key_is_raw() {
        for (status, expected) in [
            ("SUCCEEDED", JobStatus::Succeeded),
            ("FAILED", JobStatus::Failed),
            ("ERROR", JobStatus::Error),
        ] {
            let event = sample(|message| {
                message["Status"] = status.into();
                message["Video"]["S3ObjectName"] = "a+b%20c.mp4".into();
            });
            let (ends, _) = handled(event).await;
            assert_eq!(ends[0].status, expected);
            assert_eq!(ends[0].key.as_str(), "a+b%20c.mp4");
        }
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_handled_fails_the_event() {
        for (field, value, told) in [
            ("/API", json!("FACE_DETECTION"), "\"FACE_DETECTION\" job"),
            ("/Status", json!("IN_PROGRESS"), "IN_PROGRESS"),
            ("/JobId", Value::Null, "not Rekognition's"),
            ("/JobTag", json!("sequencer:now"), "sequencer \"now\""),
            (
                "/Video/S3Bucket",
                json!("other"),
                "about the bucket \"other\"",
            ),
            ("/Video/S3ObjectName", json!(""), "key is empty"),
        ] {
            let event = sample(|message| *message.pointer_mut(field).unwrap() = value.clone());
            let (ends, result) = handled(event).await;
            assert_eq!(ends, []);
            let message = result.unwrap_err().to_string();
            assert!(message.contains(told), "{message}");
            assert!(
                message.contains("95df01b4-ee98-5cb9-9903-4c221d41eb5e"),
                "{message}"
            );
        }
        let (_, nothing) = handled(json!({})).await;
        assert_eq!(nothing, Err(RecordsError::NoRecords));
    }

    proptest! {
        #[test]
        fn a_sequencer_survives_in_a_tag_that_rekognition_takes(text in "[0-9a-fA-F]{1,64}") {
            let sequencer = Sequencer::parse(&text).unwrap();
            let tag = job_tag(&sequencer);
            prop_assert!(tag.len() <= 1024);
            prop_assert!(tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-:+=/".contains(c)));
            let read = tag.strip_prefix(TAG_PREFIX).map(Sequencer::parse);
            prop_assert_eq!(read, Some(Ok(sequencer)));
        }
    }
}
