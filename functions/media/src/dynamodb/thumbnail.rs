//! What thumbnails depend on.

use runtime::dynamodb::scan_page;
use runtime::s3::ObjectKey;

use super::DynamoCatalogue;
use super::item::{failed, key_of, to_name};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::thumbnail::{Standing, Standings};

impl Standings for DynamoCatalogue {
    async fn standing(&self, name: &ObjectKey) -> Result<Standing, CatalogueError> {
        let state = self.state(name).await?;
        Ok(Standing {
            sequencer: state.map(|state| state.sequencer),
            has_item: self.get(&self.tables.media, name).await?.is_some(),
        })
    }

    async fn names(
        &self,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<(Vec<ObjectKey>, bool), CatalogueError> {
        let scan = self.client.scan().table_name(&self.tables.media);
        let page = scan_page(&scan, limit, after.map(key_of), <[_]>::len).await;
        let page = page.map_err(|error| failed("list", "the items", error))?;
        let names = page.items.iter().map(to_name).collect::<Result<_, _>>()?;
        Ok((names, page.next.is_some()))
    }
}
