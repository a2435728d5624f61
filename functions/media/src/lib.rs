//! The media catalogue: what the bucket holds, with the labels that Rekognition
//! sees in it.
//!
//! The crate has three layers, and each knows only those above it:
//!
//! - the domain: [`media_type`], and the rules and ports of [`catalogue`], [`detector`],
//!   [`running`] and [`waiting`], which [`labelling`] brings together; [`thumbnail`]. Keys and sequencers are those
//!   of [`runtime::s3`];
//! - what comes in: [`completion`] reads Rekognition's messages. Events of S3 are read by
//!   [`runtime::s3`];
//! - what goes out: [`dynamodb`], [`rekognition`] and [`sqs`] are the adapters. Only these know
//!   the AWS SDK.
//!
//! The functions' handlers are in the functions' own crates. They take the ports,
//! so the same code runs against AWS and against the memory of a test.

pub mod catalogue;
pub mod completion;
pub mod detector;
pub mod dynamodb;
pub mod labelling;
pub mod lists;
pub mod media_type;
pub mod rekognition;
pub mod running;
pub mod sqs;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod thumbnail;
pub mod waiting;

use runtime::s3::BucketName;
use runtime::{Environment, MissingVariable};

pub use catalogue::{Catalogue, MediaItem};
pub use detector::{Failure, LabelDetector, VideoJobs, VideoResults};
pub use media_type::MediaType;

/// The bucket that the catalogue is of, which the stack's variable names.
pub fn media_bucket(environment: &Environment) -> Result<BucketName, MissingVariable> {
    environment
        .require("MEDIA_BUCKET_NAME")
        .map(BucketName::new)
}
