//! What goes down to a client: snapshots and deltas of layers, as parts of an answer.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use sqlx::{Row as _, postgres::PgRow};
use tokio::{fs::File, io::AsyncReadExt as _};

use crate::{
    error::{Error, Result},
    files::{Files, Spool},
    format::{
        attachments::{base64, open_info, read_info},
        json::{FeatureWriter, global_id, string},
    },
    model::{
        attachment::AttachmentInfo,
        edit::{EditErrorCode, Op},
        filter::Filter,
        id::GlobalId,
        layer::Layer,
        query::Columns,
        verdict::{Facts, OwnEdit, Verdict, verdict},
    },
    sql::{
        delta::{self, Delta, N_FACTS},
        select,
    },
    store::ReadTx,
};

/// How the bytes of attachments are given.
#[derive(Clone, Copy)]
pub(crate) enum AttachmentBytes<'a> {
    /// As addresses below this one, which is that of the service.
    Address(&'a str),
    /// In the document, from here.
    Embedded(&'a Files),
}

/// Writes rows of one layer, each as what it is.
pub(super) enum RowWriter<'a> {
    Features(FeatureWriter),
    Attachments { layer: &'a Layer, bytes: AttachmentBytes<'a> },
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(layer: &'a Layer, columns: &Columns, bytes: AttachmentBytes<'a>) -> RowWriter<'a> {
        match layer.attached_to {
            None => RowWriter::Features(FeatureWriter::new(layer, columns)),
            Some(_) => RowWriter::Attachments { layer, bytes },
        }
    }

    pub(super) async fn write(&self, row: &PgRow, first: usize, spool: &mut Spool) -> Result<()> {
        match self {
            RowWriter::Features(writer) => writer.write(row, first, spool.buffer())?,
            RowWriter::Attachments { layer, bytes } => {
                write_attachment(&read_info(row, first)?, layer, *bytes, spool).await?;
            }
        }
        spool.relieve().await
    }
}

async fn write_attachment(
    info: &AttachmentInfo,
    layer: &Layer,
    bytes: AttachmentBytes<'_>,
    spool: &mut Spool,
) -> Result<()> {
    open_info(info, spool.buffer());
    match bytes {
        AttachmentBytes::Address(service) => {
            spool.buffer().extend_from_slice(b",\"url\":");
            string(&format!("{service}/{}/attachments/{}", layer.id, info.id), spool.buffer());
        }
        AttachmentBytes::Embedded(files) => {
            let (mut file, _) = files.content(&info.sha256).await?.ok_or_else(|| {
                Error::Unavailable(format!(
                    "the bytes of attachment {} ({}) of layer {} are missing in the data directory; restore them from a back-up, or delete the attachment",
                    info.global_id, info.name, layer.id
                ))
            })?;
            spool.buffer().extend_from_slice(b",\"data\":\"");
            let mut chunk = vec![0; EMBEDDED_CHUNK];
            loop {
                let n_read = fill(&mut file, &mut chunk).await?;
                base64(chunk.get(..n_read).unwrap_or_default(), spool.buffer());
                spool.relieve().await?;
                if n_read < chunk.len() {
                    break;
                }
            }
            spool.buffer().push(b'"');
        }
    }
    spool.buffer().push(b'}');
    Ok(())
}

/// How much of an attachment is encoded at a time. Three divides it.
const EMBEDDED_CHUNK: usize = 3 << 16;

/// Reads until the buffer is full or the file at its end.
async fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut n_filled = 0;
    while let Some(rest) = buffer.get_mut(n_filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).await.map_err(|error| Error::internal("reading an attachment", error))? {
            0 => break,
            n_read => n_filled += n_read,
        }
    }
    Ok(n_filled)
}

/// Appends the features of a layer, or its attachments, that pass a filter, as the elements of a JSON array. Returns how many.
pub(crate) async fn snapshot(
    tx: &mut ReadTx<'_>,
    layer: &Layer,
    filter: &Filter,
    columns: &Columns,
    bytes: AttachmentBytes<'_>,
    spool: &mut Spool,
) -> Result<u64> {
    if matches!(filter, Filter::None) {
        return Ok(0);
    }
    let writer = RowWriter::new(layer, columns, bytes);
    let mut rows = pin!(tx.stream(select::snapshot(layer, filter, columns))?);
    let mut n_features = 0;
    while let Some(row) = rows.try_next().await? {
        if n_features > 0 {
            spool.buffer().push(b',');
        }
        writer.write(&row, 0, spool).await?;
        spool.tell_row(layer.id.0);
        n_features += 1;
    }
    Ok(n_features)
}

