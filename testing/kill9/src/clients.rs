//! Clients that write until the server dies under them.
//!
//! Each transaction of client `c` has a sequence number and writes its rows to `entry (client,
//! sequence, part)`: by one INSERT, by three in a block that also moves money, by a pipeline of the
//! extended protocol, or by a COPY of many rows.

use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::{Client, Error, NoTls};

use crate::ledger::{BULK_PARTS, ClientLedger, Fate, Ledger, PARTS};
use crate::server::Server;

pub const ACCOUNTS: i32 = 8;
pub const MONEY: i64 = 1_000;

pub async fn connect(port: u16) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(port)
        .user("helios")
        .dbname("helios")
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

pub async fn create_tables(port: u16) -> Result<(), String> {
    let script = format!(
        "create table entry (client int, sequence bigint, part bigint, filler text, \
           primary key (client, sequence, part)); \
         create table account (id int primary key, money bigint not null); \
         insert into account select g, {MONEY} from generate_series(1, {ACCOUNTS}) g"
    );
    let client = connect(port).await.map_err(|e| e.to_string())?;
    client
        .batch_execute(&script)
        .await
        .map_err(|e| format!("creating the tables: {e:?}"))
}

/// Let every client write for `load`, then kill the server and collect what they know.
pub async fn write_until_killed(
    server: Server,
    load: Duration,
    ledger: &mut Ledger,
    seed: u64,
) -> Result<(), String> {
    let port = server.port;
    let tasks: Vec<_> = std::mem::take(&mut ledger.clients)
        .into_iter()
        .enumerate()
        .map(|(number, mut own)| {
            let random = StdRng::seed_from_u64(seed ^ number as u64);
            tokio::spawn(async move {
                let outcome = write(port, number as i32, &mut own, random).await;
                (own, outcome)
            })
        })
        .collect();
    tokio::time::sleep(load).await;
    server.kill()?;
    for task in tasks {
        let (own, outcome) = task.await.map_err(|e| e.to_string())?;
        ledger.clients.push(own);
        outcome?;
    }
    Ok(())
}

/// Write until the connection breaks. An error is an answer that no client should ever get.
async fn write(
    port: u16,
    number: i32,
    ledger: &mut ClientLedger,
    mut random: StdRng,
) -> Result<(), String> {
    let Ok(mut client) = connect(port).await else {
        return Ok(());
    };
    loop {
        let kind = random.random_range(0..40);
        let parts = if kind == 0 { BULK_PARTS } else { PARTS };
        let sequence = ledger.begin(parts);
        let outcome = match kind {
            0 => bulk(&client, number, sequence).await,
            1..=12 => transfer(&mut client, number, sequence, &mut random).await,
            13..=25 => pipeline(&mut client, number, sequence).await,
            _ => single(&client, number, sequence).await,
        };
        match outcome {
            Ok(()) => ledger.settle(sequence, Fate::Acknowledged),
            Err(error) => match error.code().map(|c| c.code()) {
                // Deadlocks and conflicts between the clients are part of life.
                Some("40P01" | "40001") => ledger.settle(sequence, Fate::Refused),
                Some(code) => return Err(format!("client {number} was told {code}: {error:?}")),
                None => return Ok(()),
            },
        }
    }
}

fn filler(sequence: i64) -> String {
    "x".repeat((sequence % 200) as usize)
}

async fn single(client: &Client, number: i32, sequence: i64) -> Result<(), Error> {
    let filler = filler(sequence);
    client
        .batch_execute(&format!(
            "insert into entry values ({number}, {sequence}, 0, '{filler}'), \
             ({number}, {sequence}, 1, '{filler}'), ({number}, {sequence}, 2, '{filler}')"
        ))
        .await
}

async fn transfer(
    client: &mut Client,
    number: i32,
    sequence: i64,
    random: &mut StdRng,
) -> Result<(), Error> {
    let from = random.random_range(1..=ACCOUNTS);
    let to = random.random_range(1..=ACCOUNTS);
    let amount = random.random_range(1..=50i64);
    let tx = client.transaction().await?;
    for part in 0..PARTS {
        if part == 1 {
            // In the order of the ids, or the clients would mostly wait for deadlocks.
            for (id, change) in [(from.min(to), 1), (from.max(to), -1)] {
                let change = change * if from < to { -amount } else { amount };
                tx.execute(
                    "update account set money = money + $1 where id = $2",
                    &[&change, &id],
                )
                .await?;
            }
        }
        tx.execute(
            "insert into entry values ($1, $2, $3, $4)",
            &[&number, &sequence, &part, &filler(sequence)],
        )
        .await?;
    }
    tx.commit().await
}

/// Three statements on the wire before the first is answered.
async fn pipeline(client: &mut Client, number: i32, sequence: i64) -> Result<(), Error> {
    let tx = client.transaction().await?;
    let insert = tx
        .prepare("insert into entry values ($1, $2, $3, $4)")
        .await?;
    let filler = filler(sequence);
    let rows: Vec<_> = (0..PARTS).collect();
    futures::future::try_join_all(rows.iter().map(|part| {
        let (tx, insert, number, sequence, filler) = (&tx, &insert, &number, &sequence, &filler);
        async move { tx.execute(insert, &[number, sequence, part, filler]).await }
    }))
    .await?;
    tx.commit().await
}

async fn bulk(client: &Client, number: i32, sequence: i64) -> Result<(), Error> {
    let sink = client.copy_in::<_, Bytes>("copy entry from stdin").await?;
    let mut sink = std::pin::pin!(sink);
    for start in (0..BULK_PARTS).step_by(1000) {
        let lines: String = (start..start + 1000)
            .map(|part| format!("{number}\t{sequence}\t{part}\tbulk\n"))
            .collect();
        sink.send(lines.into()).await?;
    }
    sink.finish().await.map(drop)
}
