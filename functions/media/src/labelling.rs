//! Labelling the object of an event: an image at once, a video by a job.
//!
//! The state is read first, so that an event that comes late or twice costs no detection. What
//! makes it harmless is the catalogue's rule, not this reading. As long as a video's job runs, there
//! is no such state, and it is the job's idempotency that keeps a repeated event from starting
//! another.

use runtime::s3::{BucketName, ObjectEvent};
use tracing::info;

use crate::catalogue::{Catalogue, RecordError, record_detection};
use crate::detector::{DetectError, Failure, LabelDetector, VideoJobs};
use crate::media_type::MediaType;

/// What labels objects.
#[derive(Debug)]
pub struct Labelling<C, D, J> {
    /// The bucket that the catalogue is of.
    pub bucket: BucketName,
    /// Where changes are recorded.
    pub catalogue: C,
    /// What sees the labels of images.
    pub detector: D,
    /// What starts looking at videos.
    pub jobs: J,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labelled {
    /// Nothing is left to do: the object is labelled or can never be, a job looks at it, or it is
    /// none of the catalogue's.
    Done,
    /// The detector takes no more for now.
    Refused(MediaType, Failure),
}

impl<C: Catalogue, D: LabelDetector, J: VideoJobs> Labelling<C, D, J> {
    /// Labels the object that `event` tells of.
    ///
    /// # Errors
    /// Something failed that has nothing to do with how much the detector takes.
    pub async fn label(&self, event: ObjectEvent) -> Result<Labelled, RecordError> {
        let ObjectEvent {
            key: name,
            sequencer,
        } = event;
        let Some(media_type) = MediaType::of(&name) else {
            info!(%name, "skipped: its extension is not that of an image or video");
            return Ok(Labelled::Done);
        };
        let state = self.catalogue.state(&name).await?;
        if state.is_some_and(|state| state.supersedes(&sequencer)) {
            info!(%name, %sequencer, "skipped: this change or a later one is recorded");
            return Ok(Labelled::Done);
        }
        let detected = match media_type {
            MediaType::Image => self.detector.detect(&self.bucket, &name).await,
            MediaType::Video => match self.jobs.start(&self.bucket, &name, &sequencer).await {
                Ok(job) => {
                    info!(%name, %sequencer, %job, "started a job for the video");
                    return Ok(Labelled::Done);
                }
                Err(error) => Err(error),
            },
        };
        if let Err(DetectError::Throttled(refusal)) = detected {
            return Ok(Labelled::Refused(media_type, refusal));
        }
        record_detection(&self.catalogue, name, sequencer, media_type, detected).await?;
        Ok(Labelled::Done)
    }
}
