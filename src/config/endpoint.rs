//! Addresses of servers as a pipeline file gives them: `mqtt://host:1883`. Pure.

use std::fmt;

/// A server's address, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What stands before `://`, in small letters.
    pub scheme: String,
    /// Host name or address; IPv6 without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What follows the port: empty, or from its slash on. May hold a token (webhooks): not for messages.
    pub path: String,
}

impl Endpoint {
    /// Reads an address whose scheme is one of `schemes`, each with its usual port.
    ///
    /// Errors: what is wrong, without repeating the address, which might hold a password.
    pub fn parse(text: &str, schemes: &[(&str, u16)]) -> Result<Self, String> {
        let names = || schemes.iter().map(|(name, _)| format!("{name}://")).collect::<Vec<_>>().join(" or ");
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("no address, expected {}HOST:PORT", names()));
        };
        let scheme = scheme.to_ascii_lowercase();
        let Some((_, usual_port)) = schemes.iter().find(|(name, _)| *name == scheme) else {
            return Err(format!("does not begin with {}", names()));
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("holds a user or password; give them as user and password or password_file".into());
        }
        let (host, port) = host_and_port(authority)?;
        Ok(Self { scheme, host: host.into(), port: port.unwrap_or(*usual_port), path: path.into() })
    }

    /// Host and port as clients take them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Without the path, which may hold a token.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`.
pub fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("[ without ]")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("what stands in [ ] is no IPv6 address".into());
            }
            match after.strip_prefix(':') {
                None if !after.is_empty() => return Err("] must be followed by :PORT or nothing".into()),
                port => (host, port),
            }
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("write an IPv6 address in [ ]".into()),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("no host".into());
    }
    match port.map(str::parse::<u16>) {
        None => Ok((host, None)),
        Some(Ok(port)) if port != 0 => Ok((host, Some(port))),
        Some(_) => Err("the port is no number 1..=65535".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: [(&str, u16); 2] = [("mqtt", 1883), ("mqtts", 8883)];

    #[test]
    fn table_of_addresses() {
        let cases = [
            ("mqtt://gate", "mqtt://gate:1883", ""),
            ("MQTTS://gate:1/x?y", "mqtts://gate:1", "/x?y"),
            ("mqtt://[::1]:9", "mqtt://[::1]:9", ""),
            ("mqtt://[::1]", "mqtt://[::1]:1883", ""),
            ("mqtt://10.0.0.1/", "mqtt://10.0.0.1:1883", "/"),
        ];
        for (text, shown, path) in cases {
            let endpoint = Endpoint::parse(text, &SCHEMES).unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.path.as_str()), (shown, path), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_address() {
        let cases = [
            ("gate:1883", "no address, expected mqtt://"),
            ("http://gate", "does not begin with mqtt:// or mqtts://"),
            ("mqtt://", "no host"),
            ("mqtt:// x", "no host"),
            ("mqtt://gate:0", "the port"),
            ("mqtt://gate:65536", "the port"),
            ("mqtt://::1:9", "write an IPv6 address in [ ]"),
            ("mqtt://[::1", "[ without ]"),
            ("mqtt://[gate]", "no IPv6"),
            ("mqtt://[::1]9", "] must be followed"),
            ("mqtt://user:hunter2@gate", "holds a user or password"),
        ];
        for (text, expected) in cases {
            let problem = Endpoint::parse(text, &SCHEMES).unwrap_err();
            assert!(problem.contains(expected) && !problem.contains("hunter2"), "{text}: {problem}");
        }
    }
}
