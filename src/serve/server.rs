//! The server: one thread named `api` with a runtime of its own, so that requests never run on the line's threads.

use super::{
    api::{self, Gate},
    operate::Operate,
};
use crate::config::plan::TlsFiles;
use axum::Router;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{runtime, sync::watch};

/// Threads that answer. Pictures are encoded elsewhere, so two serve hundreds of readers.
const WORKERS: usize = 2;
/// Threads for what may take its time: operations and pictures.
const BLOCKING_THREADS: usize = 8;
/// A connection that sends no whole head of a request for so long is closed.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// How long answers may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How the server is to listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS, if wanted.
    pub tls: Option<TlsFiles>,
}

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is taken, or the address is not of this machine.
    #[error("api: cannot listen on {address}: {source}; choose another --api")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the TLS identity is missing or unsound.
    #[error("api: {}: {problem}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The token cannot be read or is none.
    #[error("api: {0}")]
    Token(String),
    /// Pictures cannot be restreamed.
    #[cfg(all(feature = "gst", feature = "opencv"))]
    #[error(transparent)]
    Restream(#[from] super::restream::RestreamError),
    /// The system gives no thread.
    #[error("api: cannot start: {0}")]
    Start(#[from] io::Error),
}

/// A server at work. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    handle: Handle<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve `operate` behind `gate`. The port is open when this returns.
    pub fn start(listen: &Listen, gate: Gate, operate: Arc<dyn Operate>) -> Result<Self, ServeError> {
        let refused = |source| ServeError::Listen { address: listen.address, source };
        let listener = TcpListener::bind(listen.address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = listen.tls.as_ref().map(tls_config).transpose()?;
        let (stopping, is_stopping) = watch::channel(false);
        let router = api::router(operate, gate, is_stopping);
        let handle = Handle::new();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("api")
            .enable_io()
            .enable_time()
            .build()?;
        let served = handle.clone();
        let serve = move || {
            if let Err(error) = runtime.block_on(serve(listener, tls, router, served)) {
                tracing::error!(%error, "the API stopped");
            }
            runtime.shutdown_timeout(STOP_PATIENCE);
        };
        let thread = thread::Builder::new().name("api".into()).spawn(serve)?;
        tracing::info!(%address, tls = listen.tls.is_some(), "API");
        Ok(Self { address, stopping, handle, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, endless answers end, others are finished, at most for two seconds.
    pub fn stop(&mut self) {
        // Fails when nobody listens any more, which is as well.
        let _ = self.stopping.send(true);
        self.handle.graceful_shutdown(Some(STOP_PATIENCE));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the API panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Answers. News go out as they come (no delay): the system would hold a small one back while the last is unconfirmed.
async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let service = router.into_make_service();
    match tls {
        None => {
            let mut server = axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new()).handle(handle);
            server.http_builder().http1().header_read_timeout(HEAD_PATIENCE);
            server.serve(service).await
        }
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
            let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle);
            server.http_builder().http1().header_read_timeout(HEAD_PATIENCE);
            server.serve(service).await
        }
    }
}

fn tls_config(tls: &TlsFiles) -> Result<RustlsConfig, ServeError> {
    let fault = |path: &Path, problem: String| ServeError::Tls { path: path.to_owned(), problem };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(&tls.certificate, format!("no PEM certificate: {error}")))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| fault(&tls.key, format!("no PEM private key: {error}")))?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&tls.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fault(&tls.certificate, format!("certificate and key: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
