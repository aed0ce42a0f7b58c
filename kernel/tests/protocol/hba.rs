//! Rules about who may connect, from the side of those who try.

use std::path::Path;

use heliosdb_kernel::{AuthMethod, HbaRule, ServerConfig, StartError};

use crate::driver::session;
use crate::{PASSWORD, Served};

/// `type database user address method`, words apart by blanks, `-` for none.
fn rules(text: &str) -> Option<Vec<HbaRule>> {
    let names = |word: &str| word.split(',').map(str::to_owned).collect();
    let given = |word: &str| (word != "-").then(|| word.to_owned());
    let rule = |(line, text): (usize, &str)| {
        let words: Vec<&str> = text.split_whitespace().collect();
        HbaRule {
            line: line + 1,
            connection: words[0].parse().unwrap(),
            databases: names(words[1]),
            users: names(words[2]),
            address: given(words[3]).map(|word| word.parse().unwrap()),
            method: given(words[4]).map(|word| word.parse().unwrap()),
        }
    };
    Some(text.trim().lines().enumerate().map(rule).collect())
}

fn config(directory: &Path, text: &str) -> ServerConfig {
    ServerConfig {
        listen: vec![([127, 0, 0, 1], 0).into()],
        unix_socket_directory: Some(directory.to_owned()),
        hba: rules(text),
        ..ServerConfig::default()
    }
}

/// Logs in, by TCP or by the socket: `ok`, or the SQLSTATE and the message.
fn log_in(served: &Served, directory: Option<&Path>, user: &str, password: &str) -> String {
    let mut client = tokio_postgres::Config::new();
    let address = served.address();
    match directory {
        Some(directory) => client.host_path(directory),
        None => client.host(address.ip().to_string()),
    };
    client.port(address.port()).user(user).dbname("helios");
    if !password.is_empty() {
        client.password(password);
    }
    let answered = session(&client, tokio_postgres::NoTls, async |client| {
        client.query_one("SELECT 1", &[]).await.map(drop)
    });
    match answered {
        Ok(_) => "ok".to_owned(),
        Err(error) => match error.as_db_error() {
            Some(e) => format!("{} {}", e.code().code(), e.message()),
            None => error.to_string(),
        },
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let directory = tempfile::tempdir().unwrap();
    let text = "
local     all     helios  -             trust
local     all     all     -             -
host      other   all     all           scram-sha-256
host      all     blocked 127.0.0.0/8   reject
hostssl   all     all     all           scram-sha-256
hostnossl all     helios  127.0.0.1/32  scram-sha-256
host      all     guest   samehost      scram-sha-256";
    let served = Served::with(&config(directory.path(), text));
    let database = &served.database;
    for role in ["guest", "blocked", "nobody"] {
        database
            .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'theirs'"))
            .unwrap();
    }
    let socket = Some(directory.path());
    assert_eq!(log_in(&served, socket, "helios", ""), "ok");
    assert_eq!(log_in(&served, socket, "guest", "theirs"), "ok");
    assert!(log_in(&served, socket, "guest", "wrong").starts_with("28P01"));
    assert_eq!(log_in(&served, None, "helios", PASSWORD), "ok");
    assert!(log_in(&served, None, "helios", "wrong").starts_with("28P01"));
    assert_eq!(log_in(&served, None, "guest", "theirs"), "ok");
    assert_eq!(
        log_in(&served, None, "blocked", "theirs"),
        "28000 heliosdb.toml rejects connection for host \"127.0.0.1\", user \"blocked\", database \"helios\", no encryption"
    );
    // Whether there is such a role makes no difference.
    for user in ["nobody", "absent"] {
        assert_eq!(
            log_in(&served, None, user, "theirs"),
            format!(
                "28000 no heliosdb.toml entry for host \"127.0.0.1\", user \"{user}\", database \"helios\", no encryption"
            )
        );
    }
    // A connection from within this process is asked nothing.
    assert!(served.server.as_ref().unwrap().connect_local().is_ok());
    let shown = database
        .query(
            "SELECT line_number, type, database::text, user_name::text, address, netmask, auth_method, options::text, error
             FROM pg_hba_file_rules WHERE line_number IN (2, 4, 6, 7) ORDER BY 1",
            &[],
        )
        .unwrap();
    let shown: Vec<String> = shown
        .into_iter()
        .map(|row| {
            let text = |i| row.get::<Option<String>>(i).unwrap().unwrap_or_default();
            let line: i32 = row.get(0).unwrap();
            format!("{line} {}", (1..9).map(text).collect::<Vec<_>>().join("|"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "2 local|{all}|{all}|||scram-sha-256||",
            "4 host|{all}|{blocked}|127.0.0.0|255.0.0.0|reject||",
            "6 hostnossl|{all}|{helios}|127.0.0.1|255.255.255.255|scram-sha-256||",
            "7 host|{all}|{guest}|samehost||scram-sha-256||",
        ]
    );
}

#[test]
fn without_a_rule_nobody_comes_in() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::with(&config(directory.path(), ""));
    let refused = log_in(&served, Some(directory.path()), "helios", PASSWORD);
    assert!(
        refused.starts_with("28000 no heliosdb.toml entry for host \"[local]\""),
        "{refused}"
    );
}

#[test]
fn a_rule_that_cannot_be_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::trust();
    for (text, auth) in [
        (
            "local all all - -\nhost all all all trust",
            AuthMethod::Scram,
        ),
        (
            "local all all - -\nhost all all 10.0.0.0/8 -",
            AuthMethod::Trust,
        ),
        (
            "local all all - -\nhost all +staff all -",
            AuthMethod::Scram,
        ),
    ] {
        let config = ServerConfig {
            auth,
            ..config(directory.path(), text)
        };
        match served.database.serve(&config) {
            Err(StartError::Rule { line: 2, .. }) => {}
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it started with {text}"),
        }
    }
}
