//! Imports that are stopped: at every step that they tell of, by a kill at random moments, and by a
//! disk that is full. None of them leaves a database, and the next import makes one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_kernel::dump::{ImportError, Interrupt, Progress};
use heliosdb_upgrade::ask::{self, Answer, Question};
use heliosdb_upgrade::edition::{self, Edition};
use heliosdb_upgrade::generate::generate;
use heliosdb_upgrade::transfer::{self, findings};
use tempfile::TempDir;

/// A seed whose database has rows, history, indexes and state of a plugin.
const SEED: u64 = 2;
/// Moments at which imports are stopped and killed, at most.
const STOPS: u64 = 40;
const KILLS: usize = 20;

/// A dump, and what its database answers.
struct Exported {
    directory: TempDir,
    questions: Vec<Question>,
    answers: Vec<Answer>,
}

impl Exported {
    fn new() -> Exported {
        let directory = tempfile::tempdir().expect("a directory");
        let mut made = generate(SEED, &directory.path().join("lite")).expect("a database");
        let connection = made.sql.connection();
        let questions = ask::everything(connection).expect("questions");
        let answers = ask::answers(connection, &questions);
        let exported = Exported {
            directory,
            questions,
            answers,
        };
        transfer::export(connection.database(), &exported.dump()).expect("a dump");
        exported
    }

    fn dump(&self) -> PathBuf {
        self.directory.path().join("database.dump")
    }

    /// The target is as if nothing had happened, and an import makes a whole database there.
    fn arrives_at(&self, target: &Path) {
        if let Err(error) = transfer::import(&self.dump(), target) {
            panic!("{}", error.explain());
        }
        self.is_at(target);
    }

    fn is_at(&self, target: &Path) {
        let report = transfer::verify(&self.dump(), target).expect("a report");
        assert_eq!(findings(&report), [] as [String; 0]);
        let mut full = Edition::Full.open(target).expect("a database");
        let answers = ask::answers(&mut full, &self.questions);
        let differences = ask::differences(&self.questions, &self.answers, &answers);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        edition::close(full).expect("it closes");
    }
}

/// What is in a directory; `None` if there is none.
fn listed(directory: &Path) -> Option<Vec<String>> {
    let entries = fs::read_dir(directory).ok()?;
    let name = |e: std::io::Result<fs::DirEntry>| e.ok()?.file_name().into_string().ok();
    Some(entries.filter_map(name).collect())
}

/// Calls `act` at one step of an import, and counts the steps.
struct At<F> {
    step: u64,
    seen: AtomicU64,
    act: F,
}

impl<F: Fn() + Send + Sync> At<F> {
    fn new(step: u64, act: F) -> At<F> {
        At {
            step,
            seen: AtomicU64::new(0),
            act,
        }
    }

    fn step(&self) {
        if self.seen.fetch_add(1, Ordering::Relaxed) == self.step {
            (self.act)();
        }
    }
}

impl<F: Fn() + Send + Sync> Progress for At<F> {
    fn begin(&self, _: &str, _: Option<u64>) {
        self.step();
    }

    fn advance(&self, _: u64) {
        self.step();
    }

    fn end(&self) {
        self.step();
    }
}

#[test]
fn an_import_that_is_stopped_leaves_nothing() {
    let exported = Exported::new();
    let target = exported.directory.path().join("full");
    let never = At::new(u64::MAX, || ());
    let whole = transfer::import_with(&exported.dump(), &target, &never, |_| ());
    whole.expect("an import");
    fs::remove_dir_all(&target).expect("it goes");
    let steps = never.seen.into_inner();
    assert!(steps > 10, "an import of {steps} steps");

    let mut stopped = 0;
    for step in (0..steps).step_by(steps.div_ceil(STOPS) as usize) {
        let interrupt = Interrupt::new();
        let cancel = At::new(step, {
            let interrupt = Arc::clone(&interrupt);
            move || interrupt.cancel()
        });
        let outcome = transfer::import_with(&exported.dump(), &target, &cancel, |options| {
            options.interrupt = Arc::clone(&interrupt);
        });
        match outcome {
            Ok(_) => fs::remove_dir_all(&target).expect("it goes"),
            Err(ImportError::Leftovers { error, why }) => panic!("{error}: {why}"),
            Err(_) => {
                stopped += 1;
                assert_eq!(listed(&target), None, "at step {step}");
            }
        }
    }
    println!("{stopped} imports stopped, of {steps} steps");
    assert!(stopped > steps.min(STOPS) / 2);
    exported.arrives_at(&target);
}

