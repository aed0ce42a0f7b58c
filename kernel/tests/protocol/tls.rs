//! TLS: asked for or begun at once, passwords bound to the certificate, and clients that do it wrong.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heliosdb_kernel::{AuthMethod, ServerConfig, StartError, TlsError, TlsOptions};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::driver::session;
use crate::raw::{GSS_REQUEST, SSL_REQUEST, query, startup_packet};
use crate::{PASSWORD, Served};

struct Secured {
    served: Served,
    certificate: CertificateDer<'static>,
    files: TlsOptions,
    _directory: tempfile::TempDir,
}

/// A certificate for `localhost`, and its files in `directory`.
fn certify(directory: &Path) -> (CertificateDer<'static>, TlsOptions) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsOptions {
        certificate: directory.join("server.crt"),
        key: directory.join("server.key"),
        required: false,
    };
    fs::write(&files.certificate, cert.pem()).unwrap();
    fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    (cert.der().clone(), files)
}

fn config(auth: AuthMethod, files: &TlsOptions) -> ServerConfig {
    ServerConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        auth,
        tls: Some(files.clone()),
        ..ServerConfig::default()
    }
}

impl Secured {
    fn new(auth: AuthMethod) -> Secured {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, files) = certify(directory.path());
        Secured {
            served: Served::with(&config(auth, &files)),
            certificate,
            files,
            _directory: directory,
        }
    }

    /// What a client trusts that knows the certificate.
    fn client(&self, alpn: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    fn driver(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host("localhost")
            .hostaddr([127, 0, 0, 1].into())
            .port(self.served.address().port())
            .user("helios")
            .password(PASSWORD)
            .dbname("helios")
            .ssl_mode(SslMode::Require);
        config
    }

    fn ask(&self, config: &tokio_postgres::Config) -> Result<usize, tokio_postgres::Error> {
        let tls = MakeRustlsConnect::new(self.client(&[b"postgresql"]));
        session(config, tls, async |client| {
            // More than any buffer on the way has.
            let sql = "SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 20000) AS g(i)";
            let rows = client.query(sql, &[]).await.unwrap();
            rows.iter().map(|row| row.get::<_, &str>(1).len()).sum()
        })
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.served.address()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket
    }

    /// A handshake that was not asked for.
    fn direct(&self, alpn: &[&[u8]]) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let config = Arc::new(self.client(alpn));
        StreamOwned::new(ClientConnection::new(config, name).unwrap(), self.socket())
    }
}

#[test]
fn passwords_are_bound_to_the_certificate() {
    let secured = Secured::new(AuthMethod::Scram);
    for binding in [ChannelBinding::Require, ChannelBinding::Disable] {
        for negotiation in [SslNegotiation::Postgres, SslNegotiation::Direct] {
            let mut config = secured.driver();
            config.channel_binding(binding).ssl_negotiation(negotiation);
            assert_eq!(secured.ask(&config).unwrap(), 20_000 * 640, "{config:?}");
        }
    }
    let mut wrong = secured.driver();
    wrong.password("wrong");
    let refused = secured.ask(&wrong).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "28P01");
}

/// Binding that the server offered cannot have gone missing on the way.
#[test]
fn a_client_that_was_told_of_no_binding_is_refused() {
    let secured = Secured::new(AuthMethod::Scram);
    let mut stream = secured.direct(&[b"postgresql"]);
    stream
        .write_all(&startup_packet(&[("user", "helios")]))
        .unwrap();
    let offered = message(&mut stream);
    let offered = String::from_utf8_lossy(&offered.1[4..]).into_owned();
    assert_eq!(offered, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    let first = b"y,,n=,r=abcdefgh";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend((first.len() as u32).to_be_bytes());
    body.extend(first);
    stream.write_all(&crate::raw::message(b'p', &body)).unwrap();
    let (kind, body) = message(&mut stream);
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(kind, b'E');
    assert!(body.contains("C28000\0"), "{body:?}");
    assert!(body.contains("SCRAM channel binding negotiation error"));
}

/// A password that is bound to another certificate came by way of somebody in between.
#[test]
fn a_client_that_saw_another_certificate_is_refused() {
    let secured = Secured::new(AuthMethod::Scram);
    let mut stream = secured.direct(&[b"postgresql"]);
    stream
        .write_all(&startup_packet(&[("user", "helios")]))
        .unwrap();
    message(&mut stream);
    let first = b"p=tls-server-end-point,,n=,r=abcdefgh";
    let mut body = b"SCRAM-SHA-256-PLUS\0".to_vec();
    body.extend((first.len() as u32).to_be_bytes());
    body.extend(first);
    stream.write_all(&crate::raw::message(b'p', &body)).unwrap();
    let (kind, body) = message(&mut stream);
    assert_eq!(kind, b'R');
    let reply = String::from_utf8_lossy(&body[4..]).into_owned();
    let nonce = reply.split(',').next().unwrap();
    // The header alone, without the hash of the certificate.
    let last = format!(
        "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws,{nonce},p={}=",
        "A".repeat(43)
    );
    let last = crate::raw::message(b'p', last.as_bytes());
    stream.write_all(&last).unwrap();
    let (kind, body) = message(&mut stream);
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(kind, b'E');
    assert!(body.contains("C28000\0"), "{body:?}");
    assert!(body.contains("SCRAM channel binding check failed"));
}

/// Encryption is asked for once.
#[test]
fn nothing_more_is_negotiated_inside_of_tls() {
    let secured = Secured::new(AuthMethod::Trust);
    for request in [SSL_REQUEST, GSS_REQUEST] {
        let mut stream = secured.direct(&[b"postgresql"]);
        stream.write_all(&request).unwrap();
        let (kind, body) = message(&mut stream);
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(kind, b'E');
        assert!(body.contains("C0A000\0"), "{body:?}");
    }
}

/// A message that does not come in one piece, in records of TLS that are smaller or larger than it.
#[test]
fn messages_of_any_size_come_in_records_of_any_size() {
    let secured = Secured::new(AuthMethod::Trust);
    let startup = startup_packet(&[("user", "helios"), ("database", "helios")]);
    let mut stream = secured.direct(&[b"postgresql"]);
    for byte in &startup {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
    }
    while message(&mut stream).0 != b'Z' {}

    let secured = Secured::new(AuthMethod::Scram);
    let mut stream = secured.direct(&[b"postgresql"]);
    stream.write_all(&startup).unwrap();
    message(&mut stream);
    // Longer than what is read at a time, and refused when it is there as a whole.
    let long = crate::raw::message(b'p', &[b'x'; 60_000]);
    stream.write_all(&long).unwrap();
    let (kind, body) = message(&mut stream);
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(kind, b'E');
    assert!(body.contains("malformed SASLInitialResponse"), "{body:?}");
}

#[test]
fn whoever_does_not_ask_is_refused_if_the_operator_wants_it() {
    let mut secured = Secured::new(AuthMethod::Scram);
    let mut plain = secured.driver();
    plain.ssl_mode(SslMode::Disable);
    assert_eq!(secured.ask(&plain).unwrap(), 20_000 * 640);

    secured.files.required = true;
    secured.served = Served::with(&config(AuthMethod::Scram, &secured.files));
    let mut plain = secured.driver();
    plain.ssl_mode(SslMode::Disable);
    let refused = secured.ask(&plain).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "28000");
    assert_eq!(secured.ask(&secured.driver()).unwrap(), 20_000 * 640);
}

