//! PostgreSQL's `isolationtester`, built from its source package.
//!
//! The package is not configured for that: what of it is needed are the programme, its parser, which comes generated,
//! and a few files of its library, over the headers that the machine's libpq has (Debian's libpq-dev).

use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: [&str; 8] = [
    "test/isolation/isolationtester.c",
    "test/isolation/specparse.c",
    "common/fe_memutils.c",
    "common/psprintf.c",
    "common/string.c",
    "port/qsort.c",
    "port/snprintf.c",
    "port/strerror.c",
];

/// The programme below `work`.
pub fn built(package: &Path, work: &Path) -> Result<PathBuf, String> {
    let (source, program) = (package.join("src"), work.join("isolationtester"));
    let headers = output(Command::new("pg_config").arg("--includedir"))?;
    let libraries = output(Command::new("pg_config").arg("--libdir"))?;
    let include = |directory: &Path| format!("-I{}", directory.display());
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-w", "-D_GNU_SOURCE", "-DFRONTEND"])
        .arg(include(&source.join("test/isolation")))
        .arg(include(&source.join("include")))
        .arg(include(&source.join("interfaces/libpq")))
        .arg(include(Path::new(headers.trim())))
        .args(FILES.map(|file| source.join(file)))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", libraries.trim()))
        .arg("-lpq");
    output(&mut compiler)?;
    Ok(program)
}

fn output(command: &mut Command) -> Result<String, String> {
    let ran = command.output();
    let ran = ran.map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
    }
}
