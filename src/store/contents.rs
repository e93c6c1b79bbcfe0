//! Which contents of attachments are still needed.

use std::collections::HashSet;

use sqlx::Row as _;

use crate::{
    error::Result,
    model::layer::Catalogue,
    sql::{modify, select},
};

use super::{
    OwnTx, Store,
    gaps::{inspect_tracking, open_gap},
};

impl Store {
    /// Deletes attachments whose feature is gone. That there are any takes a program that deletes a feature in a snapshot
    /// from before the attachment came; nobody sees such an attachment meanwhile. Returns how many.
    pub(crate) async fn delete_orphans(&self) -> Result<usize> {
        let mut n_deleted = 0;
        for service in &self.catalogue().services {
            for layer in &service.layers {
                let Some(attachments) = &layer.attachments else { continue };
                let mut session = self.session().await?;
                // If the table is not what it was, its features may only seem to be gone.
                if inspect_tracking(session.connection(), layer).await?.gap.is_some()
                    || open_gap(session.connection(), layer.key).await?.is_some()
                {
                    continue;
                }
                let mut tx = session.write(service.key, None).await?;
                n_deleted += tx.edit(modify::delete_orphans(layer, attachments)).await??.len();
                tx.commit().await?;
            }
        }
        Ok(n_deleted)
    }
}

impl OwnTx<'_> {
    /// Those of the contents that nothing refers to: no attachment, no change of one that is still kept, from which it could
    /// be restored, no refused edit and no conflict.
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
        for row in sqlx::query(
            "-- contents_in_books
             select id from unnest($1::text[]) id where exists (
               select from syncline.rejected_edit k join syncline.layer l using (layer_key)
               where l.attached_to is not null and position(id in k.feature) > 0)
             or exists (
               select from syncline.conflict k join syncline.layer l using (layer_key)
               where l.attached_to is not null and position(id in concat(k.base, k.server, k.client)) > 0)",
        )
        .bind(sha256)
        .fetch_all(self.connection())
        .await?
        {
            unused.remove(&row.try_get::<String, _>(0)?);
        }
        Ok(unused.into_iter().collect())
    }
}
