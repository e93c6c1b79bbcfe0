//! Files that clients send before they say what for: whole, or in parts that can be sent again.
//!
//! The bytes go to the disk as they come and are digested on the way. A file under `uploads/` is whole, lasting and never
//! written again; a row says what it is, and is written after it. What has no row was interrupted, and is swept away.

pub(crate) mod edits;
pub(crate) mod payloads;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    files::{Incoming, Received},
    model::{
        digest::hex,
        layer::Service,
        quota::Quotas,
        upload_item::{ItemId, UploadItem, UploadPart, UploadedFile},
        value::brief,
    },
    store::{Session, upload_items::Usage},
};

/// The highest number of a part.
const MAX_PARTS: i32 = 10_000;

/// The longest name and description, in characters.
const MAX_NAME_CHARS: usize = 250;
const MAX_DESCRIPTION_CHARS: usize = 4000;

/// How much of a file is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Makes room for a file of which the request announces a size, or refuses it before it is sent.
pub(crate) async fn admit(
    app: &App,
    service: &Service,
    item: Option<ItemId>,
    announced: Option<u64>,
) -> Result<Incoming> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let usage = tx.upload_item_usage(service).await?;
    if let Some(id) = item {
        uncommitted(tx.upload_item_use(service, id).await?, service, id)?;
    }
    tx.commit().await?;
    let announced = announced.unwrap_or(0);
    // The form around the file has a few bytes of its own.
    if announced > app.config.max_upload_bytes.saturating_add(1 << 16) {
        return Err(too_large(app));
    }
    check_usage(app, service, usage, u64::from(item.is_none()), announced.saturating_sub(1 << 16))?;
    let own = app.config.quotas().most(&service.caller, app.config.max_user_upload_bytes);
    let left = own.map_or(u64::MAX, |most| most.saturating_sub(usage.n_own_bytes).saturating_add(1 << 16));
    Ok(app.files.incoming(app.config.max_upload_bytes.min(left)))
}

/// Takes a whole file as a committed item.
pub(crate) async fn add(
    app: &App,
    service: &Service,
    name: &str,
    description: &str,
    received: &Received,
) -> Result<UploadItem> {
    let name = checked_name(app, name, description)?;
    // Before there is a lock, so that many can put their files on the disk at once.
    let content = app.files.keep_upload(received).await?;
    let entered = async {
        let mut session = app.store.session().await?;
        let mut tx = session.own().await?;
        let usage = tx.upload_item_usage(service).await?;
        check_usage(app, service, usage, 1, content.size_bytes)?;
        let item = tx.upload_item_insert(service, name, description, Some(&content)).await?;
        tx.commit().await?;
        Ok(item)
    };
    match entered.await {
        Ok(item) => {
            tracing::info!(service.name = service.name, item.id = %item.id, content.size_bytes, "file uploaded");
            Ok(item)
        }
        Err(error) => {
            // If it is not known whether the commit was done, a later sweep finds out.
            if !matches!(error, Error::Internal { .. } | Error::Unavailable(_)) {
                app.files.upload_remove(content.file).await?;
            }
            Err(error)
        }
    }
}

/// Begins an item whose parts will come.
pub(crate) async fn register(app: &App, service: &Service, name: &str, description: &str) -> Result<UploadItem> {
    let name = checked_name(app, name, description)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let usage = tx.upload_item_usage(service).await?;
    check_usage(app, service, usage, 1, 0)?;
    let item = tx.upload_item_insert(service, name, description, None).await?;
    tx.commit().await?;
    Ok(item)
}

/// Takes a part of an item. One that has come before under the same number is replaced.
pub(crate) async fn put_part(
    app: &App,
    service: &Service,
    id: ItemId,
    number: i64,
    received: &Received,
) -> Result<UploadPart> {
    let number = i32::try_from(number)
        .ok()
        .filter(|number| (1..=MAX_PARTS).contains(number))
        .ok_or_else(|| Error::invalid("partId", format!("it is {number}; parts are numbered from 1 to {MAX_PARTS}")))?;
    let part = UploadPart { number, content: received.arrived().clone() };
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let usage = tx.upload_item_usage(service).await?;
    uncommitted(tx.upload_item_use(service, id).await?, service, id)?;
    let known = tx.upload_part_list(id).await?;
    let others = known.iter().filter(|known| known.number != number).map(|known| known.content.size_bytes);
    if others.sum::<u64>() + part.content.size_bytes > app.config.max_upload_bytes {
        return Err(too_large(app));
    }
    check_usage(app, service, usage, 0, part.content.size_bytes)?;
    app.files.keep_upload(received).await?;
    let replaced = tx.upload_part_put(id, &part).await?;
    tx.commit().await?;
    remove(app, replaced.as_slice()).await;
    Ok(part)
}