/// Appends `"adds":[…],"updates":[…],"deleteIds":[…]` for a window of a layer. Returns how many of them all.
pub(crate) async fn delta(
    tx: &mut ReadTx<'_>,
    layer: &Layer,
    wanted: &Delta<'_>,
    bytes: AttachmentBytes<'_>,
    spool: &mut Spool,
) -> Result<u64> {
    let writer = RowWriter::new(layer, wanted.columns, bytes);
    let mut list = Lists { open: List::Adds, n_in_list: 0, n_rows: 0 };
    spool.buffer().extend_from_slice(List::Adds.head());
    // A window without changes and without own edits needs no statement at all.
    if wanted.after < wanted.upto || !wanted.own_batches.is_empty() {
        let mut rows = pin!(tx.stream(delta::delta(layer, wanted))?);
        while let Some(row) = rows.try_next().await? {
            let (id, facts) = facts(&row)?;
            match verdict(&facts) {
                Verdict::Nothing => continue,
                Verdict::Add => {
                    list.next(List::Adds, spool.buffer())?;
                    writer.write(&row, N_FACTS, spool).await?;
                }
                Verdict::Update => {
                    list.next(List::Updates, spool.buffer())?;
                    writer.write(&row, N_FACTS, spool).await?;
                }
                Verdict::Delete => {
                    list.next(List::Deletes, spool.buffer())?;
                    global_id(id, spool.buffer());
                    spool.relieve().await?;
                }
            }
            spool.tell_row(layer.id.0);
        }
    }
    list.close(spool.buffer());
    Ok(list.n_rows)
}

pub(super) fn facts(row: &PgRow) -> Result<(GlobalId, Facts)> {
    let (now_exists, now_in): (bool, bool) = (row.try_get(3)?, row.try_get(4)?);
    let op: Option<String> = row.try_get(7)?;
    let own = match op {
        None => None,
        Some(op) => Some(OwnEdit {
            op: Op::from_name(&op)
                .ok_or_else(|| Error::internal("reading a receipt", format!("unknown operation '{op}'")))?,
            refused: row.try_get::<Option<i32>, _>(8)?.map(EditErrorCode::from_number),
            altered: row.try_get::<Option<bool>, _>(9)?.unwrap_or(false),
        }),
    };
    let facts = Facts {
        // A row without a change in the window is now as it was then.
        then_exists: row.try_get::<Option<bool>, _>(1)?.unwrap_or(now_exists),
        then_in: row.try_get::<Option<bool>, _>(2)?.unwrap_or(now_in),
        now_exists,
        now_in,
        foreign: row.try_get(5)?,
        unsure: row.try_get(6)?,
        own,
    };
    Ok((GlobalId(row.try_get(0)?), facts))
}

/// The lists of a delta, in the order in which they are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Adds,
    Updates,
    Deletes,
}

impl List {
    fn head(self) -> &'static [u8] {
        match self {
            List::Adds => b"\"adds\":[",
            List::Updates => b"],\"updates\":[",
            List::Deletes => b"],\"deleteIds\":[",
        }
    }

    fn following(self) -> Option<List> {
        match self {
            List::Adds => Some(List::Updates),
            List::Updates => Some(List::Deletes),
            List::Deletes => None,
        }
    }
}

struct Lists {
    open: List,
    n_in_list: u64,
    n_rows: u64,
}

impl Lists {
    /// Makes room for the next element of `wanted`. Lists only go forward; the database sorts the rows so.
    fn next(&mut self, wanted: List, out: &mut Vec<u8>) -> Result<()> {
        if wanted < self.open {
            return Err(Error::internal("writing a delta", "the rows are out of order"));
        }
        while self.open < wanted {
            self.forward(out);
        }
        if self.n_in_list > 0 {
            out.push(b',');
        }
        self.n_in_list += 1;
        self.n_rows += 1;
        Ok(())
    }

    fn forward(&mut self, out: &mut Vec<u8>) {
        if let Some(next) = self.open.following() {
            self.open = next;
            self.n_in_list = 0;
            out.extend_from_slice(next.head());
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        while self.open < List::Deletes {
            self.forward(out);
        }
        out.push(b']');
    }
}
