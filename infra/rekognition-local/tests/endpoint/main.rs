//! The endpoint as its users meet it: the built command, the AWS SDK, real weights.
//!
//! Tests that need the weights find them through the environment variables `REKOGNITION_MODEL`, the path of
//! `efficientnet_lite0.tflite`, and `REKOGNITION_DETECTOR`, the path of `yolov4-tiny.weights`; without them they are
//! reported as ignored.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod aws;
mod images;
mod program;
mod server;
mod videos;

use libtest_mimic::{Arguments, Failed, Trial};

use server::Weights;

/// Names of tests, and the tests.
type Tests<T> = &'static [(&'static str, T)];

fn main() {
    let weights = Weights::from_environment();
    let without_weights: Tests<fn()> = &[
        (
            "no_weights_is_a_misuse_that_says_where_to_get_them",
            program::no_weights_is_a_misuse,
        ),
        (
            "a_file_that_is_no_model_is_refused",
            program::a_file_that_is_no_model_is_refused,
        ),
        ("help_teaches", program::help_teaches),
    ];
    let with_weights: Tests<fn(&Weights)> = &[
        (
            "photos_have_the_labels_that_the_readme_shows",
            images::photos_have_their_labels,
        ),
        ("things_have_their_places", images::things_have_their_places),
        (
            "settings_filter_labels_and_ask_for_properties",
            images::settings_are_honoured,
        ),
        (
            "probabilities_are_those_of_litert",
            images::probabilities_are_those_of_litert,
        ),
        (
            "a_parent_is_at_least_as_confident_as_its_child",
            images::a_parent_is_at_least_as_confident,
        ),
        ("objects_are_read_from_s3", images::objects_are_read_from_s3),
        (
            "limits_on_labels_are_honoured",
            images::limits_on_labels_are_honoured,
        ),
        (
            "errors_are_those_that_the_sdk_knows",
            images::errors_are_typed,
        ),
        (
            "other_operations_are_refused_by_name",
            program::other_operations_are_refused,
        ),
        (
            "the_same_picture_has_the_same_labels_under_load",
            images::same_labels_under_load,
        ),
        (
            "a_request_without_operation_asks_for_health",
            program::health,
        ),
        (
            "it_ends_with_its_standard_input_or_on_a_signal",
            program::it_ends,
        ),
        (
            "a_video_is_labelled_in_time_and_its_end_told",
            videos::labelled,
        ),
        ("results_are_paged_sorted_and_aggregated", videos::pages),
        ("settings_and_confidence_choose_labels", videos::settings),
        ("a_token_starts_one_job", videos::tokens),
        ("a_video_that_cannot_be_decoded_fails", videos::failures),
        (
            "errors_about_videos_are_those_that_the_sdk_knows",
            videos::errors,
        ),
        ("the_authorizer_decides", videos::authorization),
    ];
    let without = without_weights.iter().map(|(name, test)| {
        Trial::test(*name, move || {
            test();
            Ok::<_, Failed>(())
        })
    });
    let with =
        with_weights.iter().map(|(name, test)| {
            let paths = weights.clone();
            Trial::test(*name, move || {
                test(&paths.ok_or(
                    "set REKOGNITION_MODEL and REKOGNITION_DETECTOR to the weights' paths",
                )?);
                Ok::<_, Failed>(())
            })
            .with_ignored_flag(weights.is_none())
        });
    libtest_mimic::run(&Arguments::from_args(), without.chain(with).collect()).exit();
}
