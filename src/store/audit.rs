//! The audit log: what was done, by whom, in a chain that shows when somebody changed it afterwards.
//!
//! Triggers write it (`migrations/0018_audit.sql`), so that no program can forget to. The database seals it; verifying is done here, from
//! what the rows say, so that whoever tampers with the one does not convince the other.

use futures_util::TryStreamExt as _;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, postgres::PgRow, types::Json as SqlJson};

use crate::{
    error::Result,
    metrics::Page,
    model::{
        audit::{Entry, Filter, Seal},
        digest::hex,
    },
};

use super::Store;

/// What the verification of the chain found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// How many entries it read.
    pub n_entries: i64,
    /// How many are not sealed yet.
    pub n_unsealed: i64,
    /// Where the chain ends.
    pub head: Option<Seal>,
    /// What is wrong: nothing, if it is empty.
    pub problems: Vec<String>,
}

/// The most problems that are named.
const MAX_PROBLEMS: usize = 100;

impl Store {
    /// Writes down what no row of a table tells.
    pub(crate) async fn record(&self, action: &str, service: &str, subject: &str, detail: Json) -> Result<()> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        sqlx::query("-- audit_record\nselect syncline.record($1, $2, $3, $4)")
            .bind(action)
            .bind(service)
            .bind(subject)
            .bind(SqlJson(detail))
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Seals what waits for it, in portions. Returns how many entries that were.
    pub async fn seal_audit(&self) -> Result<i64> {
        const PORTION: i32 = 5_000;
        let mut n_sealed = 0;
        loop {
            let row = sqlx::query("-- audit_seal\nselect syncline.seal_audit($1)")
                .bind(PORTION)
                .fetch_one(self.pool())
                .await?;
            let n: i32 = row.try_get(0)?;
            n_sealed += i64::from(n);
            if n < PORTION {
                return Ok(n_sealed);
            }
        }
    }

    /// Forgets what is older than so many days. Returns how many entries that were.
    pub async fn forget_audit(&self, days: i32) -> Result<i64> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let row = sqlx::query("-- audit_forget\nselect syncline.forget_audit($1)")
            .bind(days)
            .fetch_one(tx.connection())
            .await?;
        let n = row.try_get(0)?;
        tx.commit().await?;
        Ok(n)
    }

    /// The newest entries that pass a filter, the newest first.
    pub async fn audit(&self, filter: &Filter) -> Result<Vec<Entry>> {
        let rows = sqlx::query(
            "-- audit_list
             select audit_id, (extract(epoch from at) * 1000)::int8, actor, origin, request_id, action, service, subject, detail::text, position, digest
             from syncline.audit
             where ($1::int8 is null or at >= to_timestamp($1 / 1000.0)) and ($2::int8 is null or at < to_timestamp($2 / 1000.0))
               and ($3::text is null or lower(actor) = lower($3)) and ($4::text is null or lower($4) in (action, split_part(action, '.', 1)))
               and ($5::text is null or lower(service) = lower($5))
             order by audit_id desc offset $6 limit $7",
        )
        .bind(filter.since_ms)
        .bind(filter.until_ms)
        .bind(&filter.actor)
        .bind(&filter.action)
        .bind(&filter.service)
        .bind(filter.offset)
        .bind(filter.limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(entry).collect()
    }

    /// Checks every link of the chain, and, if somebody has noted where it stood once, that it goes on from there.
    pub async fn verify_audit(&self, expected: Option<&Seal>) -> Result<Verified> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        sqlx::query("set transaction isolation level repeatable read read only").execute(tx.connection()).await?;
        let row = sqlx::query("-- audit_unsealed\nselect count(*) from syncline.audit where position is null")
            .fetch_one(tx.connection())
            .await?;
        let mut found = Verified { n_unsealed: row.try_get(0)?, ..Verified::default() };
        let mut last = begin(&mut tx, &mut found).await?;
        let mut saw_expected = expected.is_none();
        let mut rows = sqlx::query(
            "-- audit_chain
             select position, digest, audit_id, (extract(epoch from at) * 1000000)::bigint as at, actor, origin, request_id, action, service, subject,
               detail::text as detail
             from syncline.audit where position is not null order by position",
        )
        .fetch(tx.connection());
        while let Some(row) = rows.try_next().await? {
            let seal = Seal { position: row.try_get("position")?, digest: row.try_get("digest")? };
            if seal.position != last.position + 1 {
                found.say(format!("entries are missing: {} follows {}", seal.position, last.position));
            } else if digest(&last.digest, &row)? != seal.digest {
                found.say(format!(
                    "entry {} at position {} is not what was sealed, or the one before it was replaced",
                    row.try_get::<i64, _>("audit_id")?,
                    seal.position
                ));
            }
            if let Some(expected) = expected
                && expected.position == seal.position
            {
                saw_expected = true;
                if *expected != seal {
                    found.say(format!("position {} had another digest when it was noted", seal.position));
                }
            }
            found.n_entries += 1;
            last = seal;
        }
        if let (false, Some(expected)) = (saw_expected, expected) {
            found.say(format!("position {}, which was noted once, is not there", expected.position));
        }
        found.head = (found.n_entries > 0).then_some(last);
        Ok(found)
    }

    /// Writes how long the chain is, where it stands, and what waits to be sealed.
    pub(super) async fn write_audit_figures(&self, page: &mut Page) -> Result<()> {
        let row = sqlx::query(
            "-- figures_audit
             select (select count(*) from (select from syncline.audit where position is null limit 10000) u), h.position, h.digest
             from (select 1) one left join (select position, digest from syncline.audit where position is not null order by position desc limit 1) h on true",
        )
        .fetch_one(self.pool())
        .await?;
        page.metric("syncline_audit_unsealed", "gauge", "Entries of the audit log that are not sealed yet");
        page.value("syncline_audit_unsealed", &[], row.try_get::<i64, _>(0)?);
        let name = "syncline_audit_head";
        page.metric(name, "gauge", "The last position of the chain of the audit log, with the digest there");
        if let Some(position) = row.try_get::<Option<i64>, _>(1)? {
            let digest = hex(row.try_get(2)?);
            page.value(name, &[("digest", digest.as_str())], position);
        }
        Ok(())
    }
}

