//! Digests of bytes, as text.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bytes in hexadecimal digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Bytes in base64, as headers have it.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads a SHA-256 in hexadecimal digits or in base64. `None` if it is neither.
pub fn parse_sha256(text: &str) -> Option<Vec<u8>> {
    let digit_pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let digest: Vec<u8> = match text.trim() {
        text if text.len() == 64 => text.as_bytes().chunks(2).map(digit_pair).collect::<Option<_>>()?,
        text => STANDARD.decode(text).ok()?,
    };
    (digest.len() == 32).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_and_read_in_both_alphabets() {
        let digest: Vec<u8> = (0..32).map(|byte| byte * 7 + 3).collect();
        assert_eq!(parse_sha256(&hex(&digest)), Some(digest.clone()));
        assert_eq!(parse_sha256(&hex(&digest).to_uppercase()), Some(digest.clone()));
        assert_eq!(parse_sha256(&base64(&digest)), Some(digest));
        for wrong in ["", "abc", &"g".repeat(64), &"é".repeat(32), &format!("{}=", "-".repeat(43)), "Zm9vYmFy"] {
            assert_eq!(parse_sha256(wrong), None, "{wrong}");
        }
    }
}
