//! Clients from their registries, below `target/clients`, with the versions that the repository names.
//!
//! A stamp beside what was installed is the file of versions it was installed from; only a change of that file
//! asks the registry again. What cannot be had is a reason to skip the client, and no failure of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Place;

pub enum Setup {
    /// Programs of this machine.
    Installed {
        programs: &'static [&'static str],
        command: &'static [&'static str],
    },
    /// `requirements.txt`, into a virtual environment.
    Python(&'static [&'static str]),
    /// `package.json` and `package-lock.json`.
    Node(&'static [&'static str]),
    /// The driver's Debian package, and one source file.
    Java(&'static str),
    /// A cargo project outside of the workspace.
    Cargo,
}

/// Debian's `libpostgresql-jdbc-java`.
const JDBC_JAR: &str = "/usr/share/java/postgresql.jar";

/// The command to run, or why there is none.
type Prepared = Result<Command, String>;

impl Setup {
    pub fn prepare(&self, place: &Place) -> Result<Prepared, String> {
        let mut prepared = match self {
            Self::Installed { programs, command } => {
                if let Some(missing) = programs.iter().find(|program| !is_installed(program)) {
                    return Ok(Err(format!("{missing} is not installed")));
                }
                Ok(program(command))
            }
            Self::Python(arguments) => python(place, arguments)?,
            Self::Node(arguments) => node(place, arguments)?,
            Self::Java(source) => java(place, source)?,
            Self::Cargo => cargo(place)?,
        };
        if let Ok(command) = &mut prepared {
            command.current_dir(&place.sources);
            command.env("CLIENT_WORK", &place.work);
        }
        Ok(prepared)
    }
}

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Runs a step of an installation; what it said is the reason if it failed.
fn step(command: &mut Command) -> Result<(), String> {
    let ran = command.stdin(Stdio::null()).output();
    let ran = ran.map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    let said = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!(
        "{:?} failed: {}",
        command.get_program(),
        said.unwrap_or("no word of why")
    ))
}

/// Whether what is there was made from just these versions.
fn is_current(stamp: &Path, versions: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|stamped| stamped == versions)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn fresh(directory: &Path) -> Result<(), String> {
    let failed = |e| format!("{}: {e}", directory.display());
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(failed)?;
    }
    std::fs::create_dir_all(directory).map_err(failed)
}

fn python(place: &Place, arguments: &[&str]) -> Result<Prepared, String> {
    if !is_installed("python3") {
        return Ok(Err("python3 is not installed".to_owned()));
    }
    let requirements = place.sources.join("requirements.txt");
    let versions = read(&requirements)?;
    let environment = place.work.join("venv");
    let interpreter = environment.join("bin/python");
    let stamp = environment.join("requirements.stamp");
    if !is_current(&stamp, &versions) {
        fresh(&environment)?;
        let installed = step(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )
        .and_then(|()| {
            step(
                Command::new(&interpreter)
                    .args(["-m", "pip", "install", "--quiet", "--requirement"])
                    .arg(&requirements),
            )
        });
        if let Err(reason) = installed {
            return Ok(Err(reason));
        }
        write(&stamp, &versions)?;
    }
    let mut command = Command::new(interpreter);
    // The sources' directory gets no caches, and finds what the programmes share.
    command
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONPATH", shared(place));
    Ok(Ok(command))
}

/// What programmes of one language share: `testing/clients/shared`.
fn shared(place: &Place) -> PathBuf {
    place.sources.with_file_name("shared")
}

fn node(place: &Place, arguments: &[&str]) -> Result<Prepared, String> {
    for program in ["node", "npm"] {
        if !is_installed(program) {
            return Ok(Err(format!("{program} is not installed")));
        }
    }
    let lock = read(&place.sources.join("package-lock.json"))?;
    let directory = place.work.join("node");
    let stamp = directory.join("package-lock.stamp");
    if !is_current(&stamp, &lock) {
        fresh(&directory)?;
        write(&directory.join("package-lock.json"), &lock)?;
        let package = read(&place.sources.join("package.json"))?;
        write(&directory.join("package.json"), &package)?;
        let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        let installed = step(Command::new("npm").args(quiet).current_dir(&directory));
        if let Err(reason) = installed {
            return Ok(Err(reason));
        }
        write(&stamp, &lock)?;
    }
    let found = [directory.join("node_modules"), shared(place)];
    let found = std::env::join_paths(found).map_err(|e| e.to_string())?;
    let mut command = Command::new("node");
    command.args(arguments).env("NODE_PATH", found);
    Ok(Ok(command))
}

fn java(place: &Place, source: &str) -> Result<Prepared, String> {
    if !is_installed("javac") {
        return Ok(Err("no JDK is installed".to_owned()));
    }
    if !Path::new(JDBC_JAR).is_file() {
        return Ok(Err(format!(
            "{JDBC_JAR} is missing (Debian package libpostgresql-jdbc-java)"
        )));
    }
    let classes = place.work.join("classes");
    fresh(&classes)?;
    step(
        Command::new("javac")
            .args(["-cp", JDBC_JAR, "-d"])
            .arg(&classes)
            .arg(place.sources.join(source)),
    )?;
    let path = [PathBuf::from(JDBC_JAR), classes];
    let path = std::env::join_paths(path).map_err(|e| e.to_string())?;
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(path)
        .arg(source.trim_end_matches(".java"));
    Ok(Ok(command))
}

fn cargo(place: &Place) -> Result<Prepared, String> {
    let manifest = place.sources.join("Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = place.work.join("build");
    let mut fetch = Command::new(&cargo);
    fetch
        .args(["fetch", "--locked", "--manifest-path"])
        .arg(&manifest);
    if let Err(reason) = step(&mut fetch) {
        return Ok(Err(reason));
    }
    let mut build = Command::new(&cargo);
    build
        .args(["build", "--locked", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target);
    step(&mut build)?;
    Ok(Ok(Command::new(target.join("debug/clients"))))
}
