//! The operations StartLabelDetection and GetLabelDetection.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    general_labels::{GeneralLabelsSettings, Label},
    jobs::{Job, State, Timeline},
    labeller::MODEL_VERSION,
    objects::ObjectLocation,
    protocol::{ApiError, ErrorKind},
    video,
};

/// What the reference of StartLabelDetection gives as the default of `MinConfidence`, in percent.
const DEFAULT_MIN_CONFIDENCE: f32 = 50.0;

/// What the reference of GetLabelDetection gives as the default of `MaxResults` and as its greatest effective value.
const MAX_RESULTS: usize = 1000;

/// The most characters of a `JobId` and a `ClientRequestToken`.
const MAX_ID_LENGTH: usize = 64;

/// Names a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct JobId(String);

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
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// Where the video is.
    pub video: ObjectLocation,
    /// Percent that a label must reach.
    pub min_confidence: f32,
    /// Which labels are wanted.
    pub settings: GeneralLabelsSettings,
    /// Where the end of the job is told.
    pub channel: Option<NotificationChannel>,
    /// What the caller calls the job.
    pub tag: Option<String>,
    /// Names the request, so that sending it again starts no second job.
    pub token: Option<String>,
}

/// Where the end of a job is told, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

    /// The patterns of the types `SNSTopicArn` and `RoleArn`.
    fn check(&self) -> Result<(), ApiError> {
        let topic: Vec<_> = self.topic_arn.splitn(6, ':').collect();
        let is_account =
            |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !matches!(topic[..], ["arn", partition, "sns", _, account, name]
            if partition.starts_with("aws") && is_account(account) && !name.is_empty())
        {
            return Err(invalid(format!(
                "NotificationChannel.SNSTopicArn is `{}`, which is not the ARN of a topic",
                self.topic_arn
            )));
        }
        let role: Vec<_> = self.role_arn.splitn(6, ':').collect();
        if !matches!(role[..], ["arn", partition, "iam", "", account, name]
            if partition.starts_with("aws") && is_account(account)
                && name.strip_prefix("role/").is_some_and(|name| allowed(name, b"+=,.@-_/")))
        {
            return Err(invalid(format!(
                "NotificationChannel.RoleArn is `{}`, which is not the ARN of a role",
                self.role_arn
            )));
        }
        Ok(())
    }
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
            channel.check()?;
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

/// A valid request for what a job found.
#[derive(Debug, PartialEq, Eq)]
pub struct GetRequest {
    /// The job.
    pub job: JobId,
    max_results: usize,
    sort_by: SortBy,
    aggregate_by: AggregateBy,
    /// How many results earlier responses had.
    skip: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SortBy {
    /// By name, and by confidence among the same name.
    Name,
    #[default]
    Timestamp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum AggregateBy {
    #[default]
    Timestamps,
    Segments,
}

/// What a `NextToken` holds: it is good for the same request only.
#[derive(Serialize, Deserialize)]
struct Page(String, SortBy, AggregateBy, usize);

impl GetRequest {
    /// Reads and checks the body of a request.
    ///
    /// # Errors
    /// The body is not JSON of the right shape, a parameter is missing or out of range, or `NextToken` is not one that a
    /// request for the same gave.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            job_id: Option<String>,
            max_results: Option<i64>,
            next_token: Option<String>,
            sort_by: Option<String>,
            aggregate_by: Option<String>,
        }
        let body: Body = json(body)?;
        let id = body.job_id.ok_or_else(|| invalid("JobId is missing"))?;
        constraint("JobId", Some(&id), MAX_ID_LENGTH, b"-_")?;
        let max_results = match body.max_results {
            None => MAX_RESULTS,
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| invalid(format!("MaxResults is {number}; it must be at least 1")))?
                .min(MAX_RESULTS),
        };
        let sort_by = one_of("SortBy", body.sort_by)?;
        let aggregate_by = one_of("AggregateBy", body.aggregate_by)?;
        let skip = match body.next_token {
            None => 0,
            Some(token) => BASE64_URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|token| serde_json::from_slice(&token).ok())
                .and_then(|Page(job, sort, aggregate, skip)| {
                    ((&job, sort, aggregate) == (&id, sort_by, aggregate_by)).then_some(skip)
                })
                .ok_or_else(|| {
                    ApiError::new(
                        ErrorKind::InvalidPaginationToken,
                        "NextToken is not one that a request for this job, order and aggregation gave",
                    )
                })?,
        };
        Ok(Self {
            job: JobId(id),
            max_results,
            sort_by,
            aggregate_by,
            skip,
        })
    }

    /// The token of the next page, if there are more results than `shown`.
    fn next_token(&self, shown: usize, all: usize) -> Option<String> {
        let next = self.skip + shown;
        let page = Page(self.job.0.clone(), self.sort_by, self.aggregate_by, next);
        (next < all)
            .then(|| BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&page).unwrap_or_default()))
    }

    /// The response to this request for a job.
    #[must_use]
    pub fn response<'a>(&self, job: &'a Job) -> GetResponse<'a> {
        let (status, message, timeline) = match &job.state {
            State::InProgress => (Status::InProgress, None, None),
            State::Succeeded(timeline) => (Status::Succeeded, None, Some(&**timeline)),
            State::Failed(reason) => (Status::Failed, Some(&**reason), None),
        };
        let mut labels = timeline.map_or_else(Vec::new, |timeline| match self.aggregate_by {
            AggregateBy::Timestamps => detections(timeline),
            AggregateBy::Segments => segments(timeline),
        });
        if self.sort_by == SortBy::Name {
            labels.sort_by(|a, b| {
                a.label
                    .name
                    .cmp(b.label.name)
                    .then_with(|| b.label.confidence.total_cmp(&a.label.confidence))
            });
        }
        let all = labels.len();
        let labels: Vec<_> = labels
            .into_iter()
            .skip(self.skip)
            .take(self.max_results)
            .collect();
        GetResponse {
            job_status: status,
            status_message: message,
            video_metadata: timeline.map(|timeline| &timeline.metadata),
            next_token: self.next_token(labels.len(), all),
            labels,
            label_model_version: MODEL_VERSION,
            job_id: &job.id,
            video: Video {
                s3_object: &job.request.video,
            },
            job_tag: job.request.tag.as_deref(),
            get_request_metadata: RequestMetadata {
                sort_by: self.sort_by,
                aggregate_by: self.aggregate_by,
            },
        }
    }
}

