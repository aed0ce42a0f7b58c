//! Step: the rest of a catalog, which the export takes along.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "Sequences, indexes, comments, roles",
    play: Play::Script(&[
        Line::Run("CREATE SEQUENCE invoice_number START 1000 INCREMENT 5"),
        Line::Run("SELECT nextval('invoice_number'), nextval('invoice_number')"),
        Line::Run(
            "CREATE TABLE invoice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number bigint NOT NULL UNIQUE DEFAULT nextval('invoice_number'),
    orderkey integer REFERENCES orders ON DELETE SET NULL,
    tags text[] NOT NULL DEFAULT '{}',
    due timestamptz NOT NULL
)",
        ),
        Line::Run(
            "INSERT INTO invoice (orderkey, tags, due)
SELECT o_orderkey, ARRAY[trim(o_orderpriority), o_orderstatus], o_orderdate + interval '30 days'
FROM orders ORDER BY o_totalprice DESC LIMIT 3
RETURNING *",
        ),
        Line::Say("An index, and that the planner uses it:"),
        Line::Run("CREATE INDEX orders_orderdate ON orders (o_orderdate)"),
        Line::Shows(
            "EXPLAIN SELECT count(*) FROM orders WHERE o_orderdate = '1995-03-15'",
            "orders_orderdate",
        ),
        Line::Say("Comments and roles, and what a role may do:"),
        Line::Run("COMMENT ON TABLE lineitem IS 'what was ordered, line by line'"),
        Line::Run("CREATE ROLE reporter LOGIN PASSWORD 'for the tour'"),
        Line::Run(
            "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
WHERE obj_description(oid, 'pg_class') IS NOT NULL AND relnamespace = 'public'::regnamespace",
        ),
        Line::Run("GRANT SELECT (l_orderkey, l_quantity) ON lineitem TO reporter"),
        Line::Run("SET ROLE reporter"),
        Line::Run("SELECT sum(l_quantity) FROM lineitem"),
        Line::Refused("42501", "SELECT sum(l_extendedprice) FROM lineitem"),
        Line::Run("RESET ROLE"),
    ]),
    next: &[
        Next::Sql("SELECT * FROM pg_sequences"),
        Next::Sql(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name = 'invoice'",
        ),
    ],
};
