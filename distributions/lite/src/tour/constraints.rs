//! Step: constraints, and how their errors read.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "Constraints",
    play: Play::Script(&[
        Line::Say("Messages and SQLSTATEs are PostgreSQL's, so that clients understand them."),
        Line::Refused("23505", "INSERT INTO region VALUES (0, 'ATLANTIS')"),
        Line::Refused("23503", "INSERT INTO nation VALUES (99, 'LEMURIA', 7)"),
        Line::Refused("23503", "DELETE FROM region WHERE r_regionkey = 0"),
        Line::Refused(
            "23502",
            "INSERT INTO nation (n_nationkey, n_regionkey) VALUES (99, 1)",
        ),
        Line::Refused(
            "22003",
            "UPDATE part SET p_retailprice = 1e14 WHERE p_partkey = 1",
        ),
        Line::Say("A CHECK on a table with rows is checked against all of them first:"),
        Line::Refused(
            "23514",
            "ALTER TABLE customer ADD CONSTRAINT never_in_debt CHECK (c_acctbal >= 0)",
        ),
        Line::Run(
            "ALTER TABLE customer ADD CONSTRAINT phone_has_a_country CHECK (c_phone LIKE '__-%')",
        ),
        Line::Refused(
            "23514",
            "UPDATE customer SET c_phone = 'none' WHERE c_custkey = 1",
        ),
        Line::Say("A conflict can be an update instead:"),
        Line::Run(
            "INSERT INTO region VALUES (0, 'AFRICA', 'the second largest')
ON CONFLICT (r_regionkey) DO UPDATE SET r_comment = EXCLUDED.r_comment
RETURNING r_regionkey, r_name, r_comment",
        ),
    ]),
    next: &[Next::Sql(
        "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY conname",
    )],
};
