//! The app's acceptance tests on the local stage. They are one program, as those of the framework.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bulk_upload;
mod chaos;
mod console;
mod gallery;
mod library;
mod local_rekognition;
mod media_library;
mod names;
mod openapi;
mod permissions;
mod poison;
mod search;
mod upgrade;
mod users;
mod verify;
mod videos;
