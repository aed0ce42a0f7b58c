//! tokio-postgres.

use std::pin::pin;
use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use serde_json::{Value, json};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel, NoTls, SimpleQueryMessage};
use uuid::Uuid;

use crate::{Outcome, case, equal};

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub async fn all(url: &str) {
    case("tokio_types", types(url)).await;
    case("tokio_described", described(url)).await;
    case("tokio_pipelined", pipelined(url)).await;
    case("tokio_transactions_and_portals", transactions(url)).await;
    case("tokio_copy", copy(url)).await;
    case("tokio_copy_binary", copy_binary(url)).await;
    case("tokio_simple_queries", simple(url)).await;
    case("tokio_errors", errors(url)).await;
    case("tokio_cancel", cancel(url)).await;
    case("tokio_arrays", arrays(url)).await;
}

async fn types(url: &str) -> Outcome {
    let client = connect(url).await?;
    let uuid = Uuid::new_v4();
    let day = NaiveDate::from_ymd_opt(2024, 2, 29).ok_or("no date")?;
    let time = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).ok_or("no time")?;
    let moment = NaiveDateTime::new(day, time);
    let zoned: DateTime<Utc> = moment.and_utc();
    let now = SystemTime::UNIX_EPOCH;
    let row = client
        .query_one(
            "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, $8::bytea, $9::uuid, \
             $10::date, $11::time, $12::timestamp, $13::timestamptz, $14::jsonb, $15::json, $16::varchar, $17::timestamptz, \
             $18::int4",
            &[
                &true, &-1i16, &i32::MIN, &i64::MAX, &1.5f32, &1e-300f64, &"ünï 'q'", &vec![0u8, 255], &uuid, &day,
                &time, &moment, &zoned, &json!({"a": [1, null]}), &json!([1, "x"]), &"v", &now, &None::<i32>,
            ],
        )
        .await?;
    equal(row.get::<_, bool>(0), true)?;
    equal(row.get::<_, i16>(1), -1)?;
    equal(row.get::<_, i32>(2), i32::MIN)?;
    equal(row.get::<_, i64>(3), i64::MAX)?;
    equal(row.get::<_, f32>(4), 1.5)?;
    equal(row.get::<_, f64>(5), 1e-300)?;
    equal(row.get::<_, &str>(6), "ünï 'q'")?;
    equal(row.get::<_, Vec<u8>>(7), vec![0, 255])?;
    equal(row.get::<_, Uuid>(8), uuid)?;
    equal(row.get::<_, NaiveDate>(9), day)?;
    equal(row.get::<_, NaiveTime>(10), time)?;
    equal(row.get::<_, NaiveDateTime>(11), moment)?;
    equal(row.get::<_, DateTime<Utc>>(12), zoned)?;
    equal(row.get::<_, Value>(13), json!({"a": [1, null]}))?;
    equal(row.get::<_, Value>(14), json!([1, "x"]))?;
    equal(row.get::<_, String>(15), "v".to_owned())?;
    equal(row.get::<_, SystemTime>(16), now)?;
    equal(row.get::<_, Option<i32>>(17), None)
}

async fn described(url: &str) -> Outcome {
    let client = connect(url).await?;
    client
        .batch_execute(
            "CREATE TEMP TABLE described (id int PRIMARY KEY, name text, at timestamptz)",
        )
        .await?;
    let statement = client
        .prepare("INSERT INTO described VALUES ($1, $2, $3) RETURNING id, name AS called")
        .await?;
    equal(
        statement.params(),
        &[Type::INT4, Type::TEXT, Type::TIMESTAMPTZ][..],
    )?;
    let columns: Vec<_> = statement
        .columns()
        .iter()
        .map(|c| (c.name(), c.type_().clone()))
        .collect();
    equal(columns, vec![("id", Type::INT4), ("called", Type::TEXT)])?;
    for id in 0..3 {
        let row = client
            .query_one(&statement, &[&id, &"n", &Utc::now()])
            .await?;
        equal(row.get::<_, i32>("id"), id)?;
    }
    let typed = client.prepare_typed("SELECT $1 + 1", &[Type::INT8]).await?;
    equal(
        client.query_one(&typed, &[&41i64]).await?.get::<_, i64>(0),
        42,
    )?;
    equal(
        client
            .execute("DELETE FROM described WHERE id > $1", &[&0])
            .await?,
        2,
    )
}

async fn pipelined(url: &str) -> Outcome {
    let client = connect(url).await?;
    let statement = client.prepare("SELECT $1::int * 2").await?;
    let queries = (0..100i32).map(|n| {
        let (client, statement) = (&client, &statement);
        async move {
            client
                .query_one(statement, &[&n])
                .await
                .map(|row| row.get::<_, i32>(0))
        }
    });
    let got: Result<Vec<i32>, _> = future::join_all(queries).await.into_iter().collect();
    equal(got?, (0..100).map(|n| n * 2).collect())
}