/// The parts of an item that is not committed, by their numbers.
pub(crate) async fn parts(app: &App, service: &Service, id: ItemId) -> Result<Vec<UploadPart>> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    found(tx.upload_item_use(service, id).await?, service, id)?;
    let parts = tx.upload_part_list(id).await?;
    tx.commit().await?;
    Ok(parts)
}

/// Puts the parts of an item together, in the order that is given or that of their numbers. Asked for again, it answers
/// the same.
pub(crate) async fn commit(
    app: &App,
    service: &Service,
    id: ItemId,
    order: Option<&[i64]>,
    sha256: Option<&[u8]>,
) -> Result<UploadItem> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let item = found(tx.upload_item_use(service, id).await?, service, id)?;
    let parts = tx.upload_part_list(id).await?;
    tx.commit().await?;
    // Putting together may take a while, during which nothing is held.
    drop(session);
    if let Some(content) = &item.content {
        check_digest("checksum", content, sha256)?;
        return Ok(item);
    }
    let ordered = in_order(&parts, order)?;
    let content = match ordered.as_slice() {
        [only] => only.content.clone(),
        many => put_together(app, many).await?,
    };
    let own = (ordered.len() > 1).then_some(content.file);
    let done = enter(app, service, id, &parts, &content, sha256).await;
    match &done {
        Ok(item) if item.content.as_ref() == Some(&content) => {
            let files: Vec<Uuid> =
                parts.iter().map(|part| part.content.file).filter(|file| *file != content.file).collect();
            remove(app, &files).await;
            tracing::info!(service.name = service.name, item.id = %id, n_parts = parts.len(), content.size_bytes, "file committed");
        }
        // Refused, or somebody else was faster: the parts or the other's file stay, and this one goes.
        _ => remove(app, own.as_slice()).await,
    }
    done
}

async fn enter(
    app: &App,
    service: &Service,
    id: ItemId,
    parts: &[UploadPart],
    content: &UploadedFile,
    sha256: Option<&[u8]>,
) -> Result<UploadItem> {
    check_digest("checksum", content, sha256)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let mut item = found(tx.upload_item_use(service, id).await?, service, id)?;
    if item.content.is_some() {
        return Ok(item);
    }
    if tx.upload_part_list(id).await? != parts {
        return Err(Error::Unavailable(format!(
            "parts of upload {id} were sent while it was committed; nothing was changed, commit it again"
        )));
    }
    tx.upload_item_commit(id, content).await?;
    tx.commit().await?;
    item.content = Some(content.clone());
    Ok(item)
}

/// The parts in the order that is asked for. Without one, all numbers from 1 must be there: a missing one was lost.
fn in_order<'p>(parts: &'p [UploadPart], order: Option<&[i64]>) -> Result<Vec<&'p UploadPart>> {
    let missing = |number: i64| {
        let known: Vec<String> = parts.iter().map(|part| part.number.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::invalid(
            "parts",
            format!("part {number} has not been uploaded; there are {known}. Nothing was committed"),
        )
    };
    let highest = parts.last().map_or(1, |part| i64::from(part.number));
    let all: Vec<i64> = (1..=highest).collect();
    let mut ordered: Vec<&UploadPart> = Vec::with_capacity(parts.len());
    for number in order.unwrap_or(&all) {
        let part = parts.iter().find(|part| i64::from(part.number) == *number).ok_or_else(|| missing(*number))?;
        if ordered.iter().any(|known| known.number == part.number) {
            return Err(Error::invalid("parts", format!("part {number} is named twice")));
        }
        ordered.push(part);
    }
    Ok(ordered)
}

/// Copies parts into one file. What is read must be what was received.
async fn put_together(app: &App, parts: &[&UploadPart]) -> Result<UploadedFile> {
    let mut whole = app.files.incoming(app.config.max_upload_bytes);
    for part in parts {
        let damaged =
            || Error::Unavailable(format!("part {} was damaged on the server's disk; upload it again", part.number));
        let (mut file, _) = app.files.upload(part.content.file).await?.ok_or_else(damaged)?;
        let mut sum = crate::files::Sum::default();
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            if file.read_buf(&mut chunk).await.map_err(|error| Error::internal("reading a part", error))? == 0 {
                break;
            }
            sum.add(&chunk);
            whole.write(chunk.freeze()).await?;
        }
        if sum.sha256() != part.content.sha256 {
            return Err(damaged());
        }
    }
    app.files.keep_upload(&whole.finish().await?).await
}

/// An item.
pub(crate) async fn find(app: &App, service: &Service, id: ItemId) -> Result<UploadItem> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let item = found(tx.upload_item_use(service, id).await?, service, id)?;
    tx.commit().await?;
    Ok(item)
}

