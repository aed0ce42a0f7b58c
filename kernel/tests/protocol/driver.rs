//! A real driver: tokio-postgres, which describes, binds and reads in binary.

use futures::{SinkExt, StreamExt};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{
    FromSql, IsNull, Kind, ToSql, Type, private::BytesMut, to_sql_checked,
};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Socket};

use crate::{PASSWORD, Served};
use heliosdb_kernel::AuthMethod;

/// Run `work` with a client that connects as `config` says.
pub fn session<T, R>(
    config: &Config,
    tls: T,
    work: impl AsyncFnOnce(Client) -> R,
) -> Result<R, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = config.connect(tls).await?;
        let served = tokio::spawn(connection);
        let result = work(client).await;
        served.await.unwrap()?;
        Ok(result)
    })
}

/// Run `work` with a client.
pub fn with_client(served: &Served, work: impl AsyncFnOnce(Client)) {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(served.address().port())
        .user("helios")
        .password(PASSWORD)
        .dbname("helios")
        .application_name("driver test");
    session(&config, NoTls, work).unwrap();
}

#[test]
fn a_driver_logs_in_and_works() {
    let served = Served::new(AuthMethod::Scram, 10);
    with_client(&served, async |client| {
        client
            .batch_execute("create table t (id bigint primary key, name text, f float8, b bool)")
            .await
            .unwrap();
        let insert = client
            .prepare("insert into t values ($1, $2, $3, $4)")
            .await
            .unwrap();
        assert_eq!(
            insert.params(),
            [Type::INT8, Type::TEXT, Type::FLOAT8, Type::BOOL]
        );
        for id in 0..10i64 {
            let name = (id % 3 > 0).then(|| format!("n{id}"));
            let count = client
                .execute(&insert, &[&id, &name, &(id as f64 / 4.0), &(id > 5)])
                .await
                .unwrap();
            assert_eq!(count, 1);
        }
        let rows = client
            .query(
                "select id, name, f, b from t where id >= $1 order by id",
                &[&8i64],
            )
            .await
            .unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get::<_, i64>("id"), 8);
        assert_eq!(rows[0].get::<_, Option<&str>>("name"), Some("n8"));
        assert_eq!(rows[1].get::<_, Option<&str>>("name"), None);
        assert_eq!(rows[0].get::<_, f64>("f"), 2.0);
        assert!(rows[0].get::<_, bool>("b"));

        let error = client
            .execute(&insert, &[&1i64, &"x", &0.0, &true])
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23505");
        let name = client
            .query_one("show application_name", &[])
            .await
            .unwrap();
        assert_eq!(name.get::<_, &str>(0), "driver test");
    });
}

#[test]
fn a_driver_uses_transactions_and_pipelines() {
    let served = Served::trust();
    with_client(&served, async |mut client| {
        client
            .batch_execute("create table t (a int primary key)")
            .await
            .unwrap();
        let tx = client.transaction().await.unwrap();
        tx.execute("insert into t values (1)", &[]).await.unwrap();
        tx.rollback().await.unwrap();
        let tx = client.transaction().await.unwrap();
        tx.execute("insert into t values ($1)", &[&2i32])
            .await
            .unwrap();
        let statement = tx
            .prepare("select g from generate_series(1, 5) g")
            .await
            .unwrap();
        let portal = tx.bind(&statement, &[]).await.unwrap();
        assert_eq!(tx.query_portal(&portal, 3).await.unwrap().len(), 3);
        assert_eq!(tx.query_portal(&portal, 3).await.unwrap().len(), 2);
        tx.commit().await.unwrap();

        let (a, b, c) = tokio::join!(
            client.query_one("select count(*) from t", &[]),
            client.query_one("select 1/0", &[]),
            client.query_one("select a from t", &[]),
        );
        assert_eq!(a.unwrap().get::<_, i64>(0), 1);
        assert_eq!(b.unwrap_err().code().unwrap().code(), "22012");
        assert_eq!(c.unwrap().get::<_, i32>(0), 2);

        let messages = client
            .simple_query("select 1 as x; select 2 as x")
            .await
            .unwrap();
        let values: Vec<_> = messages
            .iter()
            .filter_map(|m| match m {
                SimpleQueryMessage::Row(row) => row.get("x"),
                _ => None,
            })
            .collect();
        assert_eq!(values, ["1", "2"]);
    });
}

#[test]
fn a_driver_copies() {
    let served = Served::trust();
    with_client(&served, async |client| {
        client
            .batch_execute("create table t (a int, b text)")
            .await
            .unwrap();
        let sink = client
            .copy_in::<_, bytes::Bytes>("copy t from stdin with (format csv)")
            .await
            .unwrap();
        let mut sink = std::pin::pin!(sink);
        for i in 0..1000 {
            sink.send(format!("{i},\"text, {i}\"\n").into())
                .await
                .unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 1000);
        let out = client
            .copy_out("copy (select a, b from t order by a) to stdout")
            .await
            .unwrap();
        let chunks: Vec<_> = out.map(|chunk| chunk.unwrap().to_vec()).collect().await;
        let text = String::from_utf8(chunks.concat()).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert!(text.starts_with("0\ttext, 0\n1\ttext, 1\n"));
    });
}

