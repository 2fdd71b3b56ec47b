//! From the plan to servers: what `api` of a pipeline file asks for.

#[cfg(all(feature = "gst", feature = "opencv"))]
use super::restream::Restream;
use super::{Gate, Listen, ServeError, Server, operate::Operate};
use crate::config::{
    api::TOKEN_VARIABLE,
    plan::{ApiPlan, TokenFrom},
};
use std::{env, fs, net::SocketAddr, sync::Arc};

/// Shortest token: 16 random letters and digits take longer to guess than anybody has.
const MIN_TOKEN: usize = 16;

/// Everything that serves operators. Dropped, it stops.
#[derive(Debug)]
pub struct Served {
    /// HTTP, where asked for.
    pub http: Option<Server>,
    /// RTSP, where asked for.
    #[cfg(all(feature = "gst", feature = "opencv"))]
    pub restream: Option<Restream>,
}

/// Serves `operate` as `plan` says.
///
/// Errors: a port is taken, the token or the TLS identity cannot be read; nothing is served then.
pub fn open(plan: &ApiPlan, operate: &Arc<dyn Operate>) -> Result<Served, ServeError> {
    let token = plan.token.as_ref().map(read_token).transpose()?;
    let http = |address: SocketAddr| {
        let gate = match &token {
            Some(token) => Gate::token(token),
            None if address.ip().is_loopback() => Gate::ThisMachine,
            None => Gate::Anyone,
        };
        Server::start(&Listen { address, tls: plan.tls.clone() }, gate, Arc::clone(operate))
    };
    Ok(Served {
        http: plan.listen.map(http).transpose()?,
        #[cfg(all(feature = "gst", feature = "opencv"))]
        restream: plan
            .restream
            .map(|address| Restream::start(address, token.as_deref(), Arc::clone(operate)))
            .transpose()?,
    })
}

fn read_token(from: &TokenFrom) -> Result<String, ServeError> {
    let unsound = |problem: String| ServeError::Token(problem);
    let (text, of) = match from {
        TokenFrom::Variable => (env::var(TOKEN_VARIABLE).unwrap_or_default(), TOKEN_VARIABLE.to_owned()),
        TokenFrom::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| unsound(format!("{}: {error}", path.display())))?;
            (text, path.display().to_string())
        }
    };
    let token = text.trim_end_matches(['\r', '\n']);
    match token.chars().count() {
        count if count < MIN_TOKEN => Err(unsound(format!("{of}: {count} characters, expected at least {MIN_TOKEN}"))),
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(unsound(format!("{of}: expected ASCII letters, digits and signs without spaces")))
        }
        _ => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fake::FakeLine;

    #[test]
    fn a_token_is_read_from_its_file_and_never_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |content: &str| {
            fs::write(&path, content).unwrap();
            read_token(&TokenFrom::File(path.clone())).map_err(|error| error.to_string())
        };
        assert_eq!(read("0123456789abcdef\n"), Ok("0123456789abcdef".into()));
        for unsound in ["hunter2", "hunter2 hunter2 hunter2", "hünter2-hünter2-hünter2", ""] {
            let error = read(unsound).unwrap_err();
            assert!(error.contains("token: ") && !error.contains("nter2"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(read_token(&TokenFrom::File(path)).is_err());
    }

    #[test]
    fn what_is_asked_for_is_served() {
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let operate: Arc<dyn Operate> = Arc::new(FakeLine::default());
        let plan = ApiPlan { listen: Some(loopback), token: None, tls: None, restream: None };
        assert_ne!(open(&plan, &operate).unwrap().http.unwrap().address().port(), 0);
        let none = ApiPlan { listen: None, ..plan };
        assert!(open(&none, &operate).unwrap().http.is_none());
    }
}