/// The items of a service, oldest first.
pub(crate) async fn list(app: &App, service: &Service) -> Result<Vec<UploadItem>> {
    let mut session = app.store.session().await?;
    session.own().await?.upload_item_list(service).await
}

/// Forgets an item and its files.
pub(crate) async fn delete(app: &App, service: &Service, id: ItemId) -> Result<()> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let files = tx.upload_item_delete(service, id).await?.ok_or_else(|| unknown(service, id))?;
    tx.commit().await?;
    remove(app, &files).await;
    Ok(())
}

/// The content of a committed item that a parameter names, for the one who uses it and whose connection this is. Open it
/// with [`crate::files::Files::upload`].
pub(crate) async fn committed(
    session: &mut Session,
    service: &Service,
    name: &'static str,
    id: &str,
) -> Result<(UploadItem, UploadedFile)> {
    let wrong = |problem: String| Error::invalid(name, problem);
    let not_there = || {
        wrong(format!(
            "service {} has no upload '{}'; it was never made, was deleted, or was not used for so long that it was",
            service.name,
            brief(id)
        ))
    };
    let id = ItemId::parse(id).ok_or_else(not_there)?;
    let mut tx = session.own().await?;
    let item = tx.upload_item_use(service, id).await?.ok_or_else(not_there)?;
    // That it was used is no matter of life and death.
    tx.do_not_wait_for_disk().await?;
    tx.commit().await?;
    let content =
        item.content.clone().ok_or_else(|| wrong(format!("upload {id} is not committed yet; commit it first")))?;
    Ok((item, content))
}

fn damaged(item: &UploadItem) -> Error {
    Error::Unavailable(format!("the file of upload {} was damaged on the server's disk; upload it again", item.id))
}

/// The first bytes of a committed item.
async fn head(app: &App, item: &UploadItem, content: &UploadedFile) -> Result<Vec<u8>> {
    let (file, _) = app.files.upload(content.file).await?.ok_or_else(|| damaged(item))?;
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head).await.map_err(|error| Error::internal("reading an upload", error))?;
    Ok(head)
}

/// Where the file of a committed item is, which is read once, to see that it is as it was received.
async fn whole(app: &App, item: &UploadItem, content: &UploadedFile) -> Result<std::path::PathBuf> {
    let gone = || damaged(item);
    let (mut file, _) = app.files.upload(content.file).await?.ok_or_else(gone)?;
    let mut sum = crate::files::Sum::default();
    let mut chunk = vec![0; 1 << 18];
    loop {
        match file.read(&mut chunk).await.map_err(|error| Error::internal("reading an upload", error))? {
            0 => break,
            n_read => sum.add(chunk.get(..n_read).unwrap_or_default()),
        }
    }
    if sum.sha256() != content.sha256 {
        return Err(gone());
    }
    Ok(app.files.upload_path(content.file))
}

/// Where the file of a committed item is that a parameter names. It is whole, and of any size.
pub(crate) async fn file(app: &App, service: &Service, name: &'static str, id: &str) -> Result<std::path::PathBuf> {
    let (item, content) = committed(&mut app.store.session().await?, service, name, id).await?;
    whole(app, &item, &content).await
}

/// The text of a committed item that a parameter names. It is read into memory, and therefore no longer than the body of a
/// request may be.
pub(crate) async fn text(app: &App, service: &Service, name: &'static str, id: &str) -> Result<String> {
    let (item, content) = committed(&mut app.store.session().await?, service, name, id).await?;
    let limit = app.config.max_body_bytes;
    if content.size_bytes > limit as u64 {
        return Err(Error::invalid(
            name,
            format!(
                "upload {} has {} bytes, and edits are taken up to {limit} at a time; send them in several synchronizations",
                item.id, content.size_bytes
            ),
        ));
    }
    let gone = || damaged(&item);
    let (mut file, _) = app.files.upload(content.file).await?.ok_or_else(gone)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).await.map_err(|error| Error::internal("reading an upload", error))?;
    let mut sum = crate::files::Sum::default();
    sum.add(&bytes);
    if sum.sha256() != content.sha256 {
        return Err(gone());
    }
    String::from_utf8(bytes).map_err(|error| {
        Error::invalid(name, format!("upload {} is not text in UTF-8: {}", item.id, error.utf8_error()))
    })
}

/// Deletes the items that nobody has used for the time that the settings allow, and files that no item is. Returns how many
/// files were deleted.
pub async fn sweep(app: &App) -> Result<usize> {
    // Longer than it takes from the file to its row.
    let old = app.files.old_uploads(std::time::Duration::from_hours(2)).await?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let mut files = tx.upload_file_list_unknown(&old).await?;
    let expired = tx.upload_item_expire(app.config.keep_uploads_hours).await?;
    // Mostly there is nothing to do, and nothing to commit.
    if !expired.is_empty() {
        tx.commit().await?;
        files.extend(expired.into_iter().flatten());
    }
    remove(app, &files).await;
    Ok(files.len())
}

