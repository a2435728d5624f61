//! The media library and its users: the one file to edit when the app changes.
//!
//! A trigger wires an event to a function and permits it to invoke the function. A
//! grant permits a function to use a resource. Either way the function gets the
//! variables of the bucket or table concerned. After an edit, `cargo xtask gen-policy`
//! writes down what functions may do now, and `cargo xtask deploy` shows what changes
//! in AWS before it does.

use manifest::Manifest;
use manifest::declare::{
    Bucket, BucketAction::*, Cors, Function, Grant, HttpApi, ItemChange::*, Table, TableAction::*,
    Topic,
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
    let users = Table::new("users", "id")
        .variable("USERS_TABLE_NAME")
        .key_variable("USERS_KEY_ATTRIBUTE")
        .attribute_variable("USERS_EMAIL_ATTRIBUTE", "email")
        .attribute_variable("USERS_TIMESTAMP_ATTRIBUTE", "timestamp")
        .attribute_variable("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE", "IsPersonalEmail");
    let user_data = Bucket::new("users").variable("USER_BUCKET_NAME");

    // How the world reaches it. Rekognition tells by the topic that it has looked at a video.
    let video = Topic::new("video").variable("VIDEO_TOPIC_ARN");
    let rekognition = video.publisher("rekognition").variable("VIDEO_ROLE_ARN");
    let media_http = HttpApi::new("media").variable("API_URL");
    let users_http = HttpApi::new("users")
        .variable("USERS_API_URL")
        .cors(Cors::origins(["*"]).expose_headers(["next-cursor"]));

    // What it does. Rekognition reads an object with the rights of the function that
    // asks for its labels. If it cannot, the function looks whether the object is gone: S3
    // tells that only to callers who may list the bucket.
    let detect_labels = Function::new("detect-labels")
        .grant(media.allow([GetObject, ListBucket]))
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
        .grant(media.allow([GetObject, ListBucket]))
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
        .trigger(media_http.get("/"))
        .trigger(media_http.get("/{name+}"))
        .grant(catalogue.allow([GetItem, Scan]))
        .grant(state.allow([GetItem]));

    let users_api = Function::new("users-api")
        .trigger(users_http.post("/create"))
        .trigger(users_http.post("/delete"))
        .trigger(users_http.post("/scan"))
        .grant(users.allow([PutItem, DeleteItem, Scan]));

    let handle_user_stream = Function::new("handle-user-stream")
        .timeout_seconds(60)
        .trigger(
            users
                .item_changes([Insert, Remove])
                .parallelization_factor(10),
        )
        .grant(users.allow([GetItem]))
        .grant(user_data.allow([PutObject, DeleteObject]));

    let check_email = Function::new("check-email")
        .timeout_seconds(60)
        .trigger(
            users
                .item_changes([Insert, Modify])
                .parallelization_factor(10),
        )
        .grant(users.allow([UpdateItem]))
        .environment(
            "PERSONAL_EMAIL_DOMAINS",
            "gmail.com,outlook.com,hotmail.com",
        );

    Manifest {
        name: "media-query",
        buckets: vec![media, user_data],
        tables: vec![catalogue, state, users],
        topics: vec![video],
        publishers: vec![rekognition],
        http_apis: vec![media_http, users_http],
        functions: vec![
            add_video_file,
            check_email,
            detect_labels,
            handle_object_created,
            handle_object_removed,
            handle_user_stream,
            media_api,
            users_api,
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
