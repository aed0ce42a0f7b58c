//! TLS: the certificate a server shows, and what a password is bound to.
//!
//! A client asks for it with an SSLRequest, or begins with a TLS handshake at once, which has to name the
//! protocol by ALPN, so that nothing that was meant for another server is taken for a startup packet. TLS 1.2
//! and 1.3 by rustls, with ring. The channel is bound to SCRAM by the hash of the certificate (RFC 5929,
//! `tls-server-end-point`); one whose signature names no hash, as Ed25519, binds nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// The name of the protocol, as registered for ALPN.
pub const ALPN: &[u8] = b"postgresql";
/// The content type of a TLS record with which a handshake begins; no startup packet is long enough for it.
pub const HANDSHAKE: u8 = 0x16;

/// What TLS wants. Files are in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// The server's certificate, then those it was signed by.
    pub certificate: PathBuf,
    /// The key of the certificate, which nobody else may read.
    pub key: PathBuf,
    /// Clients on the network that do not speak it are refused.
    pub required: bool,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {file}: {source}")]
    File { file: PathBuf, source: io::Error },
    #[error("{file} is not {what} in PEM: {why}")]
    Pem {
        file: PathBuf,
        what: &'static str,
        why: String,
    },
    #[error(
        "{0} can be read by others than its owner: run chmod 600 on it, or 640 if it is root's"
    )]
    KeyIsOpen(PathBuf),
    #[error("{key} is not the key of {certificate}: {why}")]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        why: rustls::Error,
    },
}

/// What all connections of a server need.
pub struct Tls {
    config: Arc<ServerConfig>,
    pub required: bool,
    /// Passwords are bound to the certificate.
    binding: Option<ScramServerAuth>,
}

impl Tls {
    pub fn load(options: &TlsOptions) -> Result<Tls, TlsError> {
        let pem = read(&options.certificate)?;
        let not = |file: &Path, what| {
            let file = file.to_owned();
            move |why: String| TlsError::Pem { file, what, why }
        };
        let no_certificate = not(&options.certificate, "a certificate");
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = match chain {
            Ok(chain) if chain.is_empty() => {
                return Err(no_certificate("there is none".to_owned()));
            }
            Ok(chain) => chain,
            Err(e) => return Err(no_certificate(e.to_string())),
        };
        check_key_is_private(&options.key)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&options.key)?)
            .map_err(|e| not(&options.key, "a private key")(e.to_string()))?;
        let pair = |why| TlsError::Pair {
            certificate: options.certificate.clone(),
            key: options.key.clone(),
            why,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        let mut binding = ScramServerAuth::new();
        let bound = binding.configure_certificate(&pem);
        if let Err(why) = &bound {
            tracing::warn!(%why, "SCRAM is not bound to the certificate");
        }
        Ok(Tls {
            config: Arc::new(config),
            required: options.required,
            binding: bound.is_ok().then_some(binding),
        })
    }

    /// The server's side of a new connection.
    pub fn accept(&self) -> io::Result<ServerConnection> {
        ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)
    }

    /// SCRAM over a channel of this certificate.
    pub fn binding(&self) -> Option<&ScramServerAuth> {
        self.binding.as_ref()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the operator's files, of which the database has none"
)]
fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|source| TlsError::File {
        file: file.to_owned(),
        source,
    })
}

/// PostgreSQL's rule: the owner's alone, or root's, who may let a group read it.
#[allow(
    clippy::disallowed_methods,
    reason = "the operator's files, of which the database has none"
)]
fn check_key_is_private(file: &Path) -> Result<(), TlsError> {
    let metadata = fs::metadata(file).map_err(|source| TlsError::File {
        file: file.to_owned(),
        source,
    })?;
    let others = match metadata.uid() {
        0 => 0o037,
        _ => 0o077,
    };
    match metadata.mode() & others {
        0 => Ok(()),
        _ => Err(TlsError::KeyIsOpen(file.to_owned())),
    }
}
