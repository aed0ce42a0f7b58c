//! PostgreSQL's source package, from Debian, and what is in it for us.

use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "postgresql-15";

/// The unpacked source below `work`; fetched when it is not there yet.
pub fn fetched(work: &Path) -> Result<PathBuf, String> {
    let source = work.join("source");
    if source.join("src/test/regress/parallel_schedule").is_file() {
        return Ok(source);
    }
    let failed = |e: std::io::Error| format!("{}: {e}", work.display());
    // Lists of packages of our own, so that the machine's are left as they are.
    let lists = work.join("apt/lists");
    std::fs::create_dir_all(lists.join("partial")).map_err(failed)?;
    let key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
    let deb = format!("deb-src {key} http://deb.debian.org/debian bookworm main\n");
    let sources = work.join("apt/sources.list");
    std::fs::write(&sources, deb).map_err(failed)?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .arg("-o")
            .arg(format!("Dir::Etc::SourceList={}", sources.display()))
            .args(["-o", "Dir::Etc::SourceParts=/dev/null", "-o"])
            .arg(format!("Dir::State::Lists={}", lists.display()))
            .args(arguments)
            .current_dir(work);
        run(command)
    };
    apt(&["update", "--quiet"])?;
    apt(&["source", "--quiet", "--download-only", PACKAGE])?;
    let entries = std::fs::read_dir(work).map_err(failed)?;
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let package = files
        .iter()
        .find(|p| p.extension().is_some_and(|e| e == "dsc"));
    let package = package.ok_or("apt-get source brought no package")?;
    let mut unpack = Command::new("dpkg-source");
    unpack
        .args(["--no-check", "--extract"])
        .arg(package)
        .arg(&source);
    run(unpack)?;
    Ok(source)
}

fn run(mut command: Command) -> Result<(), String> {
    let output = command.output();
    let output = output.map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The names of its tests, in its order.
pub fn schedule(tests: &Path) -> Result<Vec<String>, String> {
    let path = tests.join("parallel_schedule");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("test:"));
    Ok(lines
        .flat_map(|line| line.split_whitespace().map(str::to_owned))
        .collect())
}

/// The script with `COPY table FROM :'filename'` as psql's `\copy`, which finds the file by itself; as many lines.
pub fn adapted(script: &str, tests: &Path) -> String {
    let mut filename = None;
    let mut text = String::with_capacity(script.len());
    for line in script.lines() {
        let set = line.strip_prefix("\\set filename :abs_srcdir '");
        if let Some(rest) = set.and_then(|rest| rest.strip_suffix('\'')) {
            filename = Some(format!("{}{rest}", tests.display()));
        }
        let copy = line
            .strip_prefix("COPY ")
            .and_then(|rest| rest.strip_suffix(" FROM :'filename';"));
        match (copy, &filename) {
            (Some(table), Some(name)) => text.push_str(&format!("\\copy {table} FROM '{name}'")),
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_server_become_files_of_the_client() {
        let script = "\\set filename :abs_srcdir '/data/a.data'\nCOPY a FROM :'filename';\nCOPY b FROM stdin;\n";
        assert_eq!(
            adapted(script, Path::new("/t")),
            "\\set filename :abs_srcdir '/data/a.data'\n\\copy a FROM '/t/data/a.data'\nCOPY b FROM stdin;\n"
        );
    }
}
