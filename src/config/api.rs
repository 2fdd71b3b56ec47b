//! The section `api` of a file: where operators are answered, and that nobody else is by mistake.

use super::{
    check::Host,
    fault::{Fault, KeyPath},
    plan::{ApiPlan, TlsFiles, TokenFrom},
    raw_api::Api,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The variable that holds the token, where no file does.
pub const TOKEN_VARIABLE: &str = "EYELINE_API_TOKEN";

/// What is asked for; `None` where nothing is to listen.
pub(super) fn api(raw: &Api, path: &KeyPath, host: &dyn Host, faults: &mut Vec<Fault>) -> Option<ApiPlan> {
    let mut check = Check { path, host, faults };
    let token = check.token(raw);
    let tls = check.tls(raw);
    let listen = check.address(&raw.listen, "listen");
    let restream = check.address(&raw.restream, "restream");
    for (address, key) in [(listen, "listen"), (restream, "restream")] {
        check.reach(address, key, token.is_some() || raw.without_token);
    }
    (listen.is_some() || restream.is_some()).then_some(ApiPlan { listen, token, tls, restream })
}

struct Check<'a> {
    path: &'a KeyPath,
    host: &'a dyn Host,
    faults: &'a mut Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, key: &str, problem: impl Into<String>, hint: Option<&str>) {
        self.faults.push(Fault::new(self.path.key(key), problem).with_hint(hint.map(str::to_owned)));
    }

    fn address(&mut self, text: &str, key: &str) -> Option<SocketAddr> {
        if text.is_empty() {
            return None;
        }
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        let address = local.map(|port: u16| (Ipv4Addr::LOCALHOST, port).into()).or_else(|| text.parse().ok());
        if address.is_none() {
            self.fault(key, format!("{text:?}, expected ADDRESS:PORT such as \"127.0.0.1:8080\""), None);
        }
        address
    }

    fn reach(&mut self, address: Option<SocketAddr>, key: &str, is_meant: bool) {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback() && !is_meant) {
            let hint = format!(
                "set {TOKEN_VARIABLE} or api.token_file, or listen on 127.0.0.1; api.without_token: true lets everybody \
                 do everything"
            );
            self.fault(key, format!("{address} can be reached by others, expected a token"), Some(&hint));
        }
    }

    fn token(&mut self, raw: &Api) -> Option<TokenFrom> {
        if !raw.token_file.is_empty() {
            return self.file(&raw.token_file, "token_file").map(TokenFrom::File);
        }
        let is_set = self.host.variable(TOKEN_VARIABLE).is_some_and(|token| !token.is_empty());
        is_set.then_some(TokenFrom::Variable)
    }

    fn tls(&mut self, raw: &Api) -> Option<TlsFiles> {
        match (raw.tls_certificate.is_empty(), raw.tls_key.is_empty()) {
            (true, true) => None,
            (true, false) => {
                self.fault("tls_certificate", "missing, expected the certificate of tls_key", None);
                None
            }
            (false, true) => {
                self.fault("tls_key", "missing, expected the private key of tls_certificate", None);
                None
            }
            (false, false) => {
                let certificate = self.file(&raw.tls_certificate, "tls_certificate");
                let key = self.file(&raw.tls_key, "tls_key");
                certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key })
            }
        }
    }

    fn file(&mut self, name: &str, key: &str) -> Option<PathBuf> {
        if !self.host.is_file(Path::new(name)) {
            self.fault(key, format!("{name}: no such file"), None);
        }
        Some(PathBuf::from(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine without files, and with the token in its environment or not.
    struct Bare {
        token: Option<&'static str>,
    }

    impl Host for Bare {
        fn videos(&self, _input: &str) -> Result<Vec<PathBuf>, String> {
            Ok(Vec::new())
        }

        fn is_file(&self, _path: &Path) -> bool {
            false
        }

        fn cpus(&self) -> usize {
            1
        }

        fn variable(&self, name: &str) -> Option<String> {
            self.token.filter(|_| name == TOKEN_VARIABLE).map(str::to_owned)
        }
    }

    fn faults(raw: &Api, token: Option<&'static str>) -> Vec<String> {
        let mut faults = Vec::new();
        let plan = api(raw, &KeyPath::root().key("api"), &Bare { token }, &mut faults);
        assert!(!faults.is_empty() || plan.is_some() != (raw.listen.is_empty() && raw.restream.is_empty()), "{raw:?}");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn others_are_answered_only_with_a_token_or_on_purpose() {
        let at = |listen: &str| Api { listen: listen.into(), ..Api::default() };
        for local in ["", "127.0.0.1:0", "localhost:8080", "[::1]:8080"] {
            assert_eq!(faults(&at(local), None), [""; 0], "{local}");
        }
        for open in ["0.0.0.0:8080", "[::]:8080", "192.168.1.2:8080"] {
            assert_eq!(faults(&at(open), None).len(), 1, "{open}");
            assert_eq!(faults(&at(open), Some("")).len(), 1, "{open}: an empty token is none");
            assert_eq!(faults(&at(open), Some("correct horse")), [""; 0], "{open}");
            assert_eq!(faults(&Api { without_token: true, ..at(open) }, None), [""; 0], "{open}");
        }
        assert_eq!(faults(&Api { restream: "0.0.0.0:8554".into(), ..at("") }, None).len(), 1);
        for unsound in ["8080", "localhost", "example.org:80", "127.0.0.1:99999"] {
            assert!(faults(&at(unsound), None)[0].contains("expected ADDRESS:PORT"), "{unsound}");
        }
    }

    #[test]
    fn half_of_an_identity_and_missing_files_are_faults() {
        let files = Api { token_file: "t".into(), tls_certificate: "c".into(), tls_key: "k".into(), ..Api::default() };
        assert_eq!(faults(&files, None).len(), 3);
        let half = |tls_certificate: &str, tls_key: &str| Api {
            tls_certificate: tls_certificate.into(),
            tls_key: tls_key.into(),
            ..Api::default()
        };
        assert_eq!(faults(&half("c", ""), None), ["api.tls_key: missing, expected the private key of tls_certificate"]);
        assert_eq!(faults(&half("", "k"), None), ["api.tls_certificate: missing, expected the certificate of tls_key"]);
    }
}