async fn transactions(url: &str) -> Outcome {
    let mut client = connect(url).await?;
    client
        .batch_execute("CREATE TEMP TABLE moved (id int PRIMARY KEY)")
        .await?;
    let mut transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await?;
    transaction
        .execute("INSERT INTO moved SELECT generate_series(1, 100)", &[])
        .await?;
    let inner = transaction.savepoint("nested").await?;
    let duplicate = inner.execute("INSERT INTO moved VALUES (1)", &[]).await;
    equal(duplicate.is_err(), true)?;
    inner.rollback().await?;
    let portal = transaction
        .bind("SELECT id FROM moved ORDER BY id", &[])
        .await?;
    equal(transaction.query_portal(&portal, 30).await?.len(), 30)?;
    let rows = transaction.query_portal(&portal, 30).await?;
    equal(rows[0].get::<_, i32>(0), 31)?;
    equal(transaction.query_portal(&portal, 0).await?.len(), 40)?;
    transaction.commit().await?;
    let row = client.query_one("SELECT count(*) FROM moved", &[]).await?;
    equal(row.get::<_, i64>(0), 100)
}

async fn copy(url: &str) -> Outcome {
    let client = connect(url).await?;
    client
        .batch_execute("CREATE TEMP TABLE copied (id int, name text)")
        .await?;
    let sink = client
        .copy_in::<_, Bytes>("COPY copied FROM STDIN (FORMAT csv)")
        .await?;
    let mut sink = pin!(sink);
    for id in 0..1000 {
        sink.send(Bytes::from(format!("{id},\"name, {id}\"\n")))
            .await?;
    }
    equal(sink.finish().await?, 1000)?;
    let out = client
        .copy_out("COPY (SELECT * FROM copied WHERE id < 2 ORDER BY id) TO STDOUT")
        .await?;
    let chunks: Vec<_> = out.try_collect().await?;
    let text: Vec<u8> = chunks.into_iter().flatten().collect();
    equal(
        String::from_utf8(text)?,
        "0\tname, 0\n1\tname, 1\n".to_owned(),
    )
}

async fn copy_binary(url: &str) -> Outcome {
    let client = connect(url).await?;
    client
        .batch_execute("CREATE TEMP TABLE copied (id int, name text)")
        .await?;
    let sink = client.copy_in("COPY copied FROM STDIN BINARY").await?;
    let writer =
        tokio_postgres::binary_copy::BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]);
    let mut writer = pin!(writer);
    writer.as_mut().write(&[&1, &"one"]).await?;
    writer.as_mut().write(&[&2, &None::<&str>]).await?;
    equal(writer.finish().await?, 2)?;
    let out = client.copy_out("COPY copied TO STDOUT BINARY").await?;
    let rows =
        tokio_postgres::binary_copy::BinaryCopyOutStream::new(out, &[Type::INT4, Type::TEXT]);
    let rows: Vec<_> = rows.try_collect().await?;
    equal(rows.len(), 2)?;
    equal(rows[0].get::<&str>(1), "one")
}

async fn simple(url: &str) -> Outcome {
    let client = connect(url).await?;
    let messages = client
        .simple_query("CREATE TEMP TABLE s (i int); INSERT INTO s VALUES (1), (2); SELECT i FROM s ORDER BY i")
        .await?;
    let values: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    equal(values, vec!["1".to_owned(), "2".to_owned()])
}

async fn errors(url: &str) -> Outcome {
    let client = connect(url).await?;
    for (query, code) in [
        ("SELECT 1 / 0", "22012"),
        ("SELECT nothing", "42703"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELEC", "42601"),
    ] {
        let error = client.query(query, &[]).await.err().ok_or("no error")?;
        let code_of = error.code().map(|code| code.code().to_owned());
        equal(code_of, Some(code.to_owned()))?;
    }
    equal(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1)
}

async fn cancel(url: &str) -> Outcome {
    let client = connect(url).await?;
    let token = client.cancel_token();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let _ = token.cancel_query(NoTls).await;
    });
    let query = "SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b WHERE a + b = -1";
    let error = client
        .query(query, &[])
        .await
        .err()
        .ok_or("it ran to its end")?;
    equal(
        error.code().map(|code| code.code().to_owned()),
        Some("57014".to_owned()),
    )
}

async fn arrays(url: &str) -> Outcome {
    let client = connect(url).await?;
    let row = client
        .query_one(
            "SELECT $1::int[], $2::text[], $3::uuid[]",
            &[&vec![1, 2], &vec![Some("a,b"), None], &vec![Uuid::nil()]],
        )
        .await?;
    equal(row.get::<_, Vec<i32>>(0), vec![1, 2])?;
    equal(
        row.get::<_, Vec<Option<String>>>(1),
        vec![Some("a,b".to_owned()), None],
    )?;
    equal(row.get::<_, Vec<Uuid>>(2), vec![Uuid::nil()])?;
    let rows = client
        .query_raw(
            "SELECT n FROM generate_series(1, 5) n WHERE n = ANY($1)",
            [vec![2, 4, 9]],
        )
        .await?;
    let found: Vec<i32> = rows
        .map(|row| row.map(|row| row.get::<_, i32>(0)))
        .try_collect()
        .await?;
    equal(found, vec![2, 4])
}
