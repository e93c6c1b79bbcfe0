//! Secrets that nobody can guess, and what is kept of them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal("drawing random bytes", error.to_string()))?;
    Ok(bytes)
}

/// A token or key of 256 bits that begins with `prefix`.
pub(super) fn token(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random::<32>()?)))
}

/// A password that somebody can copy by hand: 120 bits in groups of lower case letters and digits, none of which looks like another.
pub(super) fn password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut text = String::new();
    for (index, byte) in random::<24>()?.into_iter().enumerate() {
        if index > 0 && index % 6 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS.get(usize::from(byte & 31)).copied().unwrap_or(b'x')));
    }
    Ok(text)
}

/// What is kept of a token or key: enough to know it again, not to present it.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let made: std::collections::HashSet<String> = (0..100).map(|_| token("slt_").unwrap()).collect();
        assert_eq!(made.len(), 100);
        assert!(made.iter().all(|token| token.len() == 4 + 43));
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 27, "{one}");
    }
}
