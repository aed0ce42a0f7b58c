//! The two servers under test, each started by us on a loopback port and stopped when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process;

/// A running server that speaks the PostgreSQL protocol.
pub struct Peer {
    pub name: &'static str,
    pub port: u16,
    pub user: &'static str,
    pub database: &'static str,
    child: Child,
    directory: tempfile::TempDir,
    /// Where in `directory` the data are.
    data: &'static str,
}

impl Peer {
    /// PostgreSQL with `synchronous_commit = on`, `fsync = on` and `shared_buffers` that hold the data.
    pub fn postgres() -> Result<Peer, String> {
        Peer::postgres_with(&[])
    }

    /// The same with settings of its own.
    pub fn postgres_with(settings: &[(&str, &str)]) -> Result<Peer, String> {
        let initdb = find("initdb")?;
        let postgres = find("postgres")?;
        let directory = temporary_directory()?;
        let data = directory.path().join("postgres");
        fs::create_dir(&data).map_err(|e| format!("cannot create {}: {e}", data.display()))?;
        // PostgreSQL refuses to run as root; its own account is used when we are root.
        let account = if is_root() {
            Some(account_of("postgres")?)
        } else {
            None
        };
        if let Some((uid, gid)) = account {
            for path in [directory.path(), &data] {
                chown(path, Some(uid), Some(gid)).map_err(|e| format!("cannot chown: {e}"))?;
            }
            fs::set_permissions(&data, fs::Permissions::from_mode(0o700))
                .map_err(|e| format!("cannot chmod: {e}"))?;
        }
        let as_account = |program: &Path| match account {
            Some((uid, gid)) => {
                use std::os::unix::process::CommandExt;
                let mut command = Command::new(program);
                command.uid(uid).gid(gid);
                command
            }
            None => Command::new(program),
        };
        checked(
            as_account(&initdb)
                .args([
                    "--auth=trust",
                    "--username=helios",
                    "--encoding=UTF8",
                    "--locale=C",
                    "-D",
                ])
                .arg(&data)
                .current_dir(&data)
                .stdout(Stdio::null()),
        )?;
        let port = free_port()?;
        let child = as_account(&postgres)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c"])
            .arg(format!(
                "unix_socket_directories={}",
                directory.path().display()
            ))
            .args(["-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB"])
            .args(["-c", "synchronous_commit=on", "-c", "fsync=on"])
            .args(
                settings
                    .iter()
                    .map(|(name, value)| format!("--{name}={value}")),
            )
            .current_dir(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start postgres: {e}"))?;
        let peer = Peer {
            name: "PostgreSQL",
            port,
            user: "helios",
            database: "postgres",
            child,
            directory,
            data: "postgres",
        };
        peer.wait_ready()?;
        Ok(peer)
    }

    /// `heliosdb-lite serve` from the same target directory as this program, as it ships.
    pub fn helios() -> Result<Peer, String> {
        Peer::helios_with(&[])
    }

    /// The same with settings of `[server]`, whose values are as TOML has them.
    pub fn helios_with(settings: &[(&str, &str)]) -> Result<Peer, String> {
        let program = ours("heliosdb-lite")?;
        let directory = temporary_directory()?;
        let config = directory.path().join("heliosdb.toml");
        let settings = settings
            .iter()
            .map(|(name, value)| format!("{name} = {value}\n"));
        fs::write(
            &config,
            format!("[server]\n{}", settings.collect::<String>()),
        )
        .map_err(|e| format!("cannot write {}: {e}", config.display()))?;
        let port = free_port()?;
        let mut child = Command::new(program)
            .args([
                "serve",
                "--auth",
                "trust",
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--data",
            ])
            .arg(directory.path().join("heliosdb"))
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("cannot start heliosdb-lite: {e}"))?;
        // Its output is read to the end, so that it never blocks on a full pipe.
        let output = child.stdout.take().ok_or("heliosdb-lite has no output")?;
        std::thread::spawn(move || for _ in BufReader::new(output).lines() {});
        let peer = Peer {
            name: "HeliosDB",
            port,
            user: "helios",
            database: "helios",
            child,
            directory,
            data: "heliosdb",
        };
        peer.wait_ready()?;
        Ok(peer)
    }

    /// A client program of PostgreSQL's, pointed at this server.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", self.user)
            .env("PGDATABASE", self.database)
            .env("PGSSLMODE", "disable");
        command
    }

    /// The same over the server's Unix socket, which only PostgreSQL has.
    pub fn socket_client(&self, program: &str) -> Command {
        let mut command = self.client(program);
        command.env("PGHOST", self.directory.path());
        command
    }

    /// Run `sql` through psql and return what it printed, unaligned and without headers.
    pub fn psql(&self, sql: &str) -> Result<String, String> {
        let output = self
            .client("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .map_err(|e| format!("cannot run psql: {e}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}\n{why}", self.name, first_line(sql)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the server says it is.
    pub fn version(&self) -> Result<String, String> {
        self.psql("SELECT version()")
            .map(|text| text.trim().to_owned())
    }

    /// CPU time used so far, all threads and child processes included, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.child.id())
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join(self.data)
    }

    /// A directory on the same disk, for files of the measurement; it goes with this peer.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Stop the server and wait for its end; its data stay until this peer is dropped.
    pub fn stop(&mut self) -> Result<(), String> {
        checked(Command::new("kill").args(["-INT", &self.child.id().to_string()]))?;
        let status = self
            .child
            .wait()
            .map_err(|e| format!("{}: {e}", self.name))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} ended with {status}", self.name))
        }
    }

    fn wait_ready(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            match self.psql("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run a command to its end and fail with what it printed.
pub fn checked(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{command:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// A program of this project, built where this one was.
pub fn ours(name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe()
        .map_err(|e| format!("cannot find this program: {e}"))?
        .with_file_name(name);
    if program.exists() {
        Ok(program)
    } else {
        Err(format!(
            "{} is missing; build it first: cargo build --release --workspace",
            program.display()
        ))
    }
}

fn first_line(sql: &str) -> &str {
    sql.lines().next().unwrap_or_default()
}

/// On the disk of the working directory: a benchmark of durability on tmpfs measures nothing.
pub fn temporary_directory() -> Result<tempfile::TempDir, String> {
    let directory = tempfile::Builder::new()
        .prefix("heliosdb-bench-")
        .tempdir_in("/var/tmp")
        .map_err(|e| format!("cannot create a temporary directory: {e}"))?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
        .map_err(|e| format!("cannot chmod: {e}"))?;
    Ok(directory)
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
    Ok(listener
        .local_addr()
        .map_err(|e| format!("no free port: {e}"))?
        .port())
}

/// A program on the PATH, or where Debian puts PostgreSQL's.
fn find(program: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/lib/postgresql/15/bin")])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.exists())
        .ok_or(format!(
            "{program} is not on this machine; install PostgreSQL 15"
        ))
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

fn account_of(name: &str) -> Result<(u32, u32), String> {
    let passwd = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name && fields.len() > 3)
        .and_then(|fields| Some((fields[2].parse().ok()?, fields[3].parse().ok()?)))
        .ok_or(format!("there is no account {name} to run PostgreSQL as"))
}
