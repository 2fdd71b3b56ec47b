//! TLS for the clients that use rustls.

use super::deliver::Refusal;
use crate::config::plan_sinks::TlsPlan;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{fs, path::Path, sync::Arc};

/// The settings of a plan; its files are read now, so that exchanged certificates are picked up at the next connection.
pub fn client_config(plan: &TlsPlan) -> Result<ClientConfig, Refusal> {
    let mut roots = RootCertStore::empty();
    match &plan.ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| Refusal::server(format!("{}: {error}", path.display())))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Refusal::server(format!("TLS: {error}")))?
        .with_root_certificates(roots);
    match &plan.client {
        None => Ok(config.with_no_client_auth()),
        Some((cert, key)) => {
            let private = PrivateKeyDer::from_pem_slice(&file(key)?)
                .map_err(|error| Refusal::server(format!("{}: no private key: {error}", key.display())))?;
            let fault = |error| Refusal::server(format!("{}: {error}", cert.display()));
            config.with_client_auth_cert(certificates(cert)?, private).map_err(fault)
        }
    }
}

/// For clients that ask for the process's own choice of cryptography.
pub fn choose_provider() {
    // Refused where one was chosen before: just as well.
    let _ = ring::default_provider().install_default();
}

/// The bytes of a PEM file.
pub fn file(path: &Path) -> Result<Vec<u8>, Refusal> {
    fs::read(path).map_err(|error| Refusal::server(format!("{}: {error}", path.display())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Refusal::server(format!("{}: holds no certificate", path.display()))),
        Err(error) => Err(Refusal::server(format!("{}: {error}", path.display()))),
    }
}
