//! The media library and its users: the one file to edit when the app changes.
//!
//! A trigger wires an event to a function and permits it to invoke the function. A
//! grant permits a function to use a resource. Either way the function gets the
//! variables of the bucket or table concerned. After an edit, `cargo xtask gen-policy`
//! writes down what functions may do now, and `cargo xtask deploy` shows what changes
//! in AWS before it does.

use manifest::kinds::{
    BucketAction::*, Cors, IndexAction, ItemChange::*, Match, QueueAction::*, TableAction::*,
};
use manifest::{Budget, Exception, Grant, Manifest};

/// Declares the app.
#[must_use]
pub fn app() -> Manifest {
    let app = Manifest::new("media-query");

    // How the world reaches it.
    let media_http = app
        .http_api("media")
        .variable("API_URL")
        .openapi(media_http::document);
    let users_http = app
        .http_api("users")
        .variable("USERS_API_URL")
        .openapi(users_http::document)
        .cors(Cors::origins(["*"]).expose_headers(["next-cursor"]));

    // What the app keeps.
    let media = app
        .bucket("media")
        .variable("MEDIA_BUCKET_NAME")
        .forms_of(&media_http);
    let catalogue = app.table("media", "name").variable("MEDIA_TABLE_NAME");
    let state = app
        .table("media-state", "name")
        .time_to_live("expires_at")
        .variable("MEDIA_STATE_TABLE_NAME");
    // What listings are read from: the entries of the lists that an item is in.
    let index = app
        .table("media-index", "list")
        .sort_key("name")
        .variable("MEDIA_INDEX_TABLE_NAME");
    let by_type = index.index("by-type", "typed_list").sort_key("name");
    let labels = app
        .table("media-labels", "list")
        .sort_key("label")
        .variable("MEDIA_LABELS_TABLE_NAME");
    let media_jobs = app
        .table("media-jobs", "job")
        .time_to_live("expires_at")
        .variable("MEDIA_JOBS_TABLE_NAME");
    let users = app
        .table("users", "id")
        .variable("USERS_TABLE_NAME")
        .key_variable("USERS_KEY_ATTRIBUTE")
        .attribute_variable("USERS_EMAIL_ATTRIBUTE", "email")
        .attribute_variable("USERS_TIMESTAMP_ATTRIBUTE", "timestamp")
        .attribute_variable("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE", "IsPersonalEmail");
    let user_data = app.bucket("users").variable("USER_BUCKET_NAME");
    let thumbnails = app.bucket("thumbnails").variable("THUMBNAILS_BUCKET_NAME");

    // Where objects wait that Rekognition does not take for now. Each time an object is sent back,
    // SQS keeps it for 14 more days.
    let waiting_images = app
        .queue("waiting-images")
        .retention_seconds(14 * 24 * 60 * 60)
        .variable("WAITING_IMAGES_QUEUE_URL");
    let waiting_videos = app
        .queue("waiting-videos")
        .retention_seconds(14 * 24 * 60 * 60)
        .variable("WAITING_VIDEOS_QUEUE_URL");

    // Rekognition's message about a job may be lost, and nobody would miss it.
    let overdue = app.schedule("find-lost-jobs", "rate(5 minutes)");

    // What the index lacks of a stage that is older than it, or of a function that was killed.
    let unindexed = app.schedule("index-media", "rate(5 minutes)");

    // Rekognition tells by the topic that it has looked at a video.
    let video = app.topic("video").variable("VIDEO_TOPIC_ARN");
    let rekognition = app
        .publisher(&video, "rekognition")
        .variable("VIDEO_ROLE_ARN");

    // What it does. Rekognition reads an object with the rights of the function that
    // asks for its labels. If it cannot, the function looks whether the object is gone: S3
    // tells that only to callers who may list the bucket.
    app.function("detect-labels")
        .grant(media.allow([GetObject, ListBucket]))
        .grant(image_labels())
        .grant(state.allow([GetItem, ConditionCheckItem]))
        .grant(catalogue.allow([GetItem, PutItem]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem]));

    app.function("add-video-file")
        .timeout_seconds(120)
        .trigger(video.published())
        .variable_of(&media)
        .grant(video_labels("rekognition:GetLabelDetection"))
        .grant(media_jobs.allow([DeleteItem]))
        .grant(state.allow([ConditionCheckItem, GetItem, PutItem]))
        .grant(catalogue.allow([GetItem, PutItem, DeleteItem]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem]));

    app.function("find-lost-jobs")
        .timeout_seconds(120)
        .trigger(overdue.fires())
        .grant(video_labels("rekognition:GetLabelDetection"))
        .grant(media_jobs.allow([Scan, DeleteItem]))
        .grant(state.allow([GetItem, PutItem]))
        .grant(catalogue.allow([GetItem, PutItem, DeleteItem]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem]));

    app.function("handle-object-created")
        .timeout_seconds(60)
        .trigger(media.object_created())
        .grant(media.allow([GetObject, ListBucket]))
        .grant(image_labels())
        .grant(video_labels("rekognition:StartLabelDetection"))
        .grant(rekognition.pass())
        .grant(media_jobs.allow([PutItem]))
        .grant(state.allow([GetItem, PutItem]))
        .grant(catalogue.allow([GetItem, PutItem, DeleteItem]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem]))
        .grant(waiting_images.allow([SendMessage]))
        .grant(waiting_videos.allow([SendMessage]));

    // Two batches of each kind at a time: more would only be refused. A message also counts as
    // received when the account has no concurrency left for the function.
    app.function("label-waiting")
        .timeout_seconds(120)
        .trigger(
            waiting_images
                .messages()
                .max_concurrency(2)
                .max_receive_count(10),
        )
        .trigger(
            waiting_videos
                .messages()
                .max_concurrency(2)
                .max_receive_count(10),
        )
        .grant(media.allow([GetObject, ListBucket]))
        .grant(image_labels())
        .grant(video_labels("rekognition:StartLabelDetection"))
        .grant(rekognition.pass())
        .grant(media_jobs.allow([PutItem]))
        .grant(state.allow([GetItem, PutItem]))
        .grant(catalogue.allow([GetItem, PutItem, DeleteItem]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem]))
        .grant(
            waiting_images
                .allow([SendMessage])
                .long_recursive("an image waits until Rekognition takes it"),
        )
        .grant(
            waiting_videos
                .allow([SendMessage])
                .long_recursive("a video waits until Rekognition takes it"),
        );

    app.function("handle-object-removed")
        .timeout_seconds(60)
        .trigger(media.object_removed())
        .grant(state.allow([PutItem]))
        .grant(catalogue.allow([GetItem, DeleteItem]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem]));

    app.function("index-media")
        .timeout_seconds(300)
        .trigger(unindexed.fires())
        .grant(state.allow([Scan]))
        .grant(catalogue.allow([ConditionCheckItem, GetItem, Scan]))
        .grant(index.allow([ConditionCheckItem, DeleteItem, GetItem, PutItem, Query]));

    app.function("count-labels")
        .timeout_seconds(60)
        .trigger(
            index
                .item_changes([Insert, Remove])
                .where_new("list", Match::prefix("label:"))
                .or()
                .where_old("list", Match::prefix("label:"))
                .batch_size(1000),
        )
        .grant(labels.allow([GetItem, UpdateItem]));

    // The state's stream tells of every change of the bucket that was recorded, also where the item
    // stays the same; that of the catalogue tells of items that somebody saved by hand. Memory is for
    // the largest picture: see its picture.rs.
    app.function("make-thumbnail")
        .memory_mb(1024)
        // It also holds decoders of pictures.
        .budget(Budget {
            zip_bytes: 2_500_000,
            ..Budget::default()
        })
        .timeout_seconds(120)
        .trigger(
            state
                .item_changes([Insert, Modify])
                .batch_size(10)
                .parallelization_factor(10),
        )
        .trigger(catalogue.item_changes([Insert]).batch_size(10))
        .variable_of(&index)
        .grant(state.allow([GetItem]))
        .grant(catalogue.allow([GetItem, Scan]))
        .grant(media.allow([GetObject, ListBucket]))
        .grant(thumbnails.allow([GetObject, PutObject, DeleteObject, ListBucket]));

    app.function("media-api")
        .trigger(media_http.get("/"))
        .trigger(media_http.get("/labels"))
        .trigger(media_http.get("/openapi.json"))
        .trigger(media_http.get("/{name+}"))
        .trigger(media_http.post("/uploads").for_writers())
        .trigger(media_http.delete("/{name+}").for_writers())
        .grant(catalogue.allow([GetItem, Scan]))
        .grant(state.allow([GetItem]))
        .grant(index.allow([GetItem, Query]))
        .grant(by_type.allow([IndexAction::Query]))
        .grant(labels.allow([Query]))
        .grant(media.allow([GetObject, PutObject, DeleteObject]))
        .grant(thumbnails.allow([GetObject]))
        .exception(Exception::unused(
            "s3:GetObject",
            "browsers get pictures by URLs that the function has signed",
        ))
        .exception(Exception::unused(
            "s3:PutObject",
            "browsers upload by forms that the function has signed",
        ));

    app.function("users-api")
        .trigger(users_http.get("/openapi.json"))
        .trigger(users_http.post("/create"))
        .trigger(users_http.post("/delete"))
        .trigger(users_http.post("/scan"))
        .grant(users.allow([PutItem, DeleteItem, Scan]));

    app.function("handle-user-stream")
        .timeout_seconds(60)
        .trigger(
            users
                .item_changes([Insert, Remove])
                .parallelization_factor(10),
        )
        .grant(users.allow([GetItem]))
        .grant(user_data.allow([PutObject, DeleteObject]));

    app.function("check-email")
        .timeout_seconds(60)
        .trigger(
            users
                .item_changes([Insert, Modify])
                .parallelization_factor(10),
        )
        .grant(
            users
                .allow([UpdateItem])
                .recursive("it updates only what is wrong, and an update makes it right"),
        )
        .environment(
            "PERSONAL_EMAIL_DOMAINS",
            "gmail.com,outlook.com,hotmail.com",
        );

    app
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
