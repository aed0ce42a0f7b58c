//! A MariaDB server with tables that keep their history, started by us on a Unix socket and stopped when dropped.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::text;
use crate::peer::{checked, is_root, temporary_directory};

const DATABASE: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(60);

pub struct MariaDb {
    child: Child,
    client: PathBuf,
    data: PathBuf,
    // After the server, whose files these are.
    _directory: tempfile::TempDir,
}

impl MariaDb {
    /// With the log flushed at every commit and a buffer pool that holds the data; none where its programs are not.
    pub fn start() -> Result<Option<MariaDb>, String> {
        let (Some(install), Some(server), Some(client)) = (
            find("mariadb-install-db"),
            find("mariadbd"),
            find("mariadb"),
        ) else {
            return Ok(None);
        };
        let directory = temporary_directory()?;
        let data = directory.path().join("mariadb");
        // It does not run as root; its own account is used when we are root.
        let user = is_root().then_some("--user=mysql");
        checked(
            Command::new(install)
                .arg("--no-defaults")
                .args(user)
                .arg(format!("--datadir={}", data.display()))
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"]),
        )?;
        let log = fs::File::create(directory.path().join("log")).map_err(text)?;
        let child = Command::new(server)
            .arg("--no-defaults")
            .args(user)
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", data.join("socket").display()))
            .args(["--skip-networking", "--skip-log-bin"])
            .args([
                "--innodb-flush-log-at-trx-commit=1",
                "--innodb-file-per-table=1",
                "--innodb-buffer-pool-size=1G",
                "--innodb-log-file-size=1G",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(|e| format!("cannot start mariadbd: {e}"))?;
        let mut mariadb = MariaDb {
            child,
            client,
            data,
            _directory: directory,
        };
        mariadb.wait_ready()?;
        mariadb.run_in("", &format!("CREATE DATABASE {DATABASE}"))?;
        Ok(Some(mariadb))
    }

    /// Run statements; what they returned, a row a line, its columns between tabs.
    pub fn run(&self, sql: &str) -> Result<String, String> {
        self.run_in(DATABASE, sql)
    }

    fn run_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(&self.client)
            .args(["--no-defaults", "--user=root", "--batch"])
            .arg("--skip-column-names")
            .arg(format!("--socket={}", self.data.join("socket").display()))
            .arg(format!("--database={database}"))
            .args(["--execute", sql])
            .output()
            .map_err(|e| format!("cannot run mariadb: {e}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            let why = String::from_utf8_lossy(&output.stderr);
            Err(format!("MariaDB: {sql}\n{why}"))
        }
    }

    /// Run statements of which the last changes rows; how many.
    pub fn affect(&self, sql: &str) -> Result<u64, String> {
        let count = self.run(&format!("{sql}; SELECT ROW_COUNT()"))?;
        count.parse().map_err(|_| format!("{sql}: {count}"))
    }

    /// Write a table anew with its history; what fails is told in rows.
    pub fn optimize(&self, table: &str) -> Result<(), String> {
        let said = self.run(&format!(
            "SET system_versioning_alter_history = KEEP; OPTIMIZE TABLE {table}"
        ))?;
        match said.contains("\terror\t") || !said.ends_with("\tOK") {
            true => Err(format!("OPTIMIZE TABLE {table}: {said}")),
            false => Ok(()),
        }
    }

    /// Of the file of a table and its indexes.
    pub fn bytes(&self, table: &str) -> Result<u64, String> {
        let file = self.data.join(DATABASE).join(format!("{table}.ibd"));
        let file = fs::metadata(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(file.len())
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            match self.run_in("", "SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > PATIENCE => return Err(error),
                Err(_) => sleep(Duration::from_millis(100)),
            }
            if let Some(status) = self.child.try_wait().map_err(text)? {
                return Err(format!("mariadbd ended with {status}"));
            }
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program on the PATH, or where Debian puts servers.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.exists())
}
