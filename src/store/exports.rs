//! Rows of result files.

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{data_format::DataFormat, id::ReplicaId, layer::Service},
};

use super::OwnTx;

/// What is known of a result file.
pub(crate) struct KnownExport {
    /// Its size.
    pub(crate) size_bytes: u64,
    /// The SHA-256 of its bytes, if it is known.
    pub(crate) sha256: Option<Vec<u8>>,
    /// Its form.
    pub(crate) format: DataFormat,
}

/// The format that was stored under this name.
pub(super) fn format_of(name: &str) -> Result<DataFormat> {
    DataFormat::from_name(name)
        .ok_or_else(|| Error::internal("reading a result", format!("this version knows no format '{name}'")))
}

impl OwnTx<'_> {
    /// Registers a finished result file.
    pub(crate) async fn export_insert(
        &mut self,
        id: Uuid,
        service: &Service,
        replica: Option<ReplicaId>,
        format: DataFormat,
        (size_bytes, sha256): (u64, &[u8]),
    ) -> Result<()> {
        sqlx::query(
            "-- export_insert
             insert into syncline.export (export_id, service_id, replica_id, size_bytes, sha256, format, owner)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(service.key.0)
        .bind(replica.map(|id| id.0))
        .bind(i64::try_from(size_bytes).unwrap_or(i64::MAX))
        .bind(sha256)
        .bind(format.name())
        .bind(service.caller.name())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A result file of this service, if there is one that who asks may touch; notes that it is used.
    pub(crate) async fn export_use(&mut self, service: &Service, id: Uuid) -> Result<Option<KnownExport>> {
        let row = sqlx::query(
            "-- export_use
             update syncline.export set used_at = now() where export_id = $1 and service_id = $2
               and ($3::text is null or lower(owner) in ('', lower($3))) returning size_bytes, sha256, format",
        )
        .bind(id)
        .bind(service.key.0)
        .bind(service.caller.only())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| {
            Ok(KnownExport {
                size_bytes: row.try_get::<i64, _>(0)?.cast_unsigned(),
                sha256: row.try_get(1)?,
                format: format_of(row.try_get(2)?)?,
            })
        })
        .transpose()
    }

    /// Those of the result files that no row knows.
    pub(crate) async fn export_list_unknown(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        sqlx::query(
            "-- export_list_unknown
             select id from unnest($1::uuid[]) id where not exists (select from syncline.export e where e.export_id = id)",
        )
        .bind(ids)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(row.try_get(0)?))
        .collect()
    }

    /// Forgets the result files that nobody has used for this long, and names them.
    pub(crate) async fn export_expire(&mut self, hours: i32) -> Result<Vec<Uuid>> {
        sqlx::query("-- export_expire\ndelete from syncline.export where used_at < now() - make_interval(hours => $1) returning export_id")
            .bind(hours)
            .fetch_all(self.connection())
            .await?
            .iter()
            .map(|row| Ok(row.try_get(0)?))
            .collect()
    }
}
