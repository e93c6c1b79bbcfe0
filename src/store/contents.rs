//! Which contents of attachments are still needed.

use std::collections::HashSet;

use sqlx::Row as _;

use crate::{error::Result, model::layer::Catalogue, sql::select};

use super::OwnTx;

impl OwnTx<'_> {
    /// Those of the contents that nothing refers to: no attachment, and no change of one that is still kept, from which it
    /// could be restored.
    pub(crate) async fn contents_without_use(
        &mut self,
        catalogue: &Catalogue,
        sha256: &[String],
    ) -> Result<Vec<String>> {
        let mut unused: HashSet<String> = sha256.iter().cloned().collect();
        for attachments in
            catalogue.services.iter().flat_map(|service| &service.layers).filter_map(|layer| layer.attachments.as_ref())
        {
            for row in select::contents_in_use(attachments, sha256).query()?.fetch_all(self.connection()).await? {
                unused.remove(&row.try_get::<String, _>(0)?);
            }
        }
        Ok(unused.into_iter().collect())
    }
}
