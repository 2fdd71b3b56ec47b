//! The address of a camera, kept apart from its user and password, so that whatever prints an address prints no secret.
//! Pure.

use super::redact;
use std::{fmt, path::PathBuf};

/// How a camera is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `rtsp://`
    Rtsp,
    /// `rtsps://`: RTSP within TLS.
    Rtsps,
    /// `http://`: MJPEG, HLS.
    Http,
    /// `https://`
    Https,
    /// `v4l2://`, or a device's path: a camera of this machine.
    V4l2,
}

impl Scheme {
    const ALL: [(&'static str, Self); 5] = [
        ("rtsp", Self::Rtsp),
        ("rtsps", Self::Rtsps),
        ("http", Self::Http),
        ("https", Self::Https),
        ("v4l2", Self::V4l2),
    ];

    /// The word before `://`.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, scheme)| *scheme == self).map_or("", |(word, _)| word)
    }

    /// Whether what goes over the wire is encrypted.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Rtsps | Self::Https)
    }
}

/// What is wrong with an address; never repeats it, it might hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// No scheme that eyeline speaks.
    #[error("no camera's address, expected rtsp://, rtsps://, http://, https://, v4l2:// or /dev/video0")]
    Scheme,
    /// Nothing between `://` and the path.
    #[error("the address names no host")]
    Host,
    /// What follows the host's colon.
    #[error("the port is no number 1..=65535")]
    Port,
    /// Blank or control characters.
    #[error("the address holds blanks or control characters; write them percent-encoded")]
    Blank,
}

/// Where a camera is, and who may see it. `Display` and `Debug` show neither user, password nor the values of a query.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    /// Host and port, or empty for a device.
    authority: String,
    /// From the slash on, query left out; a device's path.
    path: String,
    /// Behind the question mark, with it; may hold a password.
    query: String,
    /// User and password of the address itself, decoded.
    login: Option<Login>,
}

/// A user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password; may be empty.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Address {
    /// Reads an address, with or without user and password in it.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(AddressFault::Blank);
        }
        if text.starts_with("/dev/") {
            return Ok(Self::device(text));
        }
        let (word, rest) = text.split_once("://").ok_or(AddressFault::Scheme)?;
        let word = word.to_ascii_lowercase();
        let (_, scheme) = *Scheme::ALL.iter().find(|(known, _)| *known == word).ok_or(AddressFault::Scheme)?;
        if scheme == Scheme::V4l2 {
            return if rest.starts_with('/') { Ok(Self::device(rest)) } else { Err(AddressFault::Host) };
        }
        // An @ in an unescaped password, or in a path, is no reason to show either: the last one before the path splits,
        // and a / or ? before it belongs to the password where a host follows.
        let (login, rest) = split_login(rest);
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        check_authority(authority)?;
        Ok(Self { scheme, authority: authority.into(), path: path.into(), query: query.into(), login })
    }

    fn device(path: &str) -> Self {
        let (authority, query) = (String::new(), String::new());
        Self { scheme: Scheme::V4l2, authority, path: path.into(), query, login: None }
    }

    /// How it is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// User and password that stand in the address.
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The device of a `v4l2` address.
    pub fn device_path(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::V4l2).then(|| PathBuf::from(&self.path))
    }

    /// The address without user and password, query included: for the client that connects, not for messages.
    pub fn location(&self) -> String {
        match self.scheme {
            Scheme::V4l2 => self.path.clone(),
            scheme => format!("{}://{}{}{}", scheme.as_str(), self.authority, self.path, self.query),
        }
    }

    /// A name for a stream that was given none: host and last part of the path.
    pub fn suggested_name(&self) -> String {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let last = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let parts: Vec<&str> = [host.trim_matches(['[', ']']), last].into_iter().filter(|s| !s.is_empty()).collect();
        parts.join("-")
    }

    /// Values of the query that look like a login, as written and decoded.
    pub fn secrets(&self) -> Vec<String> {
        let telling = ["user", "usr", "login", "pass", "pwd", "pw", "token", "key", "auth", "secret", "sig"];
        let pairs = self.query.trim_start_matches('?').split(['&', ';']).filter_map(|pair| pair.split_once('='));
        let mut secrets: Vec<String> = Vec::new();
        for (key, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            if telling.iter().any(|word| key.to_ascii_lowercase().contains(word)) {
                secrets.extend([value.to_owned(), redact::decoded(value)]);
            }
        }
        secrets
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::V4l2 {
            return f.write_str(&self.path);
        }
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority, self.path)?;
        f.write_str(if self.query.is_empty() { "" } else { "?…" })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Takes user and password off the front of what follows `://`.
