//! The media catalogue: what the bucket holds, with the labels that Rekognition
//! sees in it.
//!
//! The crate has three layers, and each knows only those above it:
//!
//! - the domain: [`key`], [`media_type`], [`sequencer`], and the rules and ports
//!   of [`catalogue`] and [`detector`];
//! - what comes in: [`notification`] reads S3's events, [`completion`] Rekognition's
//!   messages, [`form`] decodes what arrives form-urlencoded;
//! - what goes out: [`dynamodb`], [`rekognition`] and `s3` are the adapters. Only these know
//!   the AWS SDK.
//!
//! The functions' handlers are in the functions' own crates. They take the ports,
//! so the same code runs against AWS and against the memory of a test.

pub mod catalogue;
pub mod completion;
pub mod detector;
pub mod dynamodb;
pub mod form;
pub mod key;
pub mod media_type;
pub mod notification;
pub mod rekognition;
mod s3;
pub mod sequencer;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use catalogue::{Catalogue, MediaItem};
pub use detector::{Failure, LabelDetector, VideoJobs, VideoResults};
pub use key::{BucketName, ObjectKey};
pub use media_type::MediaType;
pub use sequencer::Sequencer;
