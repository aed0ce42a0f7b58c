//! Step: how rows lie on disk.

use super::step::{Line, Next, Play, Step};

pub const STEP: Step = Step {
    title: "Compressed columns",
    play: Play::Script(&[
        Line::Say("New rows are in memory and in the log; a flush writes them into files of columns, each column's pages compressed by themselves. CHECKPOINT asks for one."),
        Line::Run("CHECKPOINT"),
        Line::Run(
            "SELECT attname, codec, pages, raw_bytes, stored_bytes, round(ratio::numeric, 1) AS ratio
FROM helios_compression_stats WHERE tablename = 'lineitem' ORDER BY ratio DESC LIMIT 6",
        ),
        Line::Run(
            "SELECT tablename, sum(raw_bytes) AS raw_bytes, sum(stored_bytes) AS stored_bytes,
       round(sum(raw_bytes)::numeric / sum(stored_bytes), 2) AS ratio
FROM helios_compression_stats WHERE stored_bytes > 0 AND schemaname = 'public'
GROUP BY tablename ORDER BY raw_bytes DESC LIMIT 4",
        ),
        Line::Say("COMPRESSION chooses for a column: none, zstd, or a codec of a plugin. The same text twice:"),
        Line::Run("CREATE TABLE note (id bigint PRIMARY KEY, plain text COMPRESSION none, packed text COMPRESSION zstd)"),
        Line::Run("INSERT INTO note SELECT o_orderkey, o_comment, o_comment FROM orders"),
        Line::Run("CHECKPOINT"),
        Line::Run(
            "SELECT attname, method, codec, raw_bytes, stored_bytes FROM helios_compression_stats
WHERE tablename = 'note' AND attname <> 'id' ORDER BY attname",
        ),
        Line::Holds(
            "SELECT count(*) = 0 AS same FROM note WHERE plain IS DISTINCT FROM packed",
            "Read back, both are the same.",
        ),
    ]),
    next: &[
        Next::Sql("ALTER TABLE note ALTER COLUMN plain SET COMPRESSION zstd"),
        Next::Read("What is stored already stays as it is; new pages are written with the new method."),
    ],
};
