//! Records that are related to features: by a relationship of the service, in either direction.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use serde_json::json;
use sqlx::Row as _;

use crate::{
    app::App,
    error::Result,
    format::feature_set::{Column, RelatedWriter},
    model::{
        layer::Service,
        query::{RelatedOutput, RelatedQuery},
    },
    sql::related::{self, Ends},
    store::share::{self, Turn},
    wire::{output::transform, service},
};

use super::{begin, weight};

/// Finds the records that are related to features of a layer.
pub(crate) async fn run(app: &App, service: &Service, query: &RelatedQuery) -> Result<Vec<u8>> {
    let mut turn = None;
    loop {
        if let Some(answer) = attempt(app, service, query, &mut turn).await? {
            return Ok(answer);
        }
        turn = Some(share::turn().await?);
    }
}

/// Answers a query, or gives `None` if it is heavy and it is not the caller's turn.
async fn attempt(
    app: &App,
    service: &Service,
    query: &RelatedQuery,
    turn: &mut Option<Turn>,
) -> Result<Option<Vec<u8>>> {
    let mut session = app.store.session().await?;
    let (mut tx, past) =
        begin(app, &mut session, service, &[&query.layer, &query.related], query.choice.moment).await?;
    let ends = Ends { query, past };
    let statement = || match &query.output {
        RelatedOutput::Counts => related::counts(&ends),
        // One record more than wanted tells whether there are more.
        RelatedOutput::Records(page, _) => related::records(&ends, page, page.limit + 1),
    };
    if !weight::may_run(app, &mut tx, Some(statement()), turn).await? {
        return Ok(None);
    }
    let answer = match &query.output {
        RelatedOutput::Counts => {
            let rows = tx.all(statement()).await?;
            let mut groups = Vec::with_capacity(rows.len());
            for row in &rows {
                groups.push(json!({"objectId": row.try_get::<i64, _>(0)?, "count": row.try_get::<i64, _>(1)?}));
            }
            json!({"relatedRecordGroups": groups}).to_string().into_bytes()
        }
        RelatedOutput::Records(page, form) => {
            let columns = &page.columns;
            if let Some(srid) = columns.srid {
                tx.require_srid("outSR", srid).await?;
            }
            let mut head = service::related_head(&query.related, columns);
            if let Some(grid) = &form.grid {
                head["transform"] = transform(grid);
            }
            let named: Vec<Column<'_>> =
                columns.fields.iter().map(|&index| Column::from(&query.related.fields[index])).collect();
            let mut writer = RelatedWriter::new(&head, &named, columns.srid.map(|_| form.clone()));
            let mut rows = pin!(tx.stream(statement())?);
            let mut n_rows = 0;
            while let Some(row) = rows.try_next().await? {
                if n_rows == page.limit {
                    return Ok(Some(writer.finish(true)));
                }
                writer.row(&row)?;
                n_rows += 1;
            }
            writer.finish(false)
        }
    };
    Ok(Some(answer))
}
