//! Random queries give the same rows in our order and in the one they are written in.

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;

const COLUMNS: [&str; 3] = ["a", "b", "c"];

/// Rows of three columns, few of whose values differ.
type Rows = Vec<[Option<i64>; 3]>;

fn rows() -> impl Strategy<Value = Rows> {
    let value = || prop_oneof![8 => (0i64..7).prop_map(Some), 1 => Just(None)];
    prop::collection::vec([value(), value(), value()], 0..14)
}

fn table(rows: &Rows) -> Arc<MemTable> {
    let fields: Vec<Field> = COLUMNS
        .iter()
        .map(|name| Field::new(*name, DataType::Int64, true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let column =
        |c: usize| -> ArrayRef { Arc::new(rows.iter().map(|row| row[c]).collect::<Int64Array>()) };
    let batch = RecordBatch::try_new(schema.clone(), vec![column(0), column(1), column(2)]);
    Arc::new(MemTable::try_new(schema, vec![vec![batch.unwrap()]]).unwrap())
}

/// A query of some tables, each joined to one before it, and more conditions.
fn query() -> impl Strategy<Value = String> {
    let join = (any::<usize>(), 0..3usize, 0..3usize, any::<bool>());
    let more = (
        0..9u8,
        any::<usize>(),
        any::<usize>(),
        0..3usize,
        0..3usize,
        0i64..7,
    );
    let joins = prop::collection::vec(join, 2..6);
    (joins, prop::collection::vec(more, 0..4), any::<[usize; 3]>()).prop_map(|(joins, more, shown)| {
        let count = joins.len() + 1;
        let column = |table: usize, column: usize| format!("x{}.{}", table % count, COLUMNS[column]);
        let mut conditions = Vec::new();
        for (i, (to, x, y, is_computed)) in joins.iter().enumerate() {
            let (x, y) = (column(i + 1, *x), column(to % (i + 1), *y));
            conditions.push(match is_computed {
                true if i % 2 == 0 => format!("{x} + 1 = {y}"),
                _ => format!("{x} = {y}"),
            });
        }
        for (kind, t, u, x, y, value) in &more {
            let (x, y) = (column(*t, *x), column(*u, *y));
            conditions.push(match kind {
                0 | 1 => format!("{x} = {y}"),
                2 => format!("{x} < {y}"),
                3 => format!("{x} = {value}"),
                4 => format!("{x} + {y} > {value}"),
                5 => format!("({x} = 1 AND {y} = 2 OR {x} > {y})"),
                6 => format!("{x} IN (SELECT b FROM t{} WHERE c > {value})", u % 4),
                7 => format!("EXISTS (SELECT 1 FROM t{} AS e WHERE e.a = {x} AND e.b = {y})", u % 4),
                _ => format!("{x} IS NOT NULL"),
            });
        }
        let tables: Vec<String> = (0..count).map(|t| format!("t{} AS x{t}", t % 4)).collect();
        let shown: Vec<String> = (0..).zip(shown).map(|(i, n)| format!("{} AS s{i}", column(n / 3, n % 3))).collect();
        let (shown, tables, conditions) = (shown.join(", "), tables.join(", "), conditions.join(" AND "));
        format!(
            "SELECT s0, s1, s2, count(*) FROM (SELECT {shown} FROM {tables} WHERE {conditions}) AS q \
             GROUP BY s0, s1, s2 ORDER BY s0, s1, s2"
        )
    })
}

fn context(
    rules: Option<Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>>,
    tables: &[Rows],
) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features();
    if let Some(rules) = rules {
        builder = builder.with_physical_optimizer_rules(rules);
    }
    let context = SessionContext::new_with_state(builder.build());
    for (number, rows) in tables.iter().enumerate() {
        context
            .register_table(format!("t{number}"), table(rows))
            .unwrap();
    }
    context
}

async fn answer(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

/// Ours at any gain, so that small tables are enough.
fn eager() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    rules_with(JoinOrder {
        gain_min: f64::NEG_INFINITY,
        cost_share_max: f64::INFINITY,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_gives_the_same_rows(
        tables in prop::collection::vec(rows(), 4),
        sql in query(),
    ) {
        let (ours, written) = Runtime::new().unwrap().block_on(async {
            let written = context(None, &tables);
            (answer(&context(Some(eager()), &tables), &sql).await, answer(&written, &sql).await)
        });
        prop_assert_eq!(ours, written, "{}", sql);
    }
}