/// Its reader looks for the header and the first row in one message.
#[test]
fn a_driver_copies_in_binary() {
    use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
    use tokio_postgres::types::Type;

    let served = Served::trust();
    with_client(&served, async |client| {
        client
            .batch_execute("create table t (a int, b text, c float8[])")
            .await
            .unwrap();
        let types = [Type::INT4, Type::TEXT, Type::FLOAT8_ARRAY];
        let sink = client
            .copy_in("copy t from stdin (format binary)")
            .await
            .unwrap();
        let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
        for i in 0..1000i32 {
            let text = (i % 3 > 0).then(|| format!("text, {i}"));
            let row: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&i, &text, &vec![0.5f64, f64::from(i)]];
            writer.as_mut().write(&row).await.unwrap();
        }
        assert_eq!(writer.as_mut().finish().await.unwrap(), 1000);
        for (query, count) in [("select * from t order by a", 1000), ("table t limit 0", 0)] {
            let out = client
                .copy_out(&format!("copy ({query}) to stdout (format binary)"))
                .await
                .unwrap();
            let rows: Vec<_> = BinaryCopyOutStream::new(out, &types).collect().await;
            assert_eq!(rows.len(), count);
            for (i, row) in (0i32..).zip(&rows) {
                let row = row.as_ref().unwrap();
                assert_eq!(row.get::<i32>(0), i);
                assert_eq!(row.get::<Option<&str>>(1).is_some(), i % 3 > 0);
                assert_eq!(row.get::<Vec<f64>>(2), [0.5, f64::from(i)]);
            }
        }
    });
}

/// A driver describes a statement before it binds, and runs it at one time and another.
#[test]
fn the_time_to_read_at_is_a_parameter() {
    let served = Served::new(AuthMethod::Scram, 10);
    with_client(&served, async |client| {
        client
            .batch_execute(
                "create table t (id int primary key, n int); insert into t values (1, 10)",
            )
            .await
            .unwrap();
        let scn = "select helios_current_scn(), helios_timestamp(helios_current_scn())";
        let before = client.query_one(scn, &[]).await.unwrap();
        client
            .batch_execute("update t set n = 20; alter table t add column other text")
            .await
            .unwrap();
        let after = client.query_one(scn, &[]).await.unwrap();
        let read = client
            .prepare(
                "select n, (select n from t where id = o.id) from t as of scn $1 o where id = $2",
            )
            .await
            .unwrap();
        assert_eq!(read.params(), [Type::INT8, Type::INT4]);
        for (then, expected) in [(&before, 10), (&after, 20), (&before, 10)] {
            let scn: i64 = then.get(0);
            let row = client.query_one(&read, &[&scn, &1i32]).await.unwrap();
            assert_eq!((row.get(0), row.get(1)), (expected, 20));
        }
        let read = client
            .prepare("select n from t as of timestamp $1")
            .await
            .unwrap();
        assert_eq!(read.params(), [Type::TIMESTAMPTZ]);
        let all = client
            .prepare("select * from t as of scn $1")
            .await
            .unwrap();
        let error = client
            .query(&all, &[&before.get::<_, i64>(0)])
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "0A000");
        drop(client);
    });
}

/// A label, as a driver has one that knows the type from the catalog alone.
#[derive(Debug, PartialEq)]
struct Label(String);

impl FromSql<'_> for Label {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Label, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Label(String::from_utf8(raw.to_vec())?))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Enum(_))
    }
}

impl ToSql for Label {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Enum(_))
    }

    to_sql_checked!();
}

#[test]
fn enums_and_domains_are_what_the_catalog_says() {
    let served = Served::new(AuthMethod::Scram, 10);
    with_client(&served, async |client| {
        client
            .batch_execute(
                "create type mood as enum ('sad', 'ok', 'happy');
                 create domain score as int check (value < 10);
                 create table t (id int, m mood, ms mood[], s score)",
            )
            .await
            .unwrap();
        let insert = client
            .prepare("insert into t values ($1, $2, $3, $4)")
            .await
            .unwrap();
        let mood = &insert.params()[1];
        let labels = ["sad", "ok", "happy"].map(str::to_owned).to_vec();
        assert_eq!(*mood.kind(), Kind::Enum(labels));
        assert_eq!(*insert.params()[2].kind(), Kind::Array(mood.clone()));
        assert_eq!(insert.params()[3], Type::INT4);
        let label = |text: &str| Label(text.to_owned());
        let list = vec![label("happy"), label("sad")];
        let row: [&(dyn ToSql + Sync); 4] = [&1i32, &label("ok"), &list, &7i32];
        client.execute(&insert, &row).await.unwrap();
        let rows = client
            .query("select m, ms, s from t where m = $1", &[&label("ok")])
            .await
            .unwrap();
        assert_eq!(rows[0].columns()[2].type_(), &Type::INT4);
        assert_eq!(rows[0].get::<_, Label>(0), label("ok"));
        assert_eq!(rows[0].get::<_, Vec<Label>>(1), list);
        assert_eq!(rows[0].get::<_, i32>(2), 7);
        let wrong = client
            .execute(&insert, &[&1i32, &label("bad"), &list, &7i32])
            .await;
        assert_eq!(wrong.unwrap_err().code().unwrap().code(), "22P02");
    });
}
