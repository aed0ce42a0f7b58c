//! sqlx.

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::types::Decimal;
use sqlx::types::Json;
use sqlx::{Acquire, Column, Executor, FromRow, QueryBuilder, Row, TypeInfo};
use uuid::Uuid;

use crate::{Outcome, case, equal};

pub async fn all(url: &str) {
    case("sqlx_types", types(url)).await;
    case("sqlx_rows_as_structs", structs(url)).await;
    case("sqlx_pools_and_transactions", transactions(url)).await;
    case("sqlx_bulk_by_unnest", bulk(url)).await;
    case("sqlx_describes", describes(url)).await;
    case("sqlx_copy", copy(url)).await;
    case("sqlx_migrations", migrations(url)).await;
    case("sqlx_errors", errors(url)).await;
    case("sqlx_listener", listener(url)).await;
}

async fn pool(url: &str) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new().max_connections(5).connect(url).await
}

async fn types(url: &str) -> Outcome {
    let pool = pool(url).await?;
    let (uuid, now) = (
        Uuid::new_v4(),
        DateTime::<Utc>::from_timestamp_micros(1_700_000_000_123_456).ok_or("no time")?,
    );
    let day = NaiveDate::from_ymd_opt(2024, 2, 29).ok_or("no date")?;
    let number = Decimal::new(-1_234_567, 4);
    let row =
        sqlx::query("SELECT $1, $2, $3, $4, $5, $6::numeric, $7::jsonb, $8::int4, $9::int8[]")
            .bind(true)
            .bind("text")
            .bind(uuid)
            .bind(now)
            .bind(day)
            .bind(number)
            .bind(json!({"a": 1}))
            .bind(None::<i32>)
            .bind(vec![1i64, 2])
            .fetch_one(&pool)
            .await?;
    equal(row.try_get::<bool, _>(0)?, true)?;
    equal(row.try_get::<String, _>(1)?, "text".to_owned())?;
    equal(row.try_get::<Uuid, _>(2)?, uuid)?;
    equal(row.try_get::<DateTime<Utc>, _>(3)?, now)?;
    equal(row.try_get::<NaiveDate, _>(4)?, day)?;
    equal(row.try_get::<Decimal, _>(5)?, number)?;
    equal(row.try_get::<Value, _>(6)?, json!({"a": 1}))?;
    equal(row.try_get::<Option<i32>, _>(7)?, None)?;
    equal(row.try_get::<Vec<i64>, _>(8)?, vec![1, 2])
}

#[derive(Debug, FromRow, PartialEq)]
struct Person {
    id: i64,
    name: String,
    tags: Vec<String>,
    data: Json<Value>,
}

async fn structs(url: &str) -> Outcome {
    let pool = pool(url).await?;
    pool.execute("CREATE TABLE people (id bigserial PRIMARY KEY, name text NOT NULL, tags text[] NOT NULL, data jsonb NOT NULL)")
        .await?;
    let insert = "INSERT INTO people (name, tags, data) VALUES ($1, $2, $3) RETURNING *";
    let person: Person = sqlx::query_as(insert)
        .bind("Ada")
        .bind(vec!["x", "y"])
        .bind(Json(json!({"n": 1})))
        .fetch_one(&pool)
        .await?;
    equal(person.id, 1)?;
    let again: Person = sqlx::query_as("SELECT * FROM people WHERE name = $1")
        .bind("Ada")
        .fetch_one(&pool)
        .await?;
    equal(again, person)?;
    let mut builder = QueryBuilder::new("INSERT INTO people (name, tags, data) ");
    builder.push_values(0..20, |mut row, n| {
        row.push_bind(format!("p{n}"))
            .push_bind(Vec::<String>::new())
            .push_bind(json!({"n": n}));
    });
    equal(builder.build().execute(&pool).await?.rows_affected(), 20)?;
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM people WHERE (data->>'n')::int > $1 ORDER BY id")
            .bind(17)
            .fetch(&pool)
            .try_collect()
            .await?;
    equal(names, vec!["p18".to_owned(), "p19".to_owned()])
}

async fn transactions(url: &str) -> Outcome {
    let pool = pool(url).await?;
    pool.execute("CREATE TABLE counted (id int PRIMARY KEY, n int NOT NULL)")
        .await?;
    let mut transaction = pool.begin().await?;
    transaction
        .execute("INSERT INTO counted VALUES (1, 0)")
        .await?;
    {
        let mut nested = transaction.begin().await?;
        nested.execute("INSERT INTO counted VALUES (2, 0)").await?;
        nested.rollback().await?;
    }
    transaction.commit().await?;
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..5 {
                sqlx::query("UPDATE counted SET n = n + 1 WHERE id = $1")
                    .bind(1)
                    .execute(&pool)
                    .await?;
            }
            Ok::<_, sqlx::Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let rows: Vec<(i32, i32)> = sqlx::query_as("SELECT id, n FROM counted")
        .fetch_all(&pool)
        .await?;
    equal(rows, vec![(1, 50)])
}

