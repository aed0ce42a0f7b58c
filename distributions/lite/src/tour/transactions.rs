//! Step: transactions, with DDL in them.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "Transactions",
    play: Play::Script(&[
        Line::Say("What a transaction has not committed, nobody else sees:"),
        Line::Run("BEGIN"),
        Line::Run("DELETE FROM lineitem WHERE l_shipmode = 'RAIL'"),
        Line::Elsewhere("SELECT count(*) AS by_rail FROM lineitem WHERE l_shipmode = 'RAIL'"),
        Line::Run("SELECT count(*) AS by_rail FROM lineitem WHERE l_shipmode = 'RAIL'"),
        Line::Run("ROLLBACK"),
        Line::Holds(
            "SELECT count(*) > 0 AS there FROM lineitem WHERE l_shipmode = 'RAIL'",
            "They were never gone for anybody else, and now they are back.",
        ),
        Line::Say("DDL is part of a transaction like everything else:"),
        Line::Run("BEGIN"),
        Line::Run("ALTER TABLE orders ADD COLUMN o_gift boolean DEFAULT false"),
        Line::Run("CREATE INDEX orders_gift ON orders (o_gift)"),
        Line::Run("DROP TABLE lineitem"),
        Line::Elsewhere("SELECT relname FROM pg_class WHERE relname IN ('lineitem', 'orders_gift')"),
        Line::Run("ROLLBACK"),
        Line::Holds(
            "SELECT (SELECT count(*) FROM lineitem) > 0 AND NOT EXISTS (
    SELECT FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'o_gift') AS as_before",
            "The table is back with its rows, the column was never there.",
        ),
        Line::Say("A savepoint gives up a part:"),
        Line::Run("BEGIN"),
        Line::Run("UPDATE customer SET c_acctbal = c_acctbal + 100 WHERE c_custkey = 1"),
        Line::Run("SAVEPOINT before_the_gift"),
        Line::Run("UPDATE customer SET c_acctbal = 1000000 WHERE c_custkey = 1"),
        Line::Run("ROLLBACK TO SAVEPOINT before_the_gift"),
        Line::Run("COMMIT"),
        Line::Run("SELECT c_custkey, c_acctbal FROM customer WHERE c_custkey = 1"),
        Line::Say("In REPEATABLE READ a transaction goes on seeing what was there when it began:"),
        Line::Run("BEGIN ISOLATION LEVEL REPEATABLE READ"),
        Line::Run("SELECT count(*) FROM supplier WHERE s_acctbal = 0"),
        Line::Elsewhere("UPDATE supplier SET s_acctbal = 0 WHERE s_suppkey IN (1, 2, 3)"),
        Line::Run("SELECT count(*) FROM supplier WHERE s_acctbal = 0"),
        Line::Refused("40001", "UPDATE supplier SET s_acctbal = 1 WHERE s_suppkey = 1"),
        Line::Run("ROLLBACK"),
        Line::Holds(
            "SELECT count(*) >= 3 AS seen FROM supplier WHERE s_acctbal = 0",
            "A new transaction sees the three suppliers without money.",
        ),
    ]),
    next: &[
        Next::Sql("BEGIN; TRUNCATE lineitem; ROLLBACK"),
        Next::Read("Two terminals that update one row: the second waits for the first to end."),
    ],
};
