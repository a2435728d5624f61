use std::sync::Arc;

use serde_json::{Value, json};

use super::GetRequest;
use super::get::{AggregateBy, SortBy};
use crate::{
    general_labels::Label,
    job::{Job, JobId, LabelledFrame, StartRequest, State, Timeline},
    labels::{self, Detection},
    protocol::{ApiError, ErrorKind},
    video,
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
