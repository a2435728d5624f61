//! A local Amazon Rekognition endpoint with real labels from a real model.
//!
//! Emulators of AWS answer Rekognition's requests with canned labels or an error. This endpoint decodes the picture and
//! looks at it with two models: [`classifier`] runs an EfficientNet-Lite through the interpreter in [`tflite`], and
//! [`detector`] a YOLOv4-tiny through the one in [`darknet`]. [`labels`] puts together what they say, adding up the
//! probabilities of the classifier's thousand classes along WordNet's tree, so that a tabby is also a cat and an animal.
//! [`labeller`] is what the operations ask. [`server`] speaks AWS's JSON protocol, and [`detect_labels`] is the operation
//! for pictures.
//!
//! [`label_detection`] has the operations for videos. [`jobs`] runs what they start: [`video`] decodes about two frames a
//! second, the same labeller looks at them, and [`sns`] tells that it is done. [`authorization`] has an emulator of AWS
//! decide whether a caller may do what it asks.

pub mod authorization;
pub mod classifier;
mod convolution;
pub mod darknet;
pub mod detect_labels;
pub mod detector;
pub mod general_labels;
pub mod image_properties;
pub mod job;
pub mod jobs;
pub mod label_detection;
pub mod labeller;
pub mod labels;
pub mod objects;
pub mod observation;
pub mod picture;
pub mod protocol;
pub mod quotas;
pub mod recording;
pub mod server;
pub mod sns;
pub mod tflite;
pub mod video;
mod winograd;