async fn bulk(url: &str) -> Outcome {
    let pool = pool(url).await?;
    pool.execute("CREATE TABLE bulked (id int, name text)")
        .await?;
    let (ids, names): (Vec<i32>, Vec<String>) = (0..500).map(|n| (n, n.to_string())).unzip();
    let done = sqlx::query("INSERT INTO bulked SELECT * FROM unnest($1::int[], $2::text[])")
        .bind(&ids)
        .bind(&names)
        .execute(&pool)
        .await?;
    equal(done.rows_affected(), 500)?;
    let found: i64 =
        sqlx::query_scalar("SELECT count(*) FROM bulked WHERE id = ANY($1) AND name = id::text")
            .bind(&ids[..50])
            .fetch_one(&pool)
            .await?;
    equal(found, 50)
}

async fn describes(url: &str) -> Outcome {
    let pool = pool(url).await?;
    pool.execute(
        "CREATE TABLE described_sqlx (id serial PRIMARY KEY, name text, at timestamptz NOT NULL)",
    )
    .await?;
    // What the macros ask at compile time: types, and which columns may be null.
    let described = pool
        .describe("SELECT id, name, at, count(*) OVER () FROM described_sqlx WHERE id = $1")
        .await?;
    let columns: Vec<_> = described
        .columns()
        .iter()
        .map(|c| (c.name(), c.type_info().name()))
        .collect();
    equal(
        columns,
        vec![
            ("id", "INT4"),
            ("name", "TEXT"),
            ("at", "TIMESTAMPTZ"),
            ("count", "INT8"),
        ],
    )?;
    let nullable: Vec<_> = (0..3).map(|i| described.nullable(i)).collect();
    equal(nullable, vec![Some(false), Some(true), Some(false)])
}

async fn copy(url: &str) -> Outcome {
    let pool = pool(url).await?;
    pool.execute("CREATE TABLE copied_sqlx (id int, name text)")
        .await?;
    let mut connection = pool.acquire().await?;
    let mut copy = connection
        .copy_in_raw("COPY copied_sqlx FROM STDIN (FORMAT csv)")
        .await?;
    copy.send("1,a\n2,b\n".as_bytes()).await?;
    equal(copy.finish().await?, 2)
}

async fn migrations(url: &str) -> Outcome {
    use std::borrow::Cow;

    use sqlx::migrate::{Migration, MigrationType, Migrator};

    let pool = pool(url).await?;
    let migration = |version, sql: &'static str| {
        Migration::new(
            version,
            Cow::from("step"),
            MigrationType::Simple,
            Cow::from(sql),
            false,
        )
    };
    let mut migrator = Migrator::DEFAULT;
    migrator.migrations = Cow::from(vec![
        migration(
            1,
            "CREATE TABLE migrated (id int PRIMARY KEY); INSERT INTO migrated VALUES (1);",
        ),
        migration(2, "ALTER TABLE migrated ADD COLUMN name text DEFAULT 'x';"),
    ]);
    migrator.run(&pool).await?;
    migrator.run(&pool).await?;
    let rows: Vec<(i32, String)> = sqlx::query_as("SELECT id, name FROM migrated")
        .fetch_all(&pool)
        .await?;
    equal(rows, vec![(1, "x".to_owned())])
}

async fn errors(url: &str) -> Outcome {
    let pool = pool(url).await?;
    pool.execute("CREATE TABLE refused (id int PRIMARY KEY, n int CHECK (n > 0))")
        .await?;
    pool.execute("INSERT INTO refused VALUES (1, 1)").await?;
    let error = pool
        .execute("INSERT INTO refused VALUES (1, 1)")
        .await
        .err()
        .ok_or("taken")?;
    let error = error.into_database_error().ok_or("not the server's")?;
    equal(error.is_unique_violation(), true)?;
    equal(error.constraint(), Some("refused_pkey"))?;
    equal(error.table(), Some("refused"))?;
    let error = pool
        .execute("INSERT INTO refused VALUES (2, 0)")
        .await
        .err()
        .ok_or("taken")?;
    equal(
        error
            .into_database_error()
            .is_some_and(|e| e.is_check_violation()),
        true,
    )
}

async fn listener(url: &str) -> Outcome {
    let mut listener = PgListener::connect(url).await?;
    listener.listen("sqlx_news").await?;
    sqlx::query("SELECT pg_notify('sqlx_news', 'hello')")
        .execute(&pool(url).await?)
        .await?;
    let heard = listener.recv().await?;
    equal(heard.payload(), "hello")
}