/// The kind and the body of the next message.
fn message(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).unwrap();
    (head[0], body)
}

/// A handshake that nobody asked for has to say that it is meant for PostgreSQL.
#[test]
fn a_handshake_at_once_names_the_protocol() {
    let secured = Secured::new(AuthMethod::Trust);
    let startup = startup_packet(&[("user", "helios"), ("database", "helios")]);
    let mut stream = secured.direct(&[b"postgresql"]);
    stream.write_all(&startup).unwrap();
    while message(&mut stream).0 != b'Z' {}
    stream.write_all(&query("SELECT 42")).unwrap();
    let (kind, _) = message(&mut stream);
    assert_eq!(kind, b'T');
    let (kind, row) = message(&mut stream);
    assert_eq!((kind, &row[6..]), (b'D', &b"42"[..]));
    // The end is said in TLS: nothing was cut off.
    stream.write_all(&crate::raw::message(b'X', b"")).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();

    let mut nameless = secured.direct(&[]);
    nameless.write_all(&startup).unwrap();
    let (kind, body) = message(&mut nameless);
    let body = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(kind, b'E');
    assert!(body.contains("08P01") && body.contains("ALPN"), "{body:?}");

    let mut other = secured.direct(&[b"h2"]);
    assert!(
        other
            .write_all(&startup)
            .and_then(|()| other.read(&mut [0]).map(drop))
            .is_err()
    );
}

#[test]
fn what_is_no_handshake_ends_its_own_connection_only() {
    let secured = Secured::new(AuthMethod::Trust);
    for asked in [false, true] {
        for garbage in [&[0x16, 3, 1, 0xff, 0xff, 0, 0][..], &[0x16; 600], &[0x16]] {
            let mut socket = secured.socket();
            if asked {
                socket.write_all(&SSL_REQUEST).unwrap();
                let mut answer = [0];
                socket.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"S");
            }
            socket.write_all(garbage).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            // An alert, perhaps, and the end.
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest);
            assert!(rest.len() < 100);
        }
    }
    // Data in the clear behind the request could be somebody else's.
    let mut socket = secured.socket();
    let stuffed = [&SSL_REQUEST[..], &startup_packet(&[("user", "helios")])].concat();
    socket.write_all(&stuffed).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&b'E'));
    assert_eq!(secured.served.server.as_ref().unwrap().connections(), 0);
    assert_eq!(secured.ask(&secured.driver()).unwrap(), 20_000 * 640);
}

#[test]
fn files_that_do_not_fit_are_told_at_the_start() {
    let secured = Secured::new(AuthMethod::Trust);
    let TlsOptions {
        certificate, key, ..
    } = &secured.files;
    let start = |files: &TlsOptions| {
        let config = config(AuthMethod::Trust, files);
        let started = secured.served.database.serve(&config);
        started.err().map(|error| match error {
            StartError::Tls(error) => error,
            other => panic!("{other}"),
        })
    };
    fs::set_permissions(key, fs::Permissions::from_mode(0o604)).unwrap();
    let open = start(&secured.files);
    assert!(matches!(open, Some(TlsError::KeyIsOpen(_))), "{open:?}");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(start(&secured.files).is_none());

    let swapped = TlsOptions {
        certificate: key.clone(),
        key: key.clone(),
        required: false,
    };
    let none = start(&swapped);
    assert!(matches!(none, Some(TlsError::Pem { .. })), "{none:?}");
    let (_, others) = {
        let other = certificate.with_file_name("other");
        fs::create_dir(&other).unwrap();
        certify(&other)
    };
    let mixed = TlsOptions {
        certificate: certificate.clone(),
        key: others.key,
        required: false,
    };
    let pair = start(&mixed);
    assert!(matches!(pair, Some(TlsError::Pair { .. })), "{pair:?}");
    let gone = TlsOptions {
        certificate: certificate.with_extension("gone"),
        key: key.clone(),
        required: false,
    };
    let gone = start(&gone).unwrap().to_string();
    assert!(gone.contains("server.gone: No such file"), "{gone}");
}
