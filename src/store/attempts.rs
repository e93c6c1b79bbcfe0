//! Who has guessed passwords wrongly, as all processes of a database count it.
//!
//! Only attempts that are looked at come here, which are few (`auth::gate`), so that nobody waits for a row for long. The database has digests of
//! names and addresses: a name may be a password in the wrong field.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use crate::{error::Result, model::attempts::Counted};

use super::{OwnTx, Store};

/// How many accounts and addresses are kept when those that are forgiven are forgotten.
const MAX_KEPT: i64 = 100_000;

impl Store {
    /// Forgets those who are forgiven, and the oldest if there are very many.
    pub async fn forget_attempts(&self) -> Result<()> {
        let mut session = self.session().await?;
        sqlx::query(
            "-- attempt_forget
             delete from syncline.failed_attempt
             where last_at < greatest(clock_timestamp() - interval '1 hour',
               (select last_at from syncline.failed_attempt order by last_at desc offset $1 limit 1))",
        )
        .bind(MAX_KEPT)
        .execute(session.connection())
        .await?;
        Ok(())
    }
}

impl OwnTx<'_> {
    /// How many mistakes were made of each, and how long ago the last one was. Until the transaction ends, no other attempt counts for the same.
    pub(crate) async fn attempt_lock(&mut self, of: &[Counted]) -> Result<Vec<Option<(u32, Duration)>>> {
        let subjects: Vec<Vec<u8>> = of.iter().map(subject).collect();
        let rows = sqlx::query(
            "-- attempt_lock
             select subject, mistakes, greatest(extract(epoch from clock_timestamp() - last_at), 0)::float8
             from syncline.failed_attempt where subject = any($1) order by subject for update",
        )
        .bind(&subjects)
        .fetch_all(self.connection())
        .await?;
        let mut known = vec![None; of.len()];
        for row in rows {
            let (found, mistakes, seconds): (Vec<u8>, i32, f64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let since = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            for (_, known) in subjects.iter().zip(&mut known).filter(|(subject, _)| **subject == found) {
                *known = Some((u32::try_from(mistakes).unwrap_or_default(), since));
            }
        }
        Ok(known)
    }

    /// Counts one more mistake of each, the first if the others are forgiven.
    pub(crate) async fn attempt_count(&mut self, of: &[Counted]) -> Result<()> {
        let mut subjects: Vec<Vec<u8>> = of.iter().map(subject).collect();
        // In the order in which they are locked, and each once.
        subjects.sort_unstable();
        subjects.dedup();
        sqlx::query(
            "-- attempt_count
             insert into syncline.failed_attempt as f (subject, mistakes, last_at)
             select s, 1, clock_timestamp() from unnest($1::bytea[]) with ordinality u(s, n) order by n
             on conflict (subject) do update set last_at = excluded.last_at,
               mistakes = case when f.last_at < excluded.last_at - interval '1 hour' then 1 else least(f.mistakes, 1000000) + 1 end",
        )
        .bind(&subjects)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes back what [`OwnTx::attempt_count`] counted, of an attempt that was no mistake: see `model::attempts::Attempts::succeeded`.
    pub(crate) async fn attempt_forgive(&mut self, of: &[Counted]) -> Result<()> {
        let of_kind = |is_account: bool| -> Vec<Vec<u8>> {
            of.iter().filter(|counted| matches!(counted, Counted::Account(_)) == is_account).map(subject).collect()
        };
        sqlx::query("-- attempt_forgive\ndelete from syncline.failed_attempt where subject = any($1)")
            .bind(of_kind(true))
            .execute(self.connection())
            .await?;
        sqlx::query("-- attempt_take_back\nupdate syncline.failed_attempt set mistakes = greatest(mistakes - 1, 0) where subject = any($1)")
            .bind(of_kind(false))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn subject(of: &Counted) -> Vec<u8> {
    let text = match of {
        Counted::Account(name) => format!("account:{name}"),
        Counted::Address(address) => format!("address:{address}"),
    };
    Sha256::digest(text).to_vec()
}
