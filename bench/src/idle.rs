//! What connections cost a server that say nothing, beside PostgreSQL.
//!
//! Memory is what the server's processes have together, with shared pages counted once (Pss), before and
//! after a number of connections came. Three kinds: *strangers*, which have said nothing at all yet and are
//! still to prove who they are; *open* ones, which have been let in; and *used* ones, which have run a few
//! statements. How long strangers may stay is looked at, too.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Options;
use crate::peer::Peer;
use crate::process;
use crate::table;

const CONNECTIONS: u32 = 2_000;
/// What both servers are told to give a stranger.
const AUTHENTICATION_SECONDS: u32 = 30;

/// What a used connection has run.
const STATEMENTS: [&str; 3] = [
    "SELECT v FROM idle WHERE k = 7",
    "UPDATE idle SET v = v WHERE k = 1000000",
    "SELECT v FROM idle WHERE k = 8",
];

pub fn run(options: &Options) -> Result<(), String> {
    let count = options.connections.unwrap_or(CONNECTIONS);
    let most = (count + 20).to_string();
    let seconds = AUTHENTICATION_SECONDS;
    let peers = [
        Peer::postgres_with(&[
            ("max_connections", &most),
            ("authentication_timeout", &format!("{seconds}s")),
        ])?,
        Peer::helios_with(&[
            ("max_connections", &most),
            ("authentication_timeout", &format!("\"{seconds}s\"")),
        ])?,
    ];
    let mut cells = Vec::new();
    for peer in &peers {
        println!("{}: {}", peer.name, peer.version()?);
        peer.psql("CREATE TABLE idle (k int PRIMARY KEY, v int); INSERT INTO idle SELECT i, i FROM generate_series(1, 1000) AS g(i)")?;
        cells.push(measure(peer, count)?);
    }
    println!("{count} connections\n");
    let mut rows = Vec::new();
    for (i, name) in ["none", "strangers", "open", "used"].iter().enumerate() {
        let mut row = vec![(*name).to_owned()];
        for cell in &cells {
            let each = (cell.memory[i] as f64 - cell.memory[0] as f64) / 1024.0 / f64::from(count);
            row.push(format!("{:.1}", cell.memory[i] as f64 / 1e6));
            row.push(match i {
                0 => "–".to_owned(),
                _ => format!("{each:.1}"),
            });
        }
        rows.push(row);
    }
    table::print(
        &[
            "connections",
            "PostgreSQL MB",
            "KiB each",
            "HeliosDB MB",
            "KiB each",
        ],
        &rows,
    );
    println!();
    for (peer, cell) in peers.iter().zip(&cells) {
        println!(
            "{}: {} of {count} strangers were gone after {:.1} s of {seconds}",
            peer.name, cell.gone, cell.gone_after,
        );
    }
    Ok(())
}

struct Cell {
    /// Without connections, and with each of the kinds.
    memory: [u64; 4],
    /// Strangers whose connection the server ended, and how long after the first had come.
    gone: usize,
    gone_after: f64,
}

fn measure(peer: &Peer, count: u32) -> Result<Cell, String> {
    let settled = || {
        // What connections that end leave to do is done.
        std::thread::sleep(Duration::from_secs(2));
        process::memory(peer.process())
    };
    let none = settled();
    let begin = Instant::now();
    let strangers = (0..count)
        .map(|_| connect(peer))
        .collect::<Result<Vec<_>, _>>()?;
    let with_strangers = settled();
    let patience = Duration::from_secs((2 * AUTHENTICATION_SECONDS).into());
    let gone = strangers
        .iter()
        .filter(|stranger| has_ended(stranger, patience.saturating_sub(begin.elapsed())))
        .count();
    let gone_after = begin.elapsed().as_secs_f64();
    drop(strangers);

    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(open(peer)?);
    }
    let with_open = settled();
    for client in &mut clients {
        for sql in STATEMENTS {
            client
                .write_all(&message(b'Q', format!("{sql}\0").as_bytes()))
                .map_err(|e| format!("{}: {e}", peer.name))?;
            until_ready(peer, client)?;
        }
    }
    let with_used = settled();
    Ok(Cell {
        memory: [none, with_strangers, with_open, with_used],
        gone,
        gone_after,
    })
}

fn connect(peer: &Peer) -> Result<TcpStream, String> {
    TcpStream::connect(("127.0.0.1", peer.port)).map_err(|e| format!("{}: {e}", peer.name))
}

/// Whether the server ends the connection within that time; what it says before is passed over.
fn has_ended(mut client: &TcpStream, within: Duration) -> bool {
    let wait = within.max(Duration::from_millis(1));
    if client.set_read_timeout(Some(wait)).is_err() {
        return false;
    }
    let mut said = [0; 512];
    loop {
        match client.read(&mut said) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A connection that was let in.
fn open(peer: &Peer) -> Result<TcpStream, String> {
    let mut client = connect(peer)?;
    let parameters = format!("user\0{}\0database\0{}\0\0", peer.user, peer.database);
    let mut startup = (parameters.len() as u32 + 8).to_be_bytes().to_vec();
    startup.extend(0x0003_0000_u32.to_be_bytes());
    startup.extend(parameters.as_bytes());
    client
        .write_all(&startup)
        .map_err(|e| format!("{}: {e}", peer.name))?;
    until_ready(peer, &mut client)?;
    Ok(client)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    message
}

/// Read answers up to ReadyForQuery; an error is one.
fn until_ready(peer: &Peer, client: &mut TcpStream) -> Result<(), String> {
    loop {
        let mut head = [0; 5];
        client
            .read_exact(&mut head)
            .map_err(|e| format!("{}: {e}", peer.name))?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.saturating_sub(4)];
        client
            .read_exact(&mut body)
            .map_err(|e| format!("{}: {e}", peer.name))?;
        match head[0] {
            b'Z' => return Ok(()),
            b'E' => {
                let text = String::from_utf8_lossy(&body).replace('\0', " ");
                return Err(format!("{}: {text}", peer.name));
            }
            _ => {}
        }
    }
}
