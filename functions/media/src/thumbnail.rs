//! What the thumbnail of a picture depends on, and where it lies.
//!
//! A picture that is in the catalogue has a thumbnail, in a bucket of its own: in the media bucket,
//! it would be labelled.

use std::future::Future;

use runtime::s3::{DerivedKey, ObjectKey, Sequencer};

use crate::catalogue::CatalogueError;

/// Key of a picture's thumbnail: `<name of the picture>/thumbnail`, see [`DerivedKey`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThumbnailKey(DerivedKey);

impl ThumbnailKey {
    /// The key of the thumbnail of the picture with this name.
    pub fn of(name: &ObjectKey) -> Self {
        Self(DerivedKey::new(name.as_str(), "thumbnail"))
    }

    /// The key as S3 takes it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What the catalogue says of a name. It differs after each event that was recorded, also where a
/// picture was replaced by one with the same labels, and the item is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Place of the last change that was recorded, if one was.
    pub sequencer: Option<Sequencer>,
    /// Whether there is an item.
    pub has_item: bool,
}

/// The catalogue, as far as thumbnails depend on it.
pub trait Standings {
    /// What the catalogue says of a name. Every write that ended before is seen, and none that is
    /// recorded after the sequencer was read goes unnoticed: the item is read last.
    fn standing(&self, name: &ObjectKey) -> impl Future<Output = Result<Standing, CatalogueError>>;

    /// Up to `limit` names of items, from the one after `after` on, in the table's order, and
    /// whether there are more.
    fn names(
        &self,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<ObjectKey>, bool), CatalogueError>>;
}
