//! Videos, as the tutorial's last part verifies them: labelled asynchronously by a job whose
//! end is announced on a topic.
use std::path::PathBuf;

use acceptance::{Reply, eventually, workspace};
use serde_json::{Value, json};

use crate::library::Stage;

#[test]
fn videos() {
    let stage = Stage::start();
    a_job_started_by_hand_is_catalogued(&stage);
    a_deleted_video_is_gone_and_an_uploaded_one_comes_back(&stage);
    a_video_that_cannot_be_labelled_says_why(&stage);
}

fn sample() -> PathBuf {
    workspace().join("assets/sample.mp4")
}

fn object(stage: &Stage, key: &str) -> String {
    format!("s3://{}/{key}", stage.variable("MEDIA_BUCKET_NAME"))
}

fn catalogued(stage: &Stage, path: &str) -> Reply {
    eventually(&format!("GET {path}"), || {
        let reply = stage.get(path);
        (reply.status == 200).then_some(reply)
    })
}

fn is_a_labelled_video(item: &Value) {
    assert_eq!(
        (&item["name"], &item["type"]),
        (&json!("sample.mp4"), &json!("video"))
    );
    assert!(
        item["labels"]
            .as_array()
            .is_some_and(|labels| !labels.is_empty()),
        "{item}"
    );
    assert_eq!(item.get("error"), None, "{item}");
}

fn a_job_started_by_hand_is_catalogued(stage: &Stage) {
    stage.aws_ok(&[
        "s3",
        "cp",
        sample().to_str().unwrap(),
        &object(stage, "sample.mp4"),
    ]);
    let channel = format!(
        "SNSTopicArn={},RoleArn={}",
        stage.variable("VIDEO_TOPIC_ARN"),
        stage.variable("VIDEO_ROLE_ARN")
    );
    let video = format!(
        "S3Object={{Bucket={},Name=sample.mp4}}",
        stage.variable("MEDIA_BUCKET_NAME")
    );
    let job = stage.aws_json(&[
        "rekognition",
        "start-label-detection",
        "--video",
        &video,
        "--notification-channel",
        &channel,
    ]);
    let job_id = job["JobId"].as_str().unwrap();
    let result = eventually("the job's end", || {
        let result = stage.aws_json(&["rekognition", "get-label-detection", "--job-id", job_id]);
        (result["JobStatus"] != "IN_PROGRESS").then_some(result)
    });
    assert_eq!(result["JobStatus"], "SUCCEEDED", "{result}");
    assert!(result["VideoMetadata"]["DurationMillis"].as_u64().unwrap() > 0);
    let timestamps: Vec<u64> = result["Labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label["Timestamp"].as_u64().unwrap())
        .collect();
    assert!(
        timestamps.is_sorted() && timestamps.first() < timestamps.last(),
        "{timestamps:?}"
    );

    is_a_labelled_video(&catalogued(stage, "/sample.mp4").json());
    let list = stage.get("/?media-type=video").json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    is_a_labelled_video(&list[0]);
    assert_eq!(stage.get("/?media-type=image").json(), json!([]));
}

fn a_deleted_video_is_gone_and_an_uploaded_one_comes_back(stage: &Stage) {
    stage.aws_ok(&["s3", "rm", &object(stage, "sample.mp4")]);
    let gone = eventually("404 for sample.mp4", || {
        let reply = stage.get("/sample.mp4");
        (reply.status == 404).then_some(reply)
    });
    assert_eq!(
        gone.json(),
        json!({"Code": "NotFoundError", "Message": "NotFoundError: Media file (sample.mp4) not found"})
    );
    stage.aws_ok(&[
        "s3",
        "cp",
        sample().to_str().unwrap(),
        &object(stage, "sample.mp4"),
    ]);
    is_a_labelled_video(&catalogued(stage, "/sample.mp4").json());
}

fn a_video_that_cannot_be_labelled_says_why(stage: &Stage) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "this is not a film").unwrap();
    for key in ["broken.mp4", "old.flv"] {
        stage.upload(key, file.path());
        let item = catalogued(stage, &format!("/{key}")).json();
        assert_eq!(item["type"], "video", "{item}");
        assert_eq!(item["labels"], json!([]), "{item}");
        assert!(
            item["error"]["Code"].is_string() && item["error"]["Message"].is_string(),
            "{item}"
        );
    }
    let list = stage.get("/?media-type=video").json();
    assert_eq!(
        list.as_array().unwrap().len(),
        1,
        "only labelled videos are listed: {list}"
    );
}