impl Verified {
    fn say(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

/// What the first entry that is there follows: the beginning, or what was forgotten, as a later entry of the chain has it.
async fn begin(tx: &mut super::OwnTx<'_>, found: &mut Verified) -> Result<Seal> {
    let nothing = Seal { position: 0, digest: vec![0; 32] };
    let row = sqlx::query(
        "-- audit_begin
         select f.first, (select decode(a.detail->>'digest', 'hex') from syncline.audit a
           where a.action = 'audit.forgotten' and a.subject = (f.first - 1)::text and a.position is not null order by a.position limit 1)
         from (select min(position) as first from syncline.audit) f",
    )
    .fetch_one(tx.connection())
    .await?;
    match (row.try_get::<Option<i64>, _>(0)?, row.try_get::<Option<Vec<u8>>, _>(1)?) {
        (None | Some(1), _) => Ok(nothing),
        (Some(first), Some(digest)) => Ok(Seal { position: first - 1, digest }),
        (Some(first), None) => {
            found.say(format!(
                "the chain begins at position {first}, and no entry says that those before it were forgotten"
            ));
            Ok(Seal { position: first - 1, digest: Vec::new() })
        }
    }
}

/// What the digest of a row must be.
fn digest(before: &[u8], row: &PgRow) -> Result<Vec<u8>> {
    let mut sha = Sha256::new();
    sha.update(before);
    let mut add = |text: &str| sha.update([text.len().to_string().as_bytes(), b":", text.as_bytes()].concat());
    for name in ["position", "audit_id", "at"] {
        add(&row.try_get::<i64, _>(name)?.to_string());
    }
    for name in ["actor", "origin", "request_id", "action", "service", "subject", "detail"] {
        add(row.try_get(name)?);
    }
    Ok(sha.finalize().to_vec())
}

fn entry(row: &PgRow) -> Result<Entry> {
    let position: Option<i64> = row.try_get(9)?;
    let digest: Option<Vec<u8>> = row.try_get(10)?;
    Ok(Entry {
        id: row.try_get(0)?,
        at_ms: row.try_get(1)?,
        actor: row.try_get(2)?,
        origin: row.try_get(3)?,
        request_id: row.try_get(4)?,
        action: row.try_get(5)?,
        service: row.try_get(6)?,
        subject: row.try_get(7)?,
        detail: row.try_get(8)?,
        seal: position.zip(digest).map(|(position, digest)| Seal { position, digest }),
    })
}