/// Deletes files that no row knows any more. What cannot be deleted now is swept away later.
async fn remove(app: &App, files: &[Uuid]) {
    for file in files {
        if let Err(error) = app.files.upload_remove(*file).await {
            tracing::warn!(
                error = crate::error::chain(&error),
                "a file could not be deleted; the next sweep tries again"
            );
        }
    }
}

/// Compares a digest with the one that the client says.
pub(crate) fn check_digest(name: &'static str, content: &UploadedFile, sha256: Option<&[u8]>) -> Result<()> {
    match sha256 {
        Some(said) if said != content.sha256 => Err(Error::invalid(
            name,
            format!(
                "it says {}, but the {} bytes that arrived have the SHA-256 {}; nothing was kept of them, send them again",
                hex(said),
                content.size_bytes,
                hex(&content.sha256)
            ),
        )),
        _ => Ok(()),
    }
}

/// The name without the directories that some clients send along, if files of its kind are taken.
fn checked_name<'n>(app: &App, name: &'n str, description: &str) -> Result<&'n str> {
    let bare = name.rsplit(['/', '\\']).next().unwrap_or(name).trim();
    if bare.is_empty() {
        return Err(Error::invalid("itemName", "the file has no name; send one, for instance edits.json"));
    }
    if bare.chars().count() > MAX_NAME_CHARS {
        return Err(Error::invalid("itemName", format!("it is longer than {MAX_NAME_CHARS} characters")));
    }
    if description.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(Error::invalid("description", format!("it is longer than {MAX_DESCRIPTION_CHARS} characters")));
    }
    if bare.chars().chain(description.chars()).any(|c| c == '\0') {
        return Err(Error::invalid("itemName", "it or the description has a NUL character, which cannot be stored"));
    }
    let extension = bare.rsplit_once('.').map_or("", |(_, extension)| extension);
    let extensions = &app.config.upload_extensions;
    if !extensions.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(extension)) {
        return Err(Error::invalid(
            "itemName",
            format!(
                "files such as '{}' are not taken; their names end in one of {}",
                brief(bare),
                extensions.join(", ")
            ),
        ));
    }
    Ok(bare)
}

fn check_usage(app: &App, service: &Service, usage: Usage, more_items: u64, more_bytes: u64) -> Result<()> {
    let config = &app.config;
    let full = |what: String| {
        Err(Error::Unavailable(format!(
            "the uploads of service {} {what}; delete those that are not needed, or wait until they are deleted by themselves, \
             {} hours after their last use",
            service.name, config.keep_uploads_hours
        )))
    };
    if usage.n_items + more_items > config.max_upload_items {
        return full(format!("are {} already, which is the most that are kept", usage.n_items));
    }
    if usage.n_bytes.saturating_add(more_bytes) > config.max_pending_upload_bytes {
        return full(format!(
            "have {} bytes already, and with {more_bytes} more there would be more than the {} that are kept",
            usage.n_bytes, config.max_pending_upload_bytes
        ));
    }
    if let Some(most) = config.quotas().most(&service.caller, config.max_user_upload_bytes)
        && usage.n_own_bytes.saturating_add(more_bytes) > most
    {
        let what = format!("files of {} bytes, and sends {more_bytes} more", usage.n_own_bytes);
        let next = "delete those that are not needed (uploads/<id>/delete), which the resource uploads lists";
        let limit = ("max_user_upload_bytes", most);
        return Err(Error::OverQuota(Quotas::over(&service.caller, &what, limit, next)));
    }
    Ok(())
}

fn too_large(app: &App) -> Error {
    Error::TooLarge { what: "the upload", limit: format!("{} bytes", app.config.max_upload_bytes) }
}

fn found(item: Option<UploadItem>, service: &Service, id: ItemId) -> Result<UploadItem> {
    item.ok_or_else(|| unknown(service, id))
}

fn uncommitted(item: Option<UploadItem>, service: &Service, id: ItemId) -> Result<()> {
    match found(item, service, id)?.content {
        None => Ok(()),
        Some(_) => Err(Error::NotSupported(format!(
            "upload {id} is committed, and takes no more parts; register a new one for another content"
        ))),
    }
}

fn unknown(service: &Service, id: ItemId) -> Error {
    Error::NotFound(format!(
        "Upload not found: service {} has no upload {id}; it was never made, was deleted, or was not used for so long that it was",
        service.name
    ))
}