/// Every label at every time.
fn detections(timeline: &Timeline) -> Vec<LabelDetection> {
    let frames = timeline.frames.iter();
    let labels = frames.flat_map(|frame| frame.labels.iter().map(|label| (frame.millis, label)));
    labels
        .map(|(timestamp, label)| LabelDetection {
            timestamp,
            label: label.clone(),
            segment: None,
        })
        .collect()
}

/// Every label once for each stretch of time in which all frames that were looked at show it. It ends with the first frame
/// without it, or with the video, and is as confident as its most confident frame. As on AWS it has no instances.
fn segments(timeline: &Timeline) -> Vec<LabelDetection> {
    let mut segments: Vec<LabelDetection> = Vec::new();
    // The labels of the frame before, and where their segments are.
    let mut open: Vec<(&str, usize)> = Vec::new();
    for frame in &timeline.frames {
        let mut still_open = Vec::new();
        for label in &frame.labels {
            let index = open
                .iter()
                .find(|(name, _)| *name == label.name)
                .map_or_else(
                    || {
                        segments.push(LabelDetection {
                            timestamp: frame.millis,
                            label: Label {
                                instances: Vec::new(),
                                ..label.clone()
                            },
                            segment: Some(Segment::new(
                                frame.millis,
                                timeline.metadata.duration_millis,
                            )),
                        });
                        segments.len() - 1
                    },
                    |(_, index)| *index,
                );
            let shown = &mut segments[index].label;
            shown.confidence = shown.confidence.max(label.confidence);
            still_open.push((label.name, index));
        }
        for (name, index) in open {
            if !still_open.iter().any(|(shown, _)| *shown == name) {
                let segment = &mut segments[index];
                segment.segment = Some(Segment::new(segment.timestamp, frame.millis));
            }
        }
        open = still_open;
    }
    segments
}

/// What StartLabelDetection returns.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartResponse {
    /// The job, old or new.
    pub job_id: JobId,
}

/// What GetLabelDetection returns.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetResponse<'a> {
    job_status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_metadata: Option<&'a video::Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    labels: Vec<LabelDetection>,
    label_model_version: &'static str,
    job_id: &'a JobId,
    video: Video<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_tag: Option<&'a str>,
    get_request_metadata: RequestMetadata,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    InProgress,
    Succeeded,
    Failed,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Video<'a> {
    s3_object: &'a ObjectLocation,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RequestMetadata {
    sort_by: SortBy,
    aggregate_by: AggregateBy,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LabelDetection {
    timestamp: u64,
    label: Label,
    #[serde(flatten)]
    segment: Option<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Segment {
    start_timestamp_millis: u64,
    end_timestamp_millis: u64,
    duration_millis: u64,
}

impl Segment {
    fn new(start: u64, end: u64) -> Self {
        Self {
            start_timestamp_millis: start,
            end_timestamp_millis: end,
            duration_millis: end.saturating_sub(start),
        }
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(
            ErrorKind::Serialization,
            format!("the request body is not valid: {error}"),
        )
    })
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidParameter, message)
}

