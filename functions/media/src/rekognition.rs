//! Labels from Amazon Rekognition: of images at once, of videos by jobs.

mod call;
mod image;
#[cfg(test)]
mod tests;
mod video;

pub use image::RekognitionDetector;
pub use video::{Channel, RekognitionJobs, RekognitionResults};
