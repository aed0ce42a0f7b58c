//! docs/migrating-lite-to-full.md does what it says: its commands run, in order, in one directory, and
//! print what it shows.
//!
//! A block ```` ```sh ```` is run by `sh -e`; a block ```` ```text ```` right after it is what it must print,
//! where `…` stands for anything within a line, and a line of nothing else for any lines. In a block
//! ```` ```sh server DIR ```` a server of `DIR` runs, and stands where the page says 127.0.0.1:5433.
//!
//! `heliosdb-lite` must stand beside `heliosdb-full`, where `cargo test --workspace` puts both.

// Helpers outside #[test] functions unwrap too.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const FULL: &str = env!("CARGO_BIN_EXE_heliosdb-full");
const PAGE: &str = include_str!("../../../docs/migrating-lite-to-full.md");
/// Where the page says that a server listens.
const ADDRESS: &str = "127.0.0.1:5433";

/// A block of the page.
struct Block {
    line: usize,
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    line: number + 1,
                    info: info.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// Whether `text` is `pattern`, line by line.
fn matches(pattern: &[&str], text: &[&str]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (["…", pattern @ ..], _) => (0..=text.len()).any(|skip| matches(pattern, &text[skip..])),
        ([first, pattern @ ..], [line, text @ ..]) => {
            line_matches(first, line) && matches(pattern, text)
        }
        _ => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

struct Server {
    child: Child,
    address: String,
    /// What is left of its output, kept open.
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(lite: &Path, directory: &Path) -> Server {
        let mut child = Command::new(lite)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            let count = output.read_line(&mut line).unwrap();
            assert!(count > 0, "the server says where it listens");
            if let Some(rest) = line.trim_end().strip_prefix("postgres://helios@") {
                break rest.strip_suffix("/helios").unwrap().to_owned();
            }
        };
        Server {
            child,
            address,
            _output: output,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn the_page_does_what_it_says() {
    let programs = Path::new(FULL).parent().unwrap();
    let lite = programs.join("heliosdb-lite");
    assert!(
        lite.is_file(),
        "{} is missing: cargo build --bin heliosdb-lite",
        lite.display()
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut printed: Option<(usize, String)> = None;
    let (mut ran, mut compared) = (0, 0);
    for block in blocks(PAGE) {
        let words: Vec<&str> = block.info.split(' ').collect();
        let line = block.line;
        match words[..] {
            ["sh"] | ["sh", "server", _] => {
                let data = words.get(2).map(|name| directory.path().join(name));
                let server = data.map(|data| Server::start(&lite, &data));
                let script = match &server {
                    Some(server) => block.text.replace(ADDRESS, &server.address),
                    None => block.text,
                };
                let output = Command::new("sh")
                    .args(["-e", "-c", &format!("exec 2>&1\n{script}")])
                    .current_dir(directory.path())
                    .env("PATH", &path)
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                let shown = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "line {line}:\n{shown}");
                assert!(!shown.contains("panicked"), "line {line}:\n{shown}");
                printed = Some((line, shown));
                ran += 1;
            }
            ["text"] => {
                let (from, shown) = printed.take().expect("a result follows its commands");
                let wanted: Vec<&str> = block.text.lines().map(str::trim_end).collect();
                let got: Vec<&str> = shown.trim_end().lines().map(str::trim_end).collect();
                assert!(
                    matches(&wanted, &got),
                    "the commands at line {from} print\n{shown}\nnot what line {line} shows"
                );
                compared += 1;
            }
            _ => panic!("line {line}: what is a block of {}?", block.info),
        }
    }
    assert!(
        ran >= 6 && compared >= 5,
        "{ran} blocks ran, {compared} were compared"
    );
}

#[test]
fn the_comparison_of_lines_is_strict() {
    let check = |pattern: &str, text: &str| {
        let pattern: Vec<&str> = pattern.lines().collect();
        let text: Vec<&str> = text.lines().collect();
        matches(&pattern, &text)
    };
    assert!(check("a\n…\nb", "a\nx\ny\nb"));
    assert!(check("a\n…\nb", "a\nb"));
    assert!(check("a … c …", "a b c d"));
    assert!(check("took … s", "took 1.5 s"));
    assert!(!check("a", "ab"));
    assert!(!check("a\nb", "a"));
    assert!(!check("a", "a\nb"));
    assert!(!check("took … s", "took 1.5 ms!"));
    assert!(!check("… b …", "a c"));
}
