//! `branch`: branches from the command line, and their pictures.

use std::fs;

use crate::{Running, lite, sql, text};

#[test]
fn branches_are_made_drawn_and_dropped() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("db");
    let name = data.to_str().unwrap();
    sql(&data, &["-c", "CREATE TABLE item (id int PRIMARY KEY)"]);
    let run = |arguments: &[&str]| {
        let output = lite(&[&["branch"], arguments, &["--data", name]].concat());
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    assert_eq!(run(&["create", "dev"]).0, Some(0));
    sql(
        &data,
        &[
            "-c",
            "SET branch = 'dev'",
            "-c",
            "INSERT INTO item VALUES (1)",
        ],
    );
    assert_eq!(run(&["create", "a<b", "--from", "dev"]).0, Some(0));
    let (status, _, error) = run(&["create", "late", "--at", "2999-01-01"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("in the future"), "{error}");

    let (status, tree, _) = run(&["tree"]);
    assert_eq!(status, Some(0));
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines.len(), 3, "{tree}");
    assert!(lines[0].starts_with("main *"), "{tree}");
    assert!(lines[1].starts_with("└─ dev "), "{tree}");
    assert!(lines[2].starts_with("   └─ a<b "), "{tree}");
    let shown = lite(&["sql", "--data", name, "-c", "\\branches"]);
    assert_eq!(text(&shown.stdout), tree);

    let (_, svg, _) = run(&["graph"]);
    assert!(svg.starts_with("<svg ") && svg.contains("a&lt;b"), "{svg}");
    let page = scratch.path().join("branches.html");
    let page = page.to_str().unwrap();
    assert_eq!(run(&["graph", "--picture", "html", "-o", page]).0, Some(0));
    assert!(fs::read_to_string(page).unwrap().contains(&svg));

    // The same of a server.
    let running = Running::start(&data, "trust");
    let url = format!("postgres://helios@127.0.0.1:{}/helios", running.port);
    let output = lite(&["branch", "drop", "a<b", "--connection", &url]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = lite(&["branch", "tree", "--connection", &url]);
    assert_eq!(text(&output.stdout).lines().count(), 2);
    running.stop();
    let (status, _, error) = run(&["drop", "a<b"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("does not exist"), "{error}");
}
