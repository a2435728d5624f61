//! Many files at once, more than Rekognition takes: all are catalogued in the end, and nobody has to
//! do anything for it.
use std::collections::BTreeSet;
use std::time::Instant;

use acceptance::workspace;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::library::Stage;

/// Uploads at a time.
const AT_ONCE: usize = 16;

#[test]
fn what_rekognition_does_not_take_waits_for_its_turn() {
    let quotas = [
        ("REKOGNITION_CALLS_PER_SECOND", "3"),
        ("REKOGNITION_JOBS", "1"),
    ];
    let stage = Stage::start_in(&quotas);
    upload_and_wait(&stage, 10, 4, "100s");
    // Of both kinds, some had to wait. Otherwise, nothing is shown.
    let log = stage.xtask_ok(&["logs", "handle-object-created", "--json"]);
    let lines = log.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        serde_json::from_str::<Value>(event["message"].as_str()?).ok()
    });
    let refused: BTreeSet<String> = lines
        .filter(|line| line["message"] == "refused: it waits")
        .map(|line| line["media_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(Vec::from_iter(refused), ["image", "video"]);
}

#[test]
#[ignore = "takes many minutes"]
fn long_bulk_upload_of_2000_images_and_200_videos() {
    let stage = Stage::start();
    // As in an account that has no more. The machine could not run hundreds of functions at a time.
    let function = stage.physical_name("handle-object-created");
    stage.aws_ok(&[
        "lambda",
        "put-function-concurrency",
        "--function-name",
        &function,
        "--reserved-concurrent-executions",
        "10",
    ]);
    upload_and_wait(&stage, 2000, 200, "3h");
}

/// Uploads so many files, and has everything done within the patience.
fn upload_and_wait(stage: &Stage, images: usize, videos: usize, patience: &str) {
    let started = Instant::now();
    let names: BTreeSet<String> = (0..images)
        .map(|number| format!("image {number}.jpg"))
        .chain((0..videos).map(|number| format!("video {number}.mp4")))
        .collect();
    upload(stage, &names);
    let uploaded = started.elapsed();
    stage.xtask_ok(&["wait", "--timeout", patience]);
    eprintln!(
        "{} files: uploaded within {:.1} s, catalogued within {:.1} s",
        names.len(),
        uploaded.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    let difference: Vec<_> = names
        .symmetric_difference(&catalogued(stage))
        .cloned()
        .collect();
    assert_eq!(difference, [""; 0]);
    let info: Value = serde_json::from_str(&stage.xtask_ok(&["info", "--json"])).unwrap();
    for queue in info["failure_queues"].as_array().unwrap() {
        assert_eq!(queue["events"], 0, "{queue}");
    }
}

fn upload(stage: &Stage, names: &BTreeSet<String>) {
    let s3 = stage.s3();
    let bucket = stage.variable("MEDIA_BUCKET_NAME");
    let read = |name: &str| std::fs::read(workspace().join("assets").join(name)).unwrap();
    let (image, video) = (read("sample.jpg"), read("sample.mp4"));
    let put = |name: &String| {
        let content = if name.ends_with(".jpg") {
            &image
        } else {
            &video
        };
        let put = s3.put_object().bucket(bucket).key(name);
        put.body(ByteStream::from(content.clone()))
    };
    Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let mut uploads = JoinSet::new();
            for name in names {
                if uploads.len() == AT_ONCE {
                    uploads.join_next().await.unwrap().unwrap();
                }
                let put = put(name);
                uploads.spawn(async move { put.send().await.map(drop).unwrap() });
            }
            uploads.join_all().await;
        });
}

/// The names of all items of the catalogue.
fn catalogued(stage: &Stage) -> BTreeSet<String> {
    let table = stage.variable("MEDIA_TABLE_NAME");
    let scan = [
        "dynamodb",
        "scan",
        "--table-name",
        table,
        "--projection-expression",
        "#n",
    ];
    let names = ["--expression-attribute-names", r##"{"#n": "name"}"##];
    let found = stage.aws_json(&[&scan[..], &names].concat());
    let items = found["Items"].as_array().unwrap();
    let names = items
        .iter()
        .map(|item| item["name"]["S"].as_str().unwrap().to_owned());
    names.collect()
}