/// Whether a value is letters, digits and some other characters.
fn allowed(value: &str, others: &[u8]) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// Checks an optional member of letters, digits and some other characters.
fn constraint(
    member: &str,
    value: Option<&str>,
    greatest: usize,
    others: &[u8],
) -> Result<(), ApiError> {
    if value.is_none_or(|value| value.len() <= greatest && allowed(value, others)) {
        return Ok(());
    }
    Err(invalid(format!(
        "{member} must have from 1 to {greatest} letters, digits and characters of `{}`",
        others.escape_ascii()
    )))
}

/// A member that has one of a few values.
fn one_of<T: Default + DeserializeOwned>(
    member: &str,
    value: Option<String>,
) -> Result<T, ApiError> {
    let Some(value) = value else {
        return Ok(T::default());
    };
    serde_json::from_value(value.clone().into()).map_err(|error| {
        invalid(format!(
            "{member} is `{value}`, which is none of its values: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        jobs::LabelledFrame,
        labels::{self, Detection},
    };

    fn start(changes: &Value) -> Result<StartRequest, ApiError> {
        let mut body = json!({"Video": {"S3Object": {"Bucket": "videos", "Name": "a.mp4"}}});
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        StartRequest::parse(body.to_string().as_bytes())
    }

    fn get(body: &Value) -> Result<GetRequest, ApiError> {
        GetRequest::parse(body.to_string().as_bytes())
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let request = start(&json!({})).unwrap();
        assert_eq!(request.min_confidence, 50.0);
        assert_eq!(
            (request.channel, request.tag, request.token),
            (None, None, None)
        );
        let request = get(&json!({"JobId": "a"})).unwrap();
        assert_eq!((request.max_results, request.skip), (1000, 0));
        assert_eq!(
            (request.sort_by, request.aggregate_by),
            (SortBy::Timestamp, AggregateBy::Timestamps)
        );
        // "If you specify a value greater than 1000, a maximum of 1000 results is returned."
        assert_eq!(
            get(&json!({"JobId": "a", "MaxResults": 5000}))
                .unwrap()
                .max_results,
            1000
        );
    }

    #[test]
    fn a_violated_constraint_is_an_invalid_parameter() {
        let channel = |topic: &str, role: &str| json!({"NotificationChannel": {"SNSTopicArn": topic, "RoleArn": role}});
        let (topic, role) = (
            "arn:aws:sns:eu-west-1:123456789012:a",
            "arn:aws:iam::123456789012:role/path/a",
        );
        assert!(start(&channel(topic, role)).is_ok());
        for changes in [
            json!({"Video": null}),
            json!({"Video": {"S3Object": {"Bucket": "videos"}}}),
            json!({"MinConfidence": -1}),
            json!({"Features": ["IMAGE_PROPERTIES"]}),
            json!({"JobTag": ""}),
            json!({"JobTag": "a".repeat(1025)}),
            json!({"ClientRequestToken": "a".repeat(65)}),
            json!({"ClientRequestToken": "a.b"}),
            json!({"Settings": {"GeneralLabels": {"LabelInclusionFilters": ["a".repeat(51)]}}}),
            channel("arn:aws:sqs:eu-west-1:123456789012:a", role),
            channel("arn:aws:sns:eu-west-1:12:a", role),
            channel(topic, "arn:aws:iam::123456789012:user/a"),
            channel(topic, "a"),
        ] {
            let error = start(&changes).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidParameter, "{changes}");
        }
        for body in [
            json!({}),
            json!({"JobId": ""}),
            json!({"JobId": "a/b"}),
            json!({"JobId": "a", "MaxResults": 0}),
            json!({"JobId": "a", "SortBy": "name"}),
            json!({"JobId": "a", "AggregateBy": "FRAMES"}),
        ] {
            assert_eq!(
                get(&body).unwrap_err().kind,
                ErrorKind::InvalidParameter,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_not_json_of_the_right_shape_is_a_serialization_error() {
        for body in [
            "",
            "[]",
            r#"{"Video": 1}"#,
            r#"{"NotificationChannel": {"RoleArn": "a"}}"#,
        ] {
            let error = StartRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Serialization, "{body}");
        }
    }

    fn label(name: &'static str, confidence: f32) -> Label {
        let label = labels::Label {
            name,
            parents: vec![],
            aliases: vec![],
            category: None,
        };
        let detection = Detection {
            label: &label,
            confidence,
            instances: vec![labels::Instance {
                bounds: labels::BoundingBox {
                    left: 0.0,
                    top: 0.0,
                    width: 1.0,
                    height: 1.0,
                },
                confidence,
            }],
        };
        Label::new(&detection, 0.0)
    }

    /// A cat that goes and comes back, and a dog.
    fn job() -> Job {
        let frame = |millis, labels| LabelledFrame { millis, labels };
        let frames = vec![
            frame(0, vec![label("Cat", 80.0), label("Dog", 60.0)]),
            frame(500, vec![label("Cat", 90.0)]),
            frame(1000, vec![]),
            frame(1500, vec![label("Cat", 70.0)]),
        ];
        Job {
            id: JobId("a".to_owned()),
            request: Arc::new(start(&json!({})).unwrap()),
            state: State::Succeeded(Arc::new(Timeline {
                metadata: video::Metadata::of_test(2000),
                frames,
            })),
        }
    }

    fn response(body: &Value) -> Value {
        serde_json::to_value(get(body).unwrap().response(&job())).unwrap()
    }

    /// Times, names and confidences.
    fn shown(response: &Value) -> Vec<(u64, &str, f64)> {
        let labels = response["Labels"].as_array().unwrap().iter();
        labels
            .map(|found| {
                let label = &found["Label"];
                (
                    found["Timestamp"].as_u64().unwrap(),
                    label["Name"].as_str().unwrap(),
                    label["Confidence"].as_f64().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn labels_are_sorted_by_time_or_by_name_and_confidence() {
        let by_time = response(&json!({"JobId": "a"}));
        let expected = [
            (0, "Cat", 80.0),
            (0, "Dog", 60.0),
            (500, "Cat", 90.0),
            (1500, "Cat", 70.0),
        ];
        assert_eq!(shown(&by_time), expected);
        assert_eq!(
            by_time["Labels"][0]["Label"]["Instances"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(by_time["Labels"][0].get("StartTimestampMillis"), None);
        let by_name = response(&json!({"JobId": "a", "SortBy": "NAME"}));
        let expected = [
            (500, "Cat", 90.0),
            (0, "Cat", 80.0),
            (1500, "Cat", 70.0),
            (0, "Dog", 60.0),
        ];
        assert_eq!(shown(&by_name), expected);
        assert_eq!(
            by_name["GetRequestMetadata"],
            json!({"SortBy": "NAME", "AggregateBy": "TIMESTAMPS"})
        );
    }

    #[test]
    fn a_segment_lasts_until_the_label_is_gone() {
        let segments = response(&json!({"JobId": "a", "AggregateBy": "SEGMENTS"}));
        assert_eq!(
            shown(&segments),
            [(0, "Cat", 90.0), (0, "Dog", 60.0), (1500, "Cat", 70.0)]
        );
        let times: Vec<_> = segments["Labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| {
                assert_eq!(found["Label"]["Instances"], json!([]));
                ["Start", "End"].map(|end| found[format!("{end}TimestampMillis")].as_u64().unwrap())
            })
            .collect();
        assert_eq!(times, [[0, 1000], [0, 500], [1500, 2000]]);
        assert_eq!(segments["Labels"][2]["DurationMillis"], 500);
    }

    #[test]
    fn a_token_leads_through_the_pages_of_the_same_request_only() {
        let first = response(&json!({"JobId": "a", "MaxResults": 3}));
        let token = &first["NextToken"];
        assert!(token.as_str().unwrap().len() <= 255);
        let second = response(&json!({"JobId": "a", "MaxResults": 3, "NextToken": token}));
        assert_eq!(
            (shown(&first).len(), shown(&second)),
            (3, vec![(1500, "Cat", 70.0)])
        );
        assert_eq!(second.get("NextToken"), None);
        for body in [
            json!({"JobId": "b", "NextToken": token}),
            json!({"JobId": "a", "NextToken": token, "SortBy": "NAME"}),
            json!({"JobId": "a", "NextToken": token, "AggregateBy": "SEGMENTS"}),
            json!({"JobId": "a", "NextToken": "x"}),
        ] {
            assert_eq!(
                get(&body).unwrap_err().kind,
                ErrorKind::InvalidPaginationToken,
                "{body}"
            );
        }
    }

    #[test]
    fn a_job_without_a_result_says_how_far_it_is() {
        let request = get(&json!({"JobId": "a"})).unwrap();
        let with = |state| serde_json::to_value(request.response(&Job { state, ..job() })).unwrap();
        let running = with(State::InProgress);
        assert_eq!(
            (&running["JobStatus"], &running["Labels"]),
            (&json!("IN_PROGRESS"), &json!([]))
        );
        assert!(running.get("StatusMessage").is_none() && running.get("VideoMetadata").is_none());
        let failed = with(State::Failed("no reason".into()));
        assert_eq!(
            (&failed["JobStatus"], &failed["StatusMessage"]),
            (&json!("FAILED"), &json!("no reason"))
        );
    }
}
