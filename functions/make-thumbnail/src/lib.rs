//! Gives each picture of the catalogue a thumbnail, and takes it away with the picture.
//!
//! The function follows two tables. The stream of the state table has a record of every change of
//! the bucket that was recorded, also of a picture that was replaced by one with the same labels:
//! then the item stays the same, and the stream of the media table has none. That one has a record
//! of each new item, also of those that `detect-labels` saves by hand.
//!
//! A record is the occasion to look, by the rule of [`runtime::in_step`]. A thumbnail names the
//! version of the picture that it is of, so it is made once. A picture of which none can be made
//! has a placeholder, which says why.
//!
//! Items that are older than the function get theirs by an event of another form:
//! `{"backfill": {}}`. See [`Backfill`].

pub mod backfill;
pub mod picture;
pub mod ports;
pub mod s3;

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, Error};
use media::MediaType;
use media::dynamodb::{DynamoCatalogue, Tables};
use media::thumbnail::{Standing, Standings, ThumbnailKey};
use runtime::in_step::bring_in_step;
use runtime::s3::{KeyError, ObjectKey};
use runtime::stream::{self, StreamEvent, StreamRecord, StreamResponse, UnnumberedRecord};
use runtime::{Aws, Environment, Service};
use serde::Deserialize;
use serde_json::Value;

pub use crate::backfill::{Backfill, Progress};

use crate::ports::{Picture, Pictures, ThumbnailError, Thumbnails};
use crate::s3::S3Bucket;

/// What the function is invoked with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Event {
    Backfill { backfill: Backfill },
    Records(StreamEvent),
}

/// Runs the function in Lambda.
pub fn main() -> ExitCode {
    runtime::run(&[env!("CARGO_CRATE_NAME"), "media"], start())
}

async fn start() -> Result<(), Error> {
    let environment = Environment::of_process();
    let aws = Aws::new(&environment)?;
    let media = media::media_bucket(&environment)?;
    let thumbnails = environment.require("THUMBNAILS_BUCKET_NAME")?;
    let function = MakeThumbnail {
        catalogue: DynamoCatalogue::new(&aws, Tables::named_by(&environment)?),
        pictures: S3Bucket::new(&aws, media.as_str()),
        thumbnails: S3Bucket::new(&aws, &thumbnails),
    };
    aws.open_connections(&[
        Service::DYNAMODB,
        Service::s3(media.as_str()),
        Service::s3(&thumbnails),
    ])
    .await;
    runtime::serve(async |event| match event {
        Event::Records(event) => json(function.handle(event).await?),
        Event::Backfill { backfill } => json(function.backfill(backfill).await.map_err(failure)?),
    })
    .await
}

fn json(answer: impl serde::Serialize) -> Result<Value, Diagnostic> {
    serde_json::to_value(answer).map_err(failure)
}

fn failure(error: impl std::fmt::Display) -> Diagnostic {
    Diagnostic {
        error_type: "ThumbnailError".into(),
        error_message: error.to_string(),
    }
}

/// The function, with what it works on.
#[derive(Debug)]
pub struct MakeThumbnail<C, P, T> {
    /// The tables.
    pub catalogue: C,
    /// The media bucket.
    pub pictures: P,
    /// The bucket of the thumbnails.
    pub thumbnails: T,
}

/// How a name was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has a thumbnail, or the placeholder.
    Present,
    /// It has none: no picture with this name is in the catalogue.
    Absent,
    /// It is a video's, which has none.
    Skipped,
}

/// Why a record failed.
#[derive(Debug, thiserror::Error)]
enum HandleError {
    #[error(transparent)]
    Record(#[from] stream::RecordError),
    #[error("its key is not the one attribute \"name\"")]
    OtherKey,
    #[error(transparent)]
    Name(#[from] KeyError),
    #[error(transparent)]
    Thumbnail(#[from] ThumbnailError),
}

impl<C: Standings, P: Pictures, T: Thumbnails> MakeThumbnail<C, P, T> {
    /// Handles one batch of records.
    pub async fn handle(&self, event: StreamEvent) -> Result<StreamResponse, UnnumberedRecord> {
        let handle_record = async |record: &StreamRecord| self.handle_record(record).await;
        event.handle_in_order(handle_record).await
    }

    async fn handle_record(&self, record: &StreamRecord) -> Result<Outcome, HandleError> {
        let name = record.partition_key("name")?.ok_or(HandleError::OtherKey)?;
        Ok(self.bring_in_step(&ObjectKey::new(name)?).await?)
    }

    /// Brings the thumbnail of a name in step with its picture.
    async fn bring_in_step(&self, name: &ObjectKey) -> Result<Outcome, ThumbnailError> {
        if MediaType::of(name) != Some(MediaType::Image) {
            return Ok(Outcome::Skipped);
        }
        let key = ThumbnailKey::of(name);
        let look = async || Ok::<_, ThumbnailError>(self.catalogue.standing(name).await?);
        let act = async |standing: &Standing| self.follow(name, &key, standing).await;
        match bring_in_step(look, act).await? {
            Some(standing) if standing.has_item => Ok(Outcome::Present),
            Some(_) => Ok(Outcome::Absent),
            None => Err(ThumbnailError::Unsettled),
        }
    }

    async fn follow(
        &self,
        name: &ObjectKey,
        key: &ThumbnailKey,
        standing: &Standing,
    ) -> Result<(), ThumbnailError> {
        if !standing.has_item {
            return self.thumbnails.delete(key).await;
        }
        let known = self.thumbnails.version(key).await?;
        match self.pictures.read(name, known.as_deref()).await? {
            // The deletion of the picture will be recorded.
            Picture::Gone => self.thumbnails.delete(key).await,
            Picture::AsBefore => Ok(()),
            Picture::New { version, file } => {
                let made = file.and_then(|file| picture::thumbnail(&file));
                self.thumbnails.put(key, &version, &made).await
            }
        }
    }
}

#[cfg(test)]
mod tests;
