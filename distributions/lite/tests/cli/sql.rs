//! `heliosdb-lite sql`.

use std::fs;

use crate::{lite, lite_with_input, sql, text};

#[test]
fn commands_run_in_order_and_stay() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let out = sql(
        data,
        &[
            "-c",
            "create table t (a int, b text)",
            "-c",
            "insert into t values (1, 'x'), (2, null)",
        ],
    );
    assert_eq!(out, "CREATE TABLE\nINSERT 0 2\n");
    assert_eq!(
        sql(data, &["-c", "select * from t order by a"]),
        " a | b \n---+---\n 1 | x\n 2 |\n(2 rows)\n\n"
    );
    assert_eq!(
        sql(
            data,
            &["--format", "csv", "-c", "select * from t order by a"]
        ),
        "a,b\n1,x\n2,\n"
    );
    assert_eq!(
        sql(
            data,
            &[
                "--format",
                "json",
                "-c",
                "select a, b, a > 1 as c from t order by a"
            ]
        ),
        "[\n  {\"a\": 1, \"b\": \"x\", \"c\": false},\n  {\"a\": 2, \"b\": null, \"c\": true}\n]\n"
    );
}

#[test]
fn an_error_is_a_status_and_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let output = lite(&[
        "sql",
        "--data",
        data,
        "-c",
        "select nothing",
        "-c",
        "select 1",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "ERROR:  column \"nothing\" does not exist\n"
    );
    assert_eq!(text(&output.stdout), "");
    // One -c is one transaction.
    sql(
        directory.path(),
        &["-c", "create table t (a int primary key)"],
    );
    let output = lite(&[
        "sql",
        "--data",
        data,
        "-c",
        "insert into t values (1); insert into t values (1)",
    ]);
    assert_eq!(
        text(&output.stderr),
        "ERROR:  duplicate key value violates unique constraint \"t_pkey\"\nDETAIL:  Key (a)=(1) already exists.\n"
    );
    assert!(
        sql(
            directory.path(),
            &["--format", "csv", "-c", "select count(*) from t"]
        )
        .ends_with("\n0\n")
    );
}

#[test]
fn scripts_come_from_files_and_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("db");
    let script = directory.path().join("s.sql");
    fs::write(
        &script,
        "create table t (a int,\n  b text); -- a comment; with a semicolon\n\
         copy t from stdin with (format csv);\n1,one\n2,\"two;\"\n\\.\n\
         select count(*) from t\n;\nselect 'it''s;' as s",
    )
    .unwrap();
    let out = sql(&data, &["--format", "csv", "-f", script.to_str().unwrap()]);
    assert_eq!(out, "count\n2\ns\nit's;\n");

    let output = lite_with_input(
        &["sql", "--data", data.to_str().unwrap()],
        "select 1;\n\nselect\n nothing;\nselect 2;",
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "<stdin>:3: ERROR:  column \"nothing\" does not exist\n"
    );

    let out = directory.path().join("out.csv");
    let copy = format!(
        "\\copy (select * from t order by a) to '{}' with (format csv, header)",
        out.display()
    );
    sql(&data, &["-c", &copy]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "a,b\n1,one\n2,two;\n");
    let copy = format!(
        "\\copy t from '{}' with (format csv, header)",
        out.display()
    );
    assert_eq!(sql(&data, &["-c", &copy]), "COPY 2\n");
}

#[test]
fn the_shell_describes() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    sql(
        data,
        &[
            "-c",
            "create table parent (id bigint primary key, name text not null default 'x' unique);\
             create table child (id int, parent bigint references parent, check (id > 0))",
        ],
    );
    let out = sql(data, &["-c", "\\dt"]);
    assert!(out.contains(" public | child  | table | helios"), "{out}");
    let out = sql(data, &["-c", "\\d parent"]);
    assert!(
        out.contains(" name   | text   | not null | 'x'::text"),
        "{out}"
    );
    assert!(
        out.contains("\"parent_pkey\" PRIMARY KEY, btree (id)"),
        "{out}"
    );
    assert!(out.contains("TABLE \"child\" CONSTRAINT \"child_parent_fkey\" FOREIGN KEY (parent) REFERENCES parent(id)"), "{out}");
    let out = sql(data, &["-c", "\\d child"]);
    assert!(out.contains("Check constraints:"), "{out}");
    let output = lite(&["sql", "--data", data.to_str().unwrap(), "-c", "\\d nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "Did not find any relation named \"nothing\".\n"
    );
}
