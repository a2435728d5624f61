use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::s3::ObjectKey;

use crate::catalogue::{
    Catalogue, CatalogueError, ChangeKind, MediaItem, ObjectChange, Outcome, State,
};

/// A catalogue in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryCatalogue(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    items: BTreeMap<ObjectKey, MediaItem>,
    states: BTreeMap<ObjectKey, State>,
}

impl MemoryCatalogue {
    /// The item of a key.
    pub fn item(&self, name: &ObjectKey) -> Option<MediaItem> {
        self.contents().items.get(name).cloned()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalogue for MemoryCatalogue {
    async fn state(&self, name: &ObjectKey) -> Result<Option<State>, CatalogueError> {
        Ok(self.contents().states.get(name).cloned())
    }

    async fn record(&self, change: &ObjectChange) -> Result<Outcome, CatalogueError> {
        let mut contents = self.contents();
        let state = contents.states.get(&change.name);
        if state.is_some_and(|state| state.supersedes(&change.sequencer)) {
            return Ok(Outcome::Superseded);
        }
        let failure = match &change.kind {
            ChangeKind::Labelled { media_type, labels } => {
                let item = MediaItem {
                    name: change.name.clone(),
                    media_type: *media_type,
                    labels: labels.clone(),
                };
                contents.items.insert(change.name.clone(), item);
                None
            }
            ChangeKind::Failed(failure) => {
                contents.items.remove(&change.name);
                Some(failure.clone())
            }
            ChangeKind::Removed => {
                contents.items.remove(&change.name);
                None
            }
        };
        let sequencer = change.sequencer.clone();
        let state = State { sequencer, failure };
        contents.states.insert(change.name.clone(), state);
        Ok(Outcome::Recorded)
    }

    async fn save(
        &self,
        item: &MediaItem,
        seen: Option<&State>,
    ) -> Result<Outcome, CatalogueError> {
        let mut contents = self.contents();
        let present = contents.states.get(&item.name);
        if present.map(|state| &state.sequencer) != seen.map(|state| &state.sequencer) {
            return Ok(Outcome::Superseded);
        }
        contents.items.insert(item.name.clone(), item.clone());
        Ok(Outcome::Recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_catalogue;

    #[tokio::test]
    async fn keeps_the_contract() {
        let catalogue = MemoryCatalogue::default();
        check_catalogue(&catalogue, "", async |name| catalogue.item(name)).await;
    }
}
