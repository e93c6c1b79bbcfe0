//! Records that are related to features: by a relationship of the service, in either direction.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::Row as _;

use crate::{
    app::App,
    error::Result,
    format::json::{FeatureWriter, integer},
    model::{
        layer::Service,
        query::{RelatedOutput, RelatedQuery},
    },
    sql::related::{self, Ends},
    wire::service,
};

use super::begin;

/// Finds the records that are related to features of a layer.
pub(crate) async fn run(app: &App, service: &Service, query: &RelatedQuery) -> Result<Vec<u8>> {
    let mut session = app.store.session().await?;
    let (mut tx, past) =
        begin(app, &mut session, service, &[&query.layer, &query.related], query.choice.moment).await?;
    let ends = Ends { query, past };
    let mut out = Vec::with_capacity(16 * 1024);
    match &query.output {
        RelatedOutput::Counts => {
            let rows = tx.all(related::counts(&ends)).await?;
            let mut groups = Vec::with_capacity(rows.len());
            for row in &rows {
                groups.push(json!({"objectId": row.try_get::<i64, _>(0)?, "count": row.try_get::<i64, _>(1)?}));
            }
            return Ok(json!({"relatedRecordGroups": groups}).to_string().into_bytes());
        }
        RelatedOutput::Records(page) => {
            if let Some(srid) = page.columns.srid {
                tx.require_srid("outSR", srid).await?;
            }
            let head = service::related_head(&query.related, &page.columns).to_string();
            // The head is an object to which the records are added.
            out.extend_from_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
            out.extend_from_slice(b",\"relatedRecordGroups\":[");
            let writer = FeatureWriter::new(&query.related, &page.columns);
            let mut rows = pin!(tx.stream(related::records(&ends, page, page.limit + 1))?);
            let (mut n_rows, mut group, mut more) = (0, None, false);
            while let Some(row) = rows.try_next().await? {
                if n_rows == page.limit {
                    more = true;
                    break;
                }
                let feature: i64 = row.try_get(0)?;
                if group == Some(feature) {
                    out.push(b',');
                } else {
                    out.extend_from_slice(if group.is_some() { b"]},{\"objectId\":" } else { b"{\"objectId\":" });
                    integer(feature, &mut out);
                    out.extend_from_slice(b",\"relatedRecords\":[");
                    group = Some(feature);
                }
                writer.write(&row, 1, &mut out)?;
                n_rows += 1;
            }
            out.extend_from_slice(if group.is_some() { b"]}]" } else { b"]" });
            if more {
                out.extend_from_slice(b",\"exceededTransferLimit\":true");
            }
        }
    }
    out.push(b'}');
    Ok(out)
}
