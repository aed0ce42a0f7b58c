//! The Unix socket.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use heliosdb_kernel::{AuthMethod, ServerConfig, StartError};

use crate::driver::session;
use crate::{PASSWORD, Served};

fn config(directory: &Path, port: u16) -> ServerConfig {
    ServerConfig {
        listen: vec![([127, 0, 0, 1], port).into()],
        unix_socket_directory: Some(directory.to_owned()),
        auth: AuthMethod::Scram,
        ..ServerConfig::default()
    }
}

#[test]
fn a_driver_logs_in_by_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::with(&config(directory.path(), 0));
    let port = served.address().port();
    let socket = directory.path().join(format!(".s.PGSQL.{port}"));
    assert_eq!(
        served.server.as_ref().unwrap().unix_socket(),
        Some(&*socket)
    );
    let mut client = tokio_postgres::Config::new();
    client
        .host_path(directory.path())
        .port(port)
        .user("helios")
        .password(PASSWORD)
        .dbname("helios");
    let one = |client: &tokio_postgres::Config| {
        session(client, tokio_postgres::NoTls, async |client| {
            let row = client.query_one("SELECT 1 + 1", &[]).await.unwrap();
            row.get::<_, i32>(0)
        })
    };
    assert_eq!(one(&client).unwrap(), 2);
    client.password("wrong");
    let refused = one(&client).unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "28P01");
    drop(served);
    assert!(!socket.exists());
}

/// What a server that was killed left behind is taken over, and what one that lives has is not.
#[test]
fn a_forsaken_socket_is_taken_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let first = Served::with(&config(directory.path(), 0));
    let socket = first
        .server
        .as_ref()
        .unwrap()
        .unix_socket()
        .unwrap()
        .to_owned();
    let port = first.address().port();
    drop(first);

    drop(UnixListener::bind(&socket).unwrap());
    let second = Served::with(&config(directory.path(), port));
    UnixStream::connect(&socket).unwrap();
    drop(second);

    let _living = UnixListener::bind(&socket).unwrap();
    let third = Served::trust();
    let refused = third.database.serve(&config(directory.path(), port)).err();
    assert!(
        matches!(refused, Some(StartError::Socket { .. })),
        "{refused:?}"
    );
    assert!(UnixStream::connect(&socket).is_ok());

    // No file of somebody else's goes, either.
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "a letter").unwrap();
    assert!(
        third
            .database
            .serve(&config(directory.path(), port))
            .is_err()
    );
    assert_eq!(fs::read_to_string(&socket).unwrap(), "a letter");
}

/// A server whose socket was replaced leaves the other's alone when it ends.
#[test]
fn a_server_removes_its_own_socket_only() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::with(&config(directory.path(), 0));
    let socket = served.server.as_ref().unwrap().unix_socket();
    let socket = socket.unwrap().to_owned();
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    drop(served);
    UnixStream::connect(&socket).unwrap();
}
