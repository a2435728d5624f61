//! A local Amazon Rekognition endpoint with real labels from a real model.
//!
//! Emulators of AWS answer Rekognition's requests with canned labels or an error. This endpoint decodes the picture and
//! classifies it: [`classifier`] runs an EfficientNet-Lite through the interpreter in [`tflite`], and [`labels`] adds up
//! the probabilities of its thousand classes along WordNet's tree, so that a tabby is also a cat and an animal;
//! [`labeller`] is what the operations ask.
//! [`server`] speaks AWS's JSON protocol, and [`detect_labels`] is the operation.

pub mod classifier;
mod convolution;
pub mod detect_labels;
pub mod labeller;
pub mod labels;
pub mod objects;
pub mod picture;
pub mod protocol;
pub mod server;
pub mod tflite;
pub mod video;
