//! Files that clients send: what they are called, of which parts they are, and which files in the data directory they are.

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        layer::Service,
        upload_item::{ItemId, UploadItem, UploadPart, UploadedFile},
    },
};

use super::OwnTx;

/// What the items of a service add up to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// How many there are.
    pub(crate) n_items: u64,
    /// The bytes that they hold, parts included.
    pub(crate) n_bytes: u64,
    /// The bytes of those that who asks has sent to any service.
    pub(crate) n_own_bytes: u64,
}

impl OwnTx<'_> {
    /// What the items of a service add up to. Nobody else adds to them until the transaction ends.
    pub(crate) async fn upload_item_usage(&mut self, service: &Service) -> Result<Usage> {
        sqlx::query("-- upload_item_lock\nselect pg_advisory_xact_lock(1398361671, $1)")
            .bind(service.key.0)
            .execute(self.connection())
            .await?;
        let row = sqlx::query(
            "-- upload_item_usage
             select count(*), coalesce(sum(size_bytes), 0)::int8,
               (select coalesce(sum(o.size_bytes), 0)::int8 from syncline.upload_item o where lower(o.owner) = lower($2))
             from syncline.upload_item where service_id = $1",
        )
        .bind(service.key.0)
        .bind(service.caller.name())
        .fetch_one(self.connection())
        .await?;
        Ok(Usage {
            n_items: row.try_get::<i64, _>(0)?.cast_unsigned(),
            n_bytes: row.try_get::<i64, _>(1)?.cast_unsigned(),
            n_own_bytes: row.try_get::<i64, _>(2)?.cast_unsigned(),
        })
    }

    /// Enters an item; committed if it has its content already.
    pub(crate) async fn upload_item_insert(
        &mut self,
        service: &Service,
        name: &str,
        description: &str,
        content: Option<&UploadedFile>,
    ) -> Result<UploadItem> {
        let row = sqlx::query(
            "-- upload_item_insert
             insert into syncline.upload_item (item_id, service_id, name, description, file_id, size_bytes, sha256, owner)
             values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7)
             returning item_id, name, description, (extract(epoch from created_at) * 1000)::int8, file_id, size_bytes, sha256",
        )
        .bind(service.key.0)
        .bind(name)
        .bind(description)
        .bind(content.map(|content| content.file))
        .bind(content.map_or(0, |content| content.size_bytes.cast_signed()))
        .bind(content.map(|content| &content.sha256))
        .bind(service.caller.name())
        .fetch_one(self.connection())
        .await?;
        item(&row)
    }

    /// The item with this id in this service, if who asks may touch it; notes that it is used. Nobody else changes it until the transaction ends.
    pub(crate) async fn upload_item_use(&mut self, service: &Service, id: ItemId) -> Result<Option<UploadItem>> {
        sqlx::query(
            "-- upload_item_use
             update syncline.upload_item set used_at = now() where service_id = $1 and item_id = $2
               and ($3::text is null or lower(owner) in ('', lower($3)))
             returning item_id, name, description, (extract(epoch from created_at) * 1000)::int8, file_id, size_bytes, sha256",
        )
        .bind(service.key.0)
        .bind(id.0)
        .bind(service.caller.only())
        .fetch_optional(self.connection())
        .await?
        .as_ref()
        .map(item)
        .transpose()
    }

    /// The items of a service that who asks may touch, oldest first.
    pub(crate) async fn upload_item_list(&mut self, service: &Service) -> Result<Vec<UploadItem>> {
        sqlx::query(
            "-- upload_item_list
             select item_id, name, description, (extract(epoch from created_at) * 1000)::int8, file_id, size_bytes, sha256
             from syncline.upload_item where service_id = $1
               and ($2::text is null or lower(owner) in ('', lower($2))) order by created_at, item_id",
        )
        .bind(service.key.0)
        .bind(service.caller.only())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(item)
        .collect()
    }

    /// Enters a part. Returns the file of the part that it replaces.
    pub(crate) async fn upload_part_put(&mut self, item: ItemId, part: &UploadPart) -> Result<Option<Uuid>> {
        let row = sqlx::query(
            "-- upload_part_put
             with old as (select file_id from syncline.upload_part where item_id = $1 and number = $2)
             insert into syncline.upload_part (item_id, number, file_id, size_bytes, sha256) values ($1, $2, $3, $4, $5)
             on conflict (item_id, number) do update
               set file_id = excluded.file_id, size_bytes = excluded.size_bytes, sha256 = excluded.sha256
             returning (select file_id from old)",
        )
        .bind(item.0)
        .bind(part.number)
        .bind(part.content.file)
        .bind(part.content.size_bytes.cast_signed())
        .bind(&part.content.sha256)
        .fetch_one(self.connection())
        .await?;
        sqlx::query(
            "-- upload_item_size
             update syncline.upload_item i set used_at = now(),
               size_bytes = (select sum(p.size_bytes) from syncline.upload_part p where p.item_id = i.item_id)
             where item_id = $1",
        )
        .bind(item.0)
        .execute(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// The parts of an item by their numbers.
    pub(crate) async fn upload_part_list(&mut self, item: ItemId) -> Result<Vec<UploadPart>> {
        sqlx::query(
            "-- upload_part_list
             select number, file_id, size_bytes, sha256 from syncline.upload_part where item_id = $1 order by number",
        )
        .bind(item.0)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| {
            let content = UploadedFile {
                file: row.try_get(1)?,
                size_bytes: row.try_get::<i64, _>(2)?.cast_unsigned(),
                sha256: row.try_get(3)?,
            };
            Ok(UploadPart { number: row.try_get(0)?, content })
        })
        .collect()
    }

    /// Gives an item its content, which its parts then no longer are.
    pub(crate) async fn upload_item_commit(&mut self, item: ItemId, content: &UploadedFile) -> Result<()> {
        sqlx::query("-- upload_part_delete\ndelete from syncline.upload_part where item_id = $1")
            .bind(item.0)
            .execute(self.connection())
            .await?;
        sqlx::query(
            "-- upload_item_commit
             update syncline.upload_item set file_id = $2, size_bytes = $3, sha256 = $4, used_at = now() where item_id = $1",
        )
        .bind(item.0)
        .bind(content.file)
        .bind(content.size_bytes.cast_signed())
        .bind(&content.sha256)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets an item, and names its files. `None` if there is none.
    pub(crate) async fn upload_item_delete(&mut self, service: &Service, id: ItemId) -> Result<Option<Vec<Uuid>>> {
        let Some(item) = self.upload_item_use(service, id).await? else { return Ok(None) };
        let parts = self.upload_part_list(id).await?;
        sqlx::query("-- upload_item_delete\ndelete from syncline.upload_item where item_id = $1")
            .bind(id.0)
            .execute(self.connection())
            .await?;
        let contents = parts.into_iter().map(|part| part.content).chain(item.content);
        Ok(Some(contents.map(|content| content.file).collect()))
    }

    /// Forgets the items that nobody has written to or used for this long, and names their files; `None` for an item without
    /// any.
    pub(crate) async fn upload_item_expire(&mut self, hours: i32) -> Result<Vec<Option<Uuid>>> {
        sqlx::query(
            "-- upload_item_expire
             with old as (delete from syncline.upload_item where used_at < now() - make_interval(hours => $1) returning item_id, file_id)
             select file_id from old
             union all select p.file_id from syncline.upload_part p join old using (item_id)",
        )
        .bind(hours)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(row.try_get(0)?))
        .collect()
    }

    /// Those of the files that no item and no part is.
    pub(crate) async fn upload_file_list_unknown(&mut self, files: &[Uuid]) -> Result<Vec<Uuid>> {
        sqlx::query(
            "-- upload_file_list_unknown
             select id from unnest($1::uuid[]) id
             where not exists (select from syncline.upload_item i where i.file_id = id)
               and not exists (select from syncline.upload_part p where p.file_id = id)",
        )
        .bind(files)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(row.try_get(0)?))
        .collect()
    }
}

fn item(row: &PgRow) -> Result<UploadItem> {
    let file: Option<Uuid> = row.try_get(4)?;
    let content = match file {
        None => None,
        Some(file) => {
            Some(UploadedFile { file, size_bytes: row.try_get::<i64, _>(5)?.cast_unsigned(), sha256: row.try_get(6)? })
        }
    };
    Ok(UploadItem {
        id: ItemId(row.try_get(0)?),
        name: row.try_get(1)?,
        description: row.try_get(2)?,
        created_ms: row.try_get(3)?,
        content,
    })
}
