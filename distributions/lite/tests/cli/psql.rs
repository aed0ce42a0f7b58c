//! PostgreSQL's own psql against a served database.

use std::process::{Command, Output};

use crate::{Running, have, text};

/// Run psql with `arguments` against a server.
pub fn psql(running: &Running, arguments: &[&str]) -> Output {
    Command::new("psql")
        .args([
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "helios",
            "-d",
            "helios",
        ])
        .args(["-p", &running.port.to_string()])
        .args(arguments)
        .output()
        .unwrap()
}

fn answer(running: &Running, arguments: &[&str]) -> String {
    let output = psql(running, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn psql_works() {
    if !have("psql", "--version") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), "trust");
    answer(
        &running,
        &[
            "-c",
            "create table t (id int primary key, b text not null, c numeric(6,2) default 1.5)",
        ],
    );
    answer(
        &running,
        &["-c", "insert into t values (1, 'one'), (2, 'two')"],
    );
    assert_eq!(
        answer(&running, &["-Atc", "select * from t order by id"]),
        "1|one|1.50\n2|two|1.50\n"
    );
    assert_eq!(
        answer(
            &running,
            &[
                "-Atc",
                "begin; update t set b = 'x'; rollback; select b from t where id = 1"
            ]
        ),
        "BEGIN\nUPDATE 2\nROLLBACK\none\n"
    );
    let file = directory.path().join("more.csv");
    std::fs::write(&file, "id,b,c\n3,three,NA\n4,\"fo,ur\",4\n").unwrap();
    let copy = format!(
        "\\copy t from '{}' with (format csv, header, null 'NA')",
        file.display()
    );
    assert_eq!(answer(&running, &["-c", &copy]), "COPY 2\n");
    assert_eq!(
        answer(
            &running,
            &[
                "-c",
                "\\copy (select b from t where id > 2 order by id) to stdout"
            ]
        ),
        "three\nfo,ur\n"
    );

    let listed = answer(&running, &["-c", "\\d"]);
    assert!(listed.contains("| t    | table | helios"), "{listed}");
    let described = answer(&running, &["-c", "\\d t"]);
    assert!(described.contains("Table \"public.t\""), "{described}");
    assert!(
        described.contains("\"t_pkey\" PRIMARY KEY, btree (id)"),
        "{described}"
    );
    for command in ["\\dt", "\\di", "\\dn", "\\du", "\\l", "\\dt+"] {
        answer(&running, &["-c", command]);
    }

    let output = psql(&running, &["-c", "select 1 +\n  nothing"]);
    assert_eq!(
        text(&output.stderr),
        "ERROR:  column \"nothing\" does not exist\nLINE 2:   nothing\n          ^\n"
    );
    assert_eq!(running.stop(), Some(0));
}
