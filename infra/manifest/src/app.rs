//! The media library: the one file to edit when the app changes.
//!
//! A trigger wires an event to a function and permits it to invoke the function. A
//! grant permits a function to use a resource. Either way the function gets the
//! variable of the bucket or table concerned. After an edit, `cargo xtask gen-policy`
//! writes down what functions may do now, and `cargo xtask deploy` shows what changes
//! in AWS before it does.

use crate::declare::{
    Bucket, BucketAction::*, Function, Grant, HttpApi, Manifest, Table, TableAction::*, Topic,
};

/// Declares the app.
#[must_use]
pub fn app() -> Manifest {
    // What the app keeps.
    let media = Bucket::new("media").variable("MEDIA_BUCKET_NAME");
    let catalogue = Table::new("media", "name").variable("MEDIA_TABLE_NAME");
    let state = Table::new("media-state", "name")
        .time_to_live("expires_at")
        .variable("MEDIA_STATE_TABLE_NAME");

    // How the world reaches it. Rekognition tells by the topic that it has looked at a video.
    let video = Topic::new("video").variable("VIDEO_TOPIC_ARN");
    let rekognition = video.publisher("rekognition").variable("VIDEO_ROLE_ARN");
    let api = HttpApi::new("media").variable("API_URL");

    // What it does. Rekognition reads an object with the rights of the function that
    // asks for its labels.
    let detect_labels = Function::new("detect-labels")
        .grant(media.allow([GetObject]))
        .grant(image_labels())
        .grant(state.allow([GetItem, ConditionCheckItem]))
        .grant(catalogue.allow([PutItem]));

    let add_video_file = Function::new("add-video-file")
        .timeout_seconds(120)
        .trigger(video.published())
        .know(&media)
        .grant(video_labels("rekognition:GetLabelDetection"))
        .grant(state.allow([ConditionCheckItem, GetItem, PutItem]))
        .grant(catalogue.allow([PutItem, DeleteItem]));

    let handle_object_created = Function::new("handle-object-created")
        .timeout_seconds(60)
        .trigger(media.object_created())
        .grant(media.allow([GetObject]))
        .grant(image_labels())
        .grant(video_labels("rekognition:StartLabelDetection"))
        .grant(rekognition.pass())
        .grant(state.allow([GetItem, PutItem]))
        .grant(catalogue.allow([PutItem, DeleteItem]));

    let handle_object_removed = Function::new("handle-object-removed")
        .timeout_seconds(60)
        .trigger(media.object_removed())
        .grant(state.allow([PutItem]))
        .grant(catalogue.allow([DeleteItem]));

    let media_api = Function::new("media-api")
        .trigger(api.get("/"))
        .trigger(api.get("/{name+}"))
        .grant(catalogue.allow([GetItem, Scan]))
        .grant(state.allow([GetItem]));

    Manifest {
        name: "media-query",
        buckets: vec![media],
        tables: vec![catalogue, state],
        topics: vec![video],
        publishers: vec![rekognition],
        http_apis: vec![api],
        functions: vec![
            add_video_file,
            detect_labels,
            handle_object_created,
            handle_object_removed,
            media_api,
        ],
    }
}

fn image_labels() -> Grant {
    Grant::unscoped(
        "rekognition:DetectLabels",
        "the action takes an image, not a resource: IAM has no ARN to restrict it to",
    )
}

fn video_labels(action: &str) -> Grant {
    Grant::unscoped(
        action,
        "a job that looks at a stored video has no ARN to restrict the action to",
    )
}