#[test]
fn an_import_that_is_killed_starts_over() {
    let exported = Exported::new();
    let steps = {
        let target = exported.directory.path().join("whole");
        let lines = import_and_kill(&exported, &target, usize::MAX, false);
        exported.is_at(&target);
        lines
    };
    let (mut halves, mut waiting) = (0, 0);
    for (number, step) in (0..steps).step_by(steps.div_ceil(KILLS)).enumerate() {
        let target = exported.directory.path().join(format!("killed-at-{step}"));
        // Either it waits there for the kill, or it goes on and the kill comes when it comes.
        let waits = number.is_multiple_of(2);
        waiting += usize::from(waits);
        import_and_kill(&exported, &target, step, waits);
        match listed(&target) {
            None => exported.arrives_at(&target),
            Some(names) if names.iter().any(|name| name == "import.pending") => {
                halves += 1;
                let error = Edition::Full
                    .open(&target)
                    .map(drop)
                    .expect_err("half a database");
                assert!(error.contains("import"), "{error}");
                exported.arrives_at(&target);
            }
            // Killed after its end, or before it took the directory.
            Some(names) if names.is_empty() => exported.arrives_at(&target),
            Some(_) => exported.is_at(&target),
        }
        fs::remove_dir_all(&target).expect("it goes");
    }
    println!("{halves} imports killed on the way, of {steps} steps");
    assert!(halves > waiting / 2);
}

/// Starts an import and kills it at a step; the lines that were seen until then.
fn import_and_kill(exported: &Exported, target: &Path, step: usize, waits: bool) -> usize {
    let mut command = Command::new(env!("CARGO_BIN_EXE_import-aloud"));
    command.arg(exported.dump()).arg(target);
    if waits {
        command.arg("--wait-at").arg(step.to_string());
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let seen = out
        .lines()
        .take(step.saturating_add(1))
        .map_while(Result::ok)
        .count();
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().expect("it ends");
    seen
}

#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    let exported = Exported::new();
    let mount = exported.directory.path().join("disk");
    fs::create_dir(&mount).expect("a directory");
    let Some(disk) = Tmpfs::mount(&mount) else {
        println!("skipped: a file system of a few MB can only be mounted as root");
        return;
    };
    let (target, ballast) = (mount.join("full"), mount.join("ballast"));
    let never = At::new(u64::MAX, || ());
    let whole = transfer::import_with(&exported.dump(), &target, &never, |_| ());
    if let Err(error) = whole {
        panic!("{}", error.explain());
    }
    fs::remove_dir_all(&target).expect("it goes");
    let steps = never.seen.into_inner();

    let mut full = 0;
    for step in (0..steps).step_by(steps.div_ceil(STOPS / 2) as usize) {
        let fill = At::new(step, || fill(&ballast));
        match transfer::import_with(&exported.dump(), &target, &fill, |_| ()) {
            // Everything was written by then.
            Ok(_) => fs::remove_dir_all(&target).expect("it goes"),
            Err(ImportError::Leftovers { error, why }) => panic!("{error}: {why}"),
            Err(_) => {
                full += 1;
                assert_eq!(listed(&target), None, "at step {step}");
            }
        }
        fs::remove_file(&ballast).expect("it goes");
    }
    println!("{full} imports ran out of space, of {steps} steps");
    assert!(full > 3);
    exported.arrives_at(&target);
    drop(disk);
}

/// Takes all the space that is left.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(ballast).expect("a file");
    for bytes in [1 << 20, 4096] {
        while file.write_all(&vec![0; bytes]).is_ok() {}
    }
}

/// A small file system, until it is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Tmpfs> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(at);
        let done = mount.stderr(Stdio::null()).status().ok()?;
        done.success().then(|| Tmpfs(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // What cannot be unmounted stays behind, and says so itself.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
