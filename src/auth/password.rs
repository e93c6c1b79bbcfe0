//! Passwords: Argon2id with 19 MiB of memory and two passes, kept in the PHC form, so that old ones go on counting if this changes.

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};

use crate::error::{Error, Result};

use super::secret::random;

/// The longest password, in bytes. Longer ones would only cost time.
const MAX_BYTES: usize = 1000;
/// The shortest password that may be set, in characters.
const MIN_CHARACTERS: usize = 8;

/// What there is to compare with where there is no password: the hash of one that nobody has, made like all others.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz$ndTyqqKSmkhzQ2cG1FfzeT3HOtnD3nXK4FZh1nI2vG8";

/// What is kept of a new password. On a thread of its own, since it is made to take time.
pub(super) async fn hash(password: &str) -> Result<String> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(Error::invalid(
            "password",
            format!("it is too short; at least {MIN_CHARACTERS} characters are needed"),
        ));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("password", format!("it is too long; at most {MAX_BYTES} bytes are taken")));
    }
    let salt = random::<16>()?;
    let password = password.to_owned();
    on_a_thread(move || {
        let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
        hash.map(|hash| hash.to_string()).map_err(|error| Error::internal("hashing a password", error.to_string()))
    })
    .await?
}

/// Whether it is the password of which `hash` was kept. Takes as long if there is none.
pub(super) async fn is(password: &str, hash: Option<&str>) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let password = password.to_owned();
    let known = hash.is_some();
    let hash = hash.unwrap_or(NOBODYS).to_owned();
    let fits =
        on_a_thread(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()).await?;
    Ok(known && fits)
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("checking a password", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
        let kept = hash("correct horse").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash("correct horse").await.unwrap());
        assert!(is("correct horse", Some(&kept)).await.unwrap());
        assert!(!is("correct horses", Some(&kept)).await.unwrap());
        assert!(!is("", Some(&kept)).await.unwrap());
        assert!(hash("short").await.is_err());
    }

    #[tokio::test]
    async fn where_there_is_no_password_none_counts_and_it_takes_as_long() {
        // It is compared with something that can be read, and costs what all others cost.
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODYS).is_ok());
        assert!(!is("anything", None).await.unwrap());
    }
}
