//! The operation GetLabelDetection.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::members::{MAX_ID_LENGTH, constraint, invalid, json, one_of};
use crate::{
    general_labels::Label,
    job::{Job, JobId, State, Timeline},
    labeller::MODEL_VERSION,
    objects::ObjectLocation,
    protocol::{ApiError, ErrorKind},
    video,
};

/// What the reference of GetLabelDetection gives as the default of `MaxResults` and as its greatest effective value.
const MAX_RESULTS: usize = 1000;

/// A valid request for what a job found.
#[derive(Debug, PartialEq, Eq)]
pub struct GetRequest {
    /// The job.
    pub job: JobId,
    pub(super) max_results: usize,
    pub(super) sort_by: SortBy,
    pub(super) aggregate_by: AggregateBy,
    /// How many results earlier responses had.
    pub(super) skip: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum SortBy {
    /// By name, and by confidence among the same name.
    Name,
    #[default]
    Timestamp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum AggregateBy {
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
                    .cmp(&b.label.name)
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
            still_open.push((&*label.name, index));
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
