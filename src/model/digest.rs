//! Digests of bytes, as text.

/// Bytes in hexadecimal digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes in base64, as headers have it.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (group >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { char::from(BASE64[six as usize]) } else { '=' });
        }
    }
    out
}

/// Reads a SHA-256 in hexadecimal digits or in base64. `None` if it is neither.
pub fn parse_sha256(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    match text.len() {
        64 => {
            text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
        }
        44 => {
            let mut bytes = Vec::with_capacity(33);
            for group in text.strip_suffix('=')?.as_bytes().chunks(4) {
                let mut bits = 0u32;
                for digit in group {
                    let six = BASE64.iter().position(|known| known == digit)?;
                    bits = bits << 6 | u32::try_from(six).ok()?;
                }
                bits <<= 6 * (4 - group.len());
                bytes.extend_from_slice(bits.to_be_bytes().get(1..group.len())?);
            }
            Some(bytes)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_and_read_in_both_alphabets() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        let digest: Vec<u8> = (0..32).map(|byte| byte * 7 + 3).collect();
        assert_eq!(parse_sha256(&hex(&digest)), Some(digest.clone()));
        assert_eq!(parse_sha256(&hex(&digest).to_uppercase()), Some(digest.clone()));
        assert_eq!(parse_sha256(&base64(&digest)), Some(digest));
        for wrong in ["", "abc", &"g".repeat(64), &"é".repeat(32), &format!("{}=", "-".repeat(43))] {
            assert_eq!(parse_sha256(wrong), None, "{wrong}");
        }
    }
}
