//! Step: a server dies in the middle of its work, and what was acknowledged is there.
//!
//! The server is a process of its own with a directory of its own. Each client inserts 1, 2, 3 … under
//! its number and remembers the last one that was acknowledged. After SIGKILL and a restart a client's
//! rows must be 1 to the last acknowledged; the one that was under way may be there as well.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use heliosdb_command::client::{Client, Dial, Identity};
use heliosdb_command::open::{PASSWORD_FILE, parse_url};

use super::numbers::{grouped, time};
use super::program::this;
use super::stage::{Answer, Stage, describe_error};
use super::step::{Next, Outcome, Play, Step, Trouble};
use crate::EDITION;

pub const STEP: Step = Step {
    title: "kill -9",
    play: Play::Code(kill),
    next: &[Next::Read(
        "cargo run --release -p heliosdb-kill9 -- --cycles 200 does it two hundred times, with transfers between accounts.",
    )],
};

const CLIENTS: usize = 4;
/// The server is killed when so many inserts have been acknowledged.
const ACKNOWLEDGED: u64 = 1000;

fn kill(stage: &mut Stage) -> Outcome {
    let directory = stage.path("killed");
    stage.say(&format!(
        "A second server, a process of its own, gets inserts from {CLIENTS} clients, each insert a transaction. After {} acknowledgements it is killed.",
        grouped(ACKNOWLEDGED)
    ))?;
    stage.line(&format!(
        "\n$ heliosdb-lite serve --data {} --listen 127.0.0.1:0",
        directory.display()
    ))?;
    let server = Server::start(&directory)?;
    let create = "CREATE TABLE ledger (client integer, n integer, PRIMARY KEY (client, n))";
    stage.line(&format!("{}\nsql> {create}", server.url))?;
    server.ask(create)?;
    let begun = Instant::now();
    let acknowledged = write_until_killed(server)?;
    let total: u64 = acknowledged.iter().sum();
    stage.say(&format!(
        "Killed {} after the first insert. The clients had {} acknowledgements by the time they noticed.",
        time(begun.elapsed()),
        grouped(total)
    ))?;

    let begun = Instant::now();
    let server = Server::start(&directory)?;
    let ready = begun.elapsed();
    stage.line(&format!(
        "\n$ heliosdb-lite serve --data {} --listen 127.0.0.1:0\n{}",
        directory.display(),
        server.url
    ))?;
    let query =
        "SELECT client, count(*), min(n), max(n) FROM ledger GROUP BY client ORDER BY client";
    let answer = server.ask(query)?;
    let mut found = 0;
    let mut lost = 0;
    for (client, acknowledged) in acknowledged.iter().enumerate() {
        let count = rows_of(&answer, client)?;
        found += count;
        lost += acknowledged.saturating_sub(count);
        if count > acknowledged + 1 {
            return Err(Trouble::failed(format!(
                "client {client} has {count} rows and sent {} at most",
                acknowledged + 1
            )));
        }
    }
    stage.say(&format!(
        "It serves again after {}. Acknowledged: {}. Found: {}. Lost: {lost}. Under way at the kill and found committed: {}. No client's rows have a gap.",
        time(ready),
        grouped(total),
        grouped(found),
        (found + lost).saturating_sub(total),
    ))?;
    if lost > 0 {
        return Err(Trouble::failed("acknowledged rows are missing"));
    }
    Ok(())
}

/// How many rows a client has; they must be 1 to that many.
fn rows_of(answer: &Answer<'_>, client: usize) -> Result<u64, Trouble> {
    let client = client.to_string();
    let mut rows = answer.rows().iter();
    let Some(row) = rows.find(|row| row.first().is_some_and(|c| c.as_deref() == Some(&client)))
    else {
        return Ok(0);
    };
    let number = |i: usize| {
        row.get(i)
            .and_then(|value| value.as_deref()?.parse::<u64>().ok())
            .ok_or_else(|| Trouble::failed("an answer that is no number"))
    };
    let (count, least, most) = (number(1)?, number(2)?, number(3)?);
    if least == 1 && most == count {
        Ok(count)
    } else {
        Err(Trouble::failed(format!(
            "client {client} has {count} rows between {least} and {most}: there is a gap"
        )))
    }
}

/// Start the clients, kill the server in the middle; what each client knows to be acknowledged.
fn write_until_killed(mut server: Server) -> Result<Vec<u64>, Trouble> {
    let (sender, receiver) = channel();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = server.connect()?;
        let sender = sender.clone();
        clients.push(thread::spawn(move || write(&mut client, number, &sender)));
    }
    drop(sender);
    for _ in 0..ACKNOWLEDGED {
        // An error means that all clients have given up.
        if receiver.recv().is_err() {
            break;
        }
    }
    server.kill()?;
    let mut acknowledged = Vec::new();
    for client in clients {
        let count = client
            .join()
            .map_err(|_| Trouble::failed("a client panicked"))?;
        acknowledged.push(count);
    }
    match acknowledged.iter().sum::<u64>() {
        total if total >= ACKNOWLEDGED => Ok(acknowledged),
        total => Err(Trouble::failed(format!(
            "the clients failed after {total} acknowledgements"
        ))),
    }
}

/// Insert until the server is gone; the last number that was acknowledged.
fn write(client: &mut Client, number: usize, acknowledged: &Sender<()>) -> u64 {
    let mut last = 0;
    loop {
        let sql = format!("INSERT INTO ledger VALUES ({number}, {})", last + 1);
        if client.run(&sql, &mut Answer::default()).is_err() {
            return last;
        }
        last += 1;
        // Nobody listens any more when the kill is on its way.
        let _ = acknowledged.send(());
    }
}

/// A server in a process of its own, which ends with this value.
struct Server {
    child: Child,
    url: String,
    dial: Dial,
    identity: Identity,
}

impl Server {
    fn start(directory: &Path) -> Result<Server, Trouble> {
        let program: PathBuf = this()?;
        let mut child = Command::new(&program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Trouble::failed(format!("cannot run {}: {error}", program.display()))
            })?;
        let output = child.stdout.take().map(BufReader::new);
        let url = output.and_then(|output| {
            let lines = output.lines().map_while(Result::ok);
            lines
                .into_iter()
                .find(|line| line.starts_with("postgres://"))
        });
        let connection = url.as_deref().map(|url| parse_url(&EDITION, url));
        let (Some(url), Some(Ok((dial, identity)))) = (url, connection) else {
            // It said why on stderr.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Trouble::failed("the server did not start"));
        };
        let mut server = Server {
            child,
            url,
            dial,
            identity,
        };
        let file = directory.join(PASSWORD_FILE);
        let password = std::fs::read_to_string(&file)
            .map_err(|error| Trouble::failed(format!("{}: {error}", file.display())))?;
        server.identity.password = Some(password.trim_end().to_owned());
        Ok(server)
    }

    fn connect(&self) -> Result<Client, Trouble> {
        Client::connect(self.dial.clone(), &self.identity)
            .map_err(|error| Trouble::failed(describe_error(&error)))
    }

    fn ask(&self, sql: &str) -> Result<Answer<'static>, Trouble> {
        let mut answer = Answer::default();
        self.connect()?
            .run(sql, &mut answer)
            .map_err(|error| Trouble::failed(describe_error(&error)))?;
        Ok(answer)
    }

    /// SIGKILL: it gets no chance to write anything.
    fn kill(&mut self) -> Outcome {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map(drop)
            .map_err(|error| Trouble::failed(format!("cannot kill the server: {error}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
