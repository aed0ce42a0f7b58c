//! Step: analytic SQL, and how a query is planned.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "Views, common table expressions, windows, plans",
    play: Play::Script(&[
        Line::Say("A view, and window functions over it:"),
        Line::Run(
            "CREATE VIEW monthly AS
SELECT date_trunc('month', o_orderdate)::date AS month, count(*) AS orders, sum(o_totalprice) AS total
FROM orders GROUP BY 1",
        ),
        Line::Run(
            "SELECT month, orders, total,
       rank() OVER (ORDER BY total DESC) AS place,
       sum(orders) OVER (ORDER BY month) AS orders_so_far,
       total - lag(total) OVER (ORDER BY month) AS change
FROM monthly ORDER BY month LIMIT 6",
        ),
        Line::Say("A common table expression joined to what it was made from:"),
        Line::Run(
            "WITH best AS (
    SELECT o_custkey, count(*) AS orders, sum(o_totalprice) AS spent
    FROM orders GROUP BY o_custkey ORDER BY spent DESC LIMIT 5
)
SELECT c_name, n_name, orders, spent
FROM best JOIN customer ON c_custkey = o_custkey JOIN nation ON n_nationkey = c_nationkey
ORDER BY spent DESC",
        ),
        Line::Say("Subtotals with GROUPING SETS:"),
        Line::Run(
            "SELECT r_name, c_mktsegment, count(*) AS customers, round(avg(c_acctbal), 2) AS balance
FROM customer JOIN nation ON n_nationkey = c_nationkey JOIN region ON r_regionkey = n_regionkey
WHERE r_name IN ('ASIA', 'EUROPE')
GROUP BY GROUPING SETS ((r_name, c_mktsegment), (r_name))
ORDER BY r_name, c_mktsegment",
        ),
        Line::Say("EXPLAIN shows the plan: an index for one order, a hash join for all customers."),
        Line::Shows("EXPLAIN SELECT * FROM orders WHERE o_orderkey = 7", "orders_pkey"),
        Line::Shows(
            "EXPLAIN SELECT n_name, count(*) FROM customer JOIN nation ON n_nationkey = c_nationkey GROUP BY n_name",
            "HashJoin",
        ),
        Line::Say("COPY takes a query, too, and writes CSV:"),
        Line::Run(
            "COPY (SELECT o_orderpriority, count(*) FROM orders GROUP BY 1 ORDER BY 1) TO STDOUT WITH (FORMAT csv, HEADER)",
        ),
    ]),
    next: &[
        Next::Sql("EXPLAIN ANALYZE SELECT count(*) FROM monthly"),
        Next::Sql("SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'"),
    ],
};
