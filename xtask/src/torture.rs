//! `cargo xtask torture --minutes N`: the crash torture for a while, from seeds that were not used before,
//! and a summary to keep.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Run it in a release build. The summary goes to the output and to `target/torture/<first seed>.txt`.
pub fn run(root: &Path, minutes: &str, seed: Option<&str>) -> ExitCode {
    let Ok(minutes) = minutes.parse::<u64>() else {
        eprintln!("--minutes: not a number: {minutes}");
        return ExitCode::from(2);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let seed = match seed.map(str::parse::<u64>) {
        None => now,
        Some(Ok(seed)) => seed,
        Some(Err(_)) => {
            eprintln!("--seed: not a number");
            return ExitCode::from(2);
        }
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "run",
        "--release",
        "-p",
        "heliosdb-sim",
        "--bin",
        "torture",
        "--",
        "--seconds",
        &(minutes * 60).to_string(),
        "--seed",
        &seed.to_string(),
    ]
    .map(str::to_owned);
    let ran = Command::new(&cargo)
        .args(&arguments)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output();
    let ran = match ran {
        Ok(ran) => ran,
        Err(e) => {
            eprintln!("cannot run {cargo:?}: {e}");
            return ExitCode::FAILURE;
        }
    };
    let told = |program: &str, arguments: &[&str]| -> String {
        let out = Command::new(program)
            .args(arguments)
            .current_dir(root)
            .output();
        let out = out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        out.unwrap_or_else(|e| format!("unknown ({e})"))
    };
    let summary = format!(
        "commit   {}\nrustc    {}\nmachine  {}\nseconds  {now} since the epoch at the start\ncommand  cargo {}\nverdict  {}\n\n{}",
        told("git", &["describe", "--always", "--dirty"]),
        told("rustc", &["--version"]),
        told("uname", &["-srm"]),
        arguments.join(" "),
        if ran.status.success() {
            "passed"
        } else {
            "FAILED"
        },
        String::from_utf8_lossy(&ran.stdout),
    );
    println!("{summary}");
    let directory = crate::ci::target_dir(root).join("torture");
    let file = directory.join(format!("{seed}.txt"));
    let kept = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, &summary));
    match kept {
        Ok(()) => println!("kept in {}", file.display()),
        Err(e) => eprintln!("cannot keep it in {}: {e}", file.display()),
    }
    match ran.status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