fn split_login(rest: &str) -> (Option<Login>, &str) {
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = match rest[..path_at].rfind('@') {
        Some(at) => at,
        // `user:pa/ss@host/…`: without an @ before the first slash, and with a colon that no port follows.
        None => match rest.rfind('@') {
            Some(at) if has_login_before(&rest[..path_at]) => at,
            _ => return (None, rest),
        },
    };
    let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
    (Some(Login { user: redact::decoded(user), password: redact::decoded(password) }), &rest[at + 1..])
}

fn has_login_before(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| !authority.starts_with('[') && port.parse::<u16>().is_err())
}

fn check_authority(authority: &str) -> Result<(), AddressFault> {
    let (host, port) = match authority.rfind(']') {
        Some(end) => authority.split_at(end + 1),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.trim_matches(['[', ']']).is_empty() {
        return Err(AddressFault::Host);
    }
    let sound = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|p| p > 0));
    if sound { Ok(()) } else { Err(AddressFault::Port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_addresses() {
        let cases = [
            ("rtsp://10.0.0.5/stream1", "rtsp://10.0.0.5/stream1", "10.0.0.5-stream1", None),
            ("RTSPS://cam:322/a/b?ch=1", "rtsps://cam:322/a/b?…", "cam-b", None),
            ("rtsp://admin:pa%40ss@cam/x", "rtsp://cam/x", "cam-x", Some(("admin", "pa@ss"))),
            ("rtsp://admin:p@ss@cam/x", "rtsp://cam/x", "cam-x", Some(("admin", "p@ss"))),
            ("rtsp://admin:p/a@cam:554/x", "rtsp://cam:554/x", "cam-x", Some(("admin", "p/a"))),
            ("http://admin@cam", "http://cam", "cam", Some(("admin", ""))),
            ("rtsp://cam:554/live@main", "rtsp://cam:554/live@main", "cam-live@main", None),
            ("http://[fe80::1]:8080/v", "http://[fe80::1]:8080/v", "fe80::1-v", None),
            ("/dev/video0", "/dev/video0", "video0", None),
            ("v4l2:///dev/video2", "/dev/video2", "video2", None),
        ];
        for (text, shown, name, login) in cases {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.suggested_name().as_str()), (shown, name), "{text}");
            let found = address.login().map(|login| (login.user.as_str(), login.password.as_str()));
            assert_eq!(found, login, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_address() {
        let cases = [
            ("gate.mp4", AddressFault::Scheme),
            ("ftp://hunter2@x", AddressFault::Scheme),
            ("rtsp://", AddressFault::Host),
            ("rtsp://a:hunter2@/x", AddressFault::Host),
            ("rtsp://cam:0/x", AddressFault::Port),
            ("rtsp://cam:99999", AddressFault::Port),
            ("rtsp://cam/a b", AddressFault::Blank),
            ("v4l2://x", AddressFault::Host),
        ];
        for (text, fault) in cases {
            assert_eq!(Address::parse(text), Err(fault), "{text}");
            assert!(!fault.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn nothing_that_prints_shows_a_secret() {
        let address = Address::parse("http://u%20ser:hunt%65r2@cam/v?user=admin&pwd=hunter3&ch=1").unwrap();
        for text in [address.to_string(), format!("{address:?}"), format!("{:?}", address.login())] {
            assert!(!["hunter", "hunt%65r2", "user", "u ser"].iter().any(|secret| text.contains(secret)), "{text}");
        }
        assert_eq!(address.location(), "http://cam/v?user=admin&pwd=hunter3&ch=1");
        assert_eq!(address.secrets(), ["admin", "admin", "hunter3", "hunter3"]);
    }
}
