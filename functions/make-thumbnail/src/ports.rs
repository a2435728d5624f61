//! The two buckets, as far as they matter here.

use std::future::Future;

use media::catalogue::CatalogueError;
use media::thumbnail::ThumbnailKey;
use runtime::s3::ObjectKey;

use crate::picture::Unreadable;

/// What the media bucket has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// Nothing.
    Gone,
    /// What the thumbnail is of that there is.
    AsBefore,
    /// Another picture, or one whose thumbnail is not there yet.
    New {
        /// S3's tag of the content. The same content has the same.
        version: String,
        /// The file, or why it is not read.
        file: Result<Vec<u8>, Unreadable>,
    },
}

/// The media bucket.
pub trait Pictures {
    /// The picture, unless it is of the version that is known.
    fn read(
        &self,
        name: &ObjectKey,
        known: Option<&str>,
    ) -> impl Future<Output = Result<Picture, ThumbnailError>>;
}

/// The bucket of the thumbnails.
pub trait Thumbnails {
    /// The version of the picture that the thumbnail is of, if there is one.
    fn version(
        &self,
        key: &ThumbnailKey,
    ) -> impl Future<Output = Result<Option<String>, ThumbnailError>>;

    /// Writes the thumbnail of a version, a JPEG; or the placeholder, if none can be made.
    fn put(
        &self,
        key: &ThumbnailKey,
        version: &str,
        made: &Result<Vec<u8>, Unreadable>,
    ) -> impl Future<Output = Result<(), ThumbnailError>>;

    /// Makes sure that there is no thumbnail.
    fn delete(&self, key: &ThumbnailKey) -> impl Future<Output = Result<(), ThumbnailError>>;
}

/// Why a thumbnail is not known to be in step with its picture. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThumbnailError {
    /// The catalogue could not be read.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A bucket did not do what it was asked for.
    #[error("could not {action} the {object}: {reason}")]
    Bucket {
        /// What was tried, as in "read".
        action: &'static str,
        /// Picture or thumbnail.
        object: &'static str,
        /// What the storage said.
        reason: String,
    },
    /// Someone replaces the picture all the time.
    #[error("the picture changed in each of {} rounds", runtime::in_step::ROUNDS)]
    Unsettled,
}
