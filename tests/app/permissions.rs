//! Each function may do what the manifest grants, and nothing else.
//!
//! The functions' own code never asks for more, so it is replaced by a probe that makes any
//! call it is told to, with the credentials that its execution role gives it.

use acceptance::eventually;
use acceptance::probe::Probe;
use serde_json::{Value, json};

use crate::library::Stage;

#[test]
fn a_function_is_denied_what_its_policy_does_not_grant() {
    let stage = Stage::start();
    let (bucket, media, state) = (
        stage.variable("MEDIA_BUCKET_NAME"),
        stage.variable("MEDIA_TABLE_NAME"),
        stage.variable("MEDIA_STATE_TABLE_NAME"),
    );
    let key = json!({"name": {"S": "probe"}});
    let get_object = json!({"service": "s3", "operation": "get_object", "parameters": {"Bucket": bucket, "Key": "probe.txt"}});
    let put_object = json!({"service": "s3", "operation": "put_object", "parameters": {"Bucket": bucket, "Key": "stolen.txt"}});
    let get_state = json!({"service": "dynamodb", "operation": "get_item", "parameters": {"TableName": state, "Key": key}});
    let scan =
        json!({"service": "dynamodb", "operation": "scan", "parameters": {"TableName": media}});
    let delete_item = json!({"service": "dynamodb", "operation": "delete_item", "parameters": {"TableName": media, "Key": key}});
    let list =
        json!({"service": "s3", "operation": "list_objects_v2", "parameters": {"Bucket": bucket}});
    let list_buckets = json!({"service": "s3", "operation": "list_buckets", "parameters": {}});

    let detect = json!({"service": "rekognition", "operation": "detect_labels", "parameters":
        {"Image": {"S3Object": {"Bucket": bucket, "Name": "probe.txt"}}}});
    let start = json!({"service": "rekognition", "operation": "start_label_detection", "parameters":
        {"Video": {"S3Object": {"Bucket": bucket, "Name": "probe.txt"}}}});
    let result = json!({"service": "rekognition", "operation": "get_label_detection", "parameters": {"JobId": "0".repeat(64)}});

    let users = stage.variable("USERS_TABLE_NAME");
    let user_bucket = stage.variable("USER_BUCKET_NAME");
    let user = json!({"id": {"S": "probe"}});
    let on_user = |operation: &str, parameters: Value| {
        let mut parameters = parameters;
        parameters["TableName"] = users.into();
        json!({"service": "dynamodb", "operation": operation, "parameters": parameters})
    };
    let get_user = on_user("get_item", json!({"Key": user}));
    let put_user = on_user("put_item", json!({"Item": user}));
    let update_user = on_user("update_item", json!({"Key": user}));
    let delete_user = on_user("delete_item", json!({"Key": user}));
    let scan_users = on_user("scan", json!({}));
    let put_data = json!({"service": "s3", "operation": "put_object", "parameters": {"Bucket": user_bucket, "Key": "probe/userdata"}});
    let delete_data = json!({"service": "s3", "operation": "delete_object", "parameters": {"Bucket": user_bucket, "Key": "probe/userdata"}});
    let read_data = json!({"service": "s3", "operation": "get_object", "parameters": {"Bucket": user_bucket, "Key": "probe/userdata"}});

    stage.upload(
        "probe.txt",
        &acceptance::workspace().join("assets/sample.jpg"),
    );
    let cases = [
        (
            "detect-labels",
            vec![&get_object, &list, &get_state, &detect],
            vec![&put_object, &scan, &delete_item, &start, &result],
        ),
        (
            "handle-object-created",
            vec![&get_object, &list, &delete_item, &detect, &start],
            vec![&put_object, &scan, &list_buckets, &result],
        ),
        (
            "label-waiting",
            vec![&get_object, &list, &delete_item, &detect, &start],
            vec![&put_object, &scan, &list_buckets, &result],
        ),
        (
            "handle-object-removed",
            vec![&delete_item],
            vec![&get_object, &list, &put_object, &scan, &detect, &start],
        ),
        (
            "add-video-file",
            vec![&get_state, &delete_item],
            vec![&get_object, &scan, &detect, &start],
        ),
        (
            "media-api",
            vec![&scan, &get_state, &get_object],
            vec![&delete_item, &list, &read_data, &detect, &result],
        ),
        (
            "make-thumbnail",
            vec![&scan, &get_state, &get_object, &list],
            vec![&delete_item, &put_object, &read_data, &detect, &result],
        ),
        (
            "users-api",
            vec![&put_user, &delete_user, &scan_users],
            vec![&get_user, &update_user, &put_data, &scan, &get_object],
        ),
        (
            "check-email",
            vec![&update_user],
            vec![&get_user, &put_user, &delete_user, &scan_users, &put_data],
        ),
        (
            "handle-user-stream",
            vec![&get_user, &put_data, &delete_data],
            vec![
                &put_user,
                &update_user,
                &scan_users,
                &read_data,
                &put_object,
            ],
        ),
    ];
    for (function, allowed, denied) in cases {
        let probe = Probe::install(&stage, function);
        for call in allowed {
            assert_eq!(probe.ask(call), "allowed", "{function}: {call}");
        }
        for call in denied {
            let outcome = probe.ask(call);
            assert!(
                outcome.starts_with("AccessDenied"),
                "{function}: {call} gave {outcome}"
            );
        }
    }

    // What a bucket's policy denies to a function, Rekognition does not read for it either.
    deny_reading(&stage);
    let probe = Probe::install(&stage, "handle-object-created");
    for (call, outcome) in [
        (&get_object, "AccessDenied"),
        (&detect, "InvalidS3ObjectException"),
        (&start, "InvalidS3ObjectException"),
    ] {
        assert_eq!(probe.ask(call), outcome, "{call}");
    }
}

/// Denies everybody to read the media bucket's objects.
fn deny_reading(stage: &Stage) {
    let bucket = stage.variable("MEDIA_BUCKET_NAME");
    let deny = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*",
        "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*")}})
    .to_string();
    let put = ["s3api", "put-bucket-policy", "--bucket", bucket];
    stage.aws_ok(&[&put[..], &["--policy", &deny]].concat());
}

/// Rekognition answers alike for a file that is gone and for one that it may not read. The latter
/// is somebody's mistake, and the file is labelled once it is mended.
#[test]
fn a_file_that_may_not_be_read_for_now_is_not_given_up() {
    let stage = Stage::start();
    let bucket = stage.variable("MEDIA_BUCKET_NAME");
    deny_reading(&stage);
    for key in ["kept.jpg", "kept.mp4"] {
        let sample = key.replace("kept", "sample");
        stage.upload(key, &acceptance::workspace().join("assets").join(sample));
    }
    eventually("both events are given up", || {
        (stage.failed_events("handle-object-created") == 2).then_some(())
    });
    let failures = stage.xtask_ok(&["redrive", "handle-object-created", "--dry-run", "--json"]);
    assert!(failures.contains("InvalidS3ObjectException"), "{failures}");
    for key in ["kept.jpg", "kept.mp4"] {
        assert_eq!(
            stage.get(&format!("/{key}")).status,
            404,
            "nothing is recorded of {key}"
        );
    }

    stage.aws_ok(&["s3api", "delete-bucket-policy", "--bucket", bucket]);
    stage.xtask_ok(&["redrive", "handle-object-created"]);
    for key in ["kept.jpg", "kept.mp4"] {
        eventually("it is labelled", || {
            (stage.get(&format!("/{key}")).status == 200).then_some(())
        });
    }
}
