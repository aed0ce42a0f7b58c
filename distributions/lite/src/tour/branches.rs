//! Step: branches, tags and merges. The branch and the tag that it leaves go into the dump.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "Branches",
    play: Play::Script(&[
        Line::Say("A branch is the whole database, made by one record of the log whatever its size:"),
        Line::Run("CREATE BRANCH pricing"),
        Line::Run("USE BRANCH pricing"),
        Line::Run("UPDATE part SET p_retailprice = p_retailprice * 1.1 WHERE p_partkey <= 100"),
        Line::Run("ALTER TABLE part ADD COLUMN p_note text"),
        Line::Run("UPDATE part SET p_note = 'to be watched' WHERE p_partkey = 7"),
        Line::Elsewhere(
            "SELECT there.p_retailprice AS there, here.p_retailprice AS here, p_note
FROM part here JOIN part@pricing there USING (p_partkey) WHERE here.p_partkey = 7",
        ),
        Line::Say("Main goes on meanwhile, and renames that very part:"),
        Line::Elsewhere("UPDATE part SET p_name = 'plain bolt' WHERE p_partkey = 7"),
        Line::Run("USE BRANCH main"),
        Line::Run("CREATE TAG before_prices"),
        Line::Say("The merge goes cell by cell: both have their way in one row, and the column comes along."),
        Line::Run("MERGE BRANCH pricing INTO main"),
        Line::Holds(
            "SELECT p_name = 'plain bolt' AND p_note = 'to be watched'
   AND p_retailprice = (SELECT p_retailprice * 1.1 FROM part@before_prices WHERE p_partkey = 7) AS both
FROM part WHERE p_partkey = 7",
            "The part has its name from main, and its price and note from the branch.",
        ),
        Line::Run("SELECT * FROM helios_diff_stat('before_prices', 'main')"),
        Line::Say("One cell with two new values is a conflict, and nothing happens:"),
        Line::Run("USE BRANCH pricing"),
        Line::Run("UPDATE part SET p_size = p_size + 5 WHERE p_partkey = 8"),
        Line::Run("USE BRANCH main"),
        Line::Run("UPDATE part SET p_size = p_size + 1 WHERE p_partkey = 8"),
        Line::Refused("40002", "MERGE BRANCH pricing INTO main"),
        Line::Run("SELECT kind, object, key, column_name, base, source, target FROM helios_conflicts()"),
        Line::Say("unless its options say what becomes of it:"),
        Line::Run("MERGE BRANCH pricing INTO main WITH (resolve = 'part.p_size sum')"),
        Line::Holds(
            "SELECT now.p_size = old.p_size + 6 AS summed
FROM part now JOIN part@before_prices old USING (p_partkey) WHERE now.p_partkey = 8",
            "Both additions count.",
        ),
        Line::Run("SELECT branch_name, parent_name, size_mb, status FROM pg_database_branches()"),
    ]),
    next: &[
        Next::Sql("SELECT key, column_name, old_value, new_value FROM helios_diff('part', 'before_prices', 'main') LIMIT 5"),
        Next::Read("`\\branches` in the shell draws the tree; docs/branches.md has the rest, RESTORE DATABASE among it."),
    ],
};
