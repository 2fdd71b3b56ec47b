//! Takes secrets out of text that others wrote: GStreamer's log, an error of a library. Knows every secret in use, as it
//! is, percent-encoded, and as `user:password` in base64 (HTTP Basic), because those are the forms it leaks in.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError, RwLock},
};

/// What stands where a secret stood.
const MASK: &str = "***";

/// Shorter ones stay: taken out of every word they are in, they would make text unreadable and so be told all the same.
const MIN_SECRET: usize = 3;

/// Secrets in use, longest first, so that one within another leaves no rest.
static IN_USE: RwLock<Vec<Arc<str>>> = RwLock::new(Vec::new());

/// Secrets that `redacted` takes out for as long as this lives.
pub struct Secrets(Vec<Arc<str>>);

impl Secrets {
    /// Every form of `user` and `password`, and of `others`.
    pub fn new(user: &str, password: &str, others: &[String]) -> Self {
        let basic = base64(format!("{user}:{password}").as_bytes());
        let plain = [user, password].into_iter().chain(others.iter().map(String::as_str));
        let mut forms: Vec<String> = plain.filter(|secret| secret.len() >= MIN_SECRET).flat_map(forms).collect();
        if !user.is_empty() || !password.is_empty() {
            forms.push(basic);
        }
        forms.sort_unstable();
        forms.dedup();
        let forms: Vec<Arc<str>> = forms.into_iter().map(Arc::from).collect();
        let mut in_use = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
        in_use.extend(forms.iter().cloned());
        in_use.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(forms)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let mut in_use = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|secret| !self.0.iter().any(|own| Arc::ptr_eq(own, secret)));
    }
}

/// `text` without any secret in use.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    let mut clean = Cow::Borrowed(text);
    for secret in in_use.iter() {
        if clean.contains(&**secret) {
            clean = Cow::Owned(clean.replace(&**secret, MASK));
        }
    }
    clean
}

/// A secret as it may appear: plain, and percent-encoded with large or small digits, all but letters and digits or also
/// what addresses leave as it is.
fn forms(secret: &str) -> Vec<String> {
    let encode = |kept: &dyn Fn(u8) -> bool, upper: bool| {
        let byte = |b: u8| match (kept(b), upper) {
            (true, _) => char::from(b).to_string(),
            (false, true) => format!("%{b:02X}"),
            (false, false) => format!("%{b:02x}"),
        };
        secret.bytes().map(byte).collect::<String>()
    };
    let strict = |b: u8| b.is_ascii_alphanumeric();
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let lax = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b);
    let encoded = [true, false].into_iter();
    let encoded = encoded.flat_map(|upper| [encode(&strict, upper), encode(&unreserved, upper), encode(&lax, upper)]);
    std::iter::once(secret.to_owned()).chain(encoded).collect()
}

/// `text` with its percent-encoded bytes decoded; what is no encoding stays.
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[index]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_secret_is_taken_out_while_it_is_in_use() {
        let secrets = Secrets::new("gatekeeper", "s3cr3t/@ä", &["tok-77".to_owned()]);
        let leaks = [
            "open rtsp://gatekeeper:s3cr3t/@ä@cam",
            "open rtsp://gatekeeper:s3cr3t%2F%40%C3%A4@cam",
            "open rtsp://gatekeeper:s3cr3t%2f%40%c3%a4@cam?t=tok-77",
            "Authorization: Basic Z2F0ZWtlZXBlcjpzM2NyM3QvQMOk",
            "username=\"gatekeeper\", token tok%2D77",
        ];
        for leak in leaks {
            let clean = redacted(leak);
            let found = ["s3cr3t", "gatekeeper", "tok", "Z2F0"].iter().any(|secret| clean.contains(secret));
            assert!(!found || clean.contains("token ***") && !clean.contains("tok%"), "{clean}");
        }
        drop(secrets);
        assert_eq!(redacted(leaks[0]), leaks[0]);
    }

    #[test]
    fn percent_and_base64() {
        for (text, plain) in [("a%40b", "a@b"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%ff", "%ff"), ("ä%20", "ä ")]
        {
            assert_eq!(decoded(text), plain);
        }
        for (plain, code) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("a:b?", "YTpiPw==")] {
            assert_eq!(base64(plain.as_bytes()), code);
        }
    }
}
