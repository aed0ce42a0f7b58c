//! The history behind the golden files of version 1. It is as fixed as they are: a newer version has a history of
//! its own, or goes on from the end of this one.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::history::named::{NamedPin, PinKind};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::io::Io;
use heliosdb_storage::schema::{
    ColumnDef, ColumnType, ComputedColumn, IndexDef, KeyColumn, Retention, TableDef,
};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LockWait, RestoreOptions, Result, RowLockMode,
    SequenceSpec, Transaction, restore,
};

use super::{Files, LARGE, LAST_DIGIT, LIST, describe, files, list, open, outline};
use crate::SimDisk;

/// Of the machine.
pub(super) const SEED: u64 = 1;
/// A machine on which golden files are read is so much ahead of the one that made them.
pub(super) const LATER_MICROS: u64 = 24 * 3600 * 1_000_000;

/// A column of every type.
const EVERYTHING: CollectionId = CollectionId(1024);
/// Texts, large ones among them, each column encoded in another way.
const DOCUMENTS: CollectionId = CollectionId(1028);
/// What the built-in codecs are for.
const NUMBERS: CollectionId = CollectionId(1030);
/// A store, in which every commit leaves its number.
const STORE: CollectionId = CollectionId(1032);
const SEQUENCE: CollectionId = CollectionId(1033);
/// A table that is dropped.
const DROPPED: CollectionId = CollectionId(1034);
const COLLECTIONS: u32 = 11;

type Row = Vec<Datum>;

/// The golden files of version 1.
pub fn make() -> Result<Files> {
    let machine = SimDisk::new(SEED);
    let mut history = History {
        engine: open(&machine, "db")?,
        commits: 0,
    };
    history.tables()?;
    history.engine.flush()?;
    history.changes()?;
    history.engine.flush()?;
    history.timelines()?;
    history.large_transactions()?;
    history.engine.compact(&Interrupt::new())?;
    history.pins()?;
    history.alter()?;
    history.engine.flush()?;
    let backup: Arc<dyn Io> = Arc::new(machine.directory("backup"));
    history.engine.backup(&backup, &Interrupt::new())?;
    let restored_to = history.tail()?;
    history.engine.archive()?;
    history.after_the_archive()?;
    let mut made = files(&machine)?;
    let live = describe(&history.engine)?;
    drop(history);

    // Sequences go on behind what was logged ahead of their use; all else is as it was.
    let machine = super::machine(&made).map_err(|e| Error::invalid(e.to_string()))?;
    let engine = open(&machine, "db")?;
    let database = describe(&engine)?;
    engine.close()?;
    let rest = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("  sequence"));
        lines.map(str::to_owned).collect()
    };
    if rest(&live) != rest(&database) {
        return Err(Error::invalid(
            "the database is another one when it is opened again",
        ));
    }

    let machine = super::machine(&made).map_err(|e| Error::invalid(e.to_string()))?;
    made.insert("backup.txt".to_owned(), of_backup(&machine)?.into_bytes());
    let machine = super::machine(&made).map_err(|e| Error::invalid(e.to_string()))?;
    let restored = of_restored(&machine, restored_to)?;
    made.insert("restored.txt".to_owned(), restored.into_bytes());
    made.insert("database.txt".to_owned(), database.into_bytes());
    made.insert(LIST.to_owned(), list(&made).into_bytes());
    Ok(made)
}

/// What the backup of golden files says when it is opened.
pub fn of_backup(machine: &SimDisk) -> Result<String> {
    let engine = open(machine, "backup")?;
    let text = outline(&describe(&engine)?);
    engine.close()?;
    Ok(text)
}

/// What backup and archive of golden files give.
pub fn of_restored(machine: &SimDisk, to: Ts) -> Result<String> {
    let io = |name: &str| -> Arc<dyn Io> { Arc::new(machine.directory(name)) };
    let options = RestoreOptions {
        to: Some(to),
        wal_segment_bytes: 64 << 10,
        ..RestoreOptions::default()
    };
    restore(
        &io("backup"),
        Some(&io("archive")),
        &io("restored"),
        &options,
    )?;
    let engine = open(machine, "restored")?;
    let text = format!("restored to {to}\n{}", outline(&describe(&engine)?));
    engine.close()?;
    Ok(text)
}

/// What a build of today does to a golden database: rows, values and definitions of every kind, a flush and a
/// merge of all.
pub fn later(engine: &Engine) -> Result<()> {
    let mut history = History {
        engine: engine.clone(),
        commits: 1000,
    };
    history.commit(|txn| {
        let rows = [everything(100), everything(107)];
        txn.insert(&table_everything(), &batch(&table_everything(), &rows)?)?;
        txn.update(
            &table_everything(),
            &[RowId(2)],
            &batch(&table_everything(), &[everything(101)])?,
        )?;
        txn.delete(&table_everything(), &[RowId(3)])?;
        txn.remove(STORE, b"key 1")?;
        txn.remove_pin("point")
    })?;
    engine.flush()?;
    engine.compact_all(&Interrupt::new()).map(drop)
}

struct History {
    engine: Engine,
    commits: u64,
}

impl History {
    fn commit(&mut self, write: impl FnOnce(&mut Transaction) -> Result<()>) -> Result<Ts> {
        self.commit_on(self.engine.main_timeline(), write)
    }

    fn commit_on(
        &mut self,
        timeline: TimelineId,
        write: impl FnOnce(&mut Transaction) -> Result<()>,
    ) -> Result<Ts> {
        self.commits += 1;
        let interrupt = Interrupt::new();
        let mut txn = self
            .engine
            .begin_on(timeline, Isolation::ReadCommitted, interrupt)?;
        txn.begin_statement();
        write(&mut txn)?;
        txn.put(STORE, b"commit", self.commits.to_string().as_bytes())?;
        txn.commit(Durability::Synchronous)
    }

    /// All tables with their first rows.
    fn tables(&mut self) -> Result<()> {
        for number in 0..COLLECTIONS {
            let id = self.engine.allocate_collection_id();
            if id != CollectionId(EVERYTHING.0 + number) {
                return Err(Error::invalid(format!("collection {id} of a new database")));
            }
        }
        self.commit(|txn| {
            txn.define_table(&table_everything())?;
            txn.define_table(&table_documents())?;
            txn.define_table(&table_numbers())?;
            txn.define_table(&table_dropped())
        })?;
        self.commit(|txn| {
            let table = table_everything();
            let rows: Vec<Row> = (0..12).map(everything).collect();
            txn.insert(&table, &batch(&table, &rows)?)?;
            let table = table_documents();
            let rows: Vec<Row> = (0..20).map(document).collect();
            txn.insert(&table, &batch(&table, &rows)?)?;
            let table = table_dropped();
            txn.insert(&table, &batch(&table, &[vec![Datum::Int64(1)]])?)?;
            txn.put(STORE, b"key 1", b"value")?;
            txn.put(STORE, b"key 2", &[0xA5; 300])
        })?;
        self.commit(|txn| {
            let table = table_numbers();
            let rows: Vec<Row> = (0..120).map(number).collect();
            txn.insert(&table, &batch(&table, &rows)?).map(drop)
        })?;
        self.engine.sequence_next(SEQUENCE, &SPEC)?;
        self.engine.sequence_next(SEQUENCE, &SPEC)?;
        Ok(())
    }

    /// Updates and deletes: history.
    fn changes(&mut self) -> Result<()> {
        self.commit(|txn| {
            let table = table_everything();
            let rows = [everything(20), everything(21)];
            lock(txn, table.id, &[2, 3, 4])?;
            txn.update(&table, &[RowId(2), RowId(3)], &batch(&table, &rows)?)?;
            txn.delete(&table, &[RowId(4)])?;
            txn.put(STORE, b"key 1", b"another value")?;
            txn.remove(STORE, b"key 2")
        })?;
        self.commit(|txn| {
            let table = table_documents();
            lock(txn, table.id, &[1, 5, 6])?;
            txn.update(&table, &[RowId(1)], &batch(&table, &[document(37)])?)?;
            txn.delete(&table, &[RowId(5), RowId(6)])
        })?;
        self.commit(|txn| {
            let table = table_everything();
            lock(txn, table.id, &[2])?;
            txn.update(&table, &[RowId(2)], &batch(&table, &[everything(30)])?)
        })?;
        self.commit(|txn| txn.drop_collection(DROPPED)).map(drop)
    }

    /// Branches: one with rows in files and in the log, one of the past, one that is gone, one renamed.
    fn timelines(&mut self) -> Result<()> {
        let engine = self.engine.clone();
        let main = engine.main_timeline();
        let past = engine.latest_view().ts();
        let dev = engine.create_timeline("dev", main, past)?;
        self.commit_on(dev, |txn| {
            let table = table_everything();
            lock(txn, table.id, &[5, 6])?;
            txn.insert(&table, &batch(&table, &[everything(40)])?)?;
            txn.update(&table, &[RowId(5)], &batch(&table, &[everything(41)])?)?;
            txn.delete(&table, &[RowId(6)])?;
            txn.put(STORE, b"key 3", b"on a branch")
        })?;
        engine.sequence_next_on(dev, SEQUENCE, &SPEC)?;
        engine.flush()?;
        self.commit(|txn| txn.put(STORE, b"key 3", b"on main"))?;
        let gone = engine.create_timeline("gone", dev, engine.latest_view().ts())?;
        self.commit_on(gone, |txn| txn.put(STORE, b"key 4", b"nowhere"))?;
        engine.drop_timeline(gone)?;
        let child = engine.create_timeline("child", dev, engine.latest_view().ts())?;
        engine.rename_timeline(child, "grandchild")?;
        engine.create_timeline("before", main, past)?;
        self.commit_on(child, |txn| txn.remove(STORE, b"key 1"))
            .map(drop)
    }

    /// One past the memory of a transaction, and one in bulk: runs.
    fn large_transactions(&mut self) -> Result<()> {
        self.commit(|txn| {
            let table = table_numbers();
            for from in (1000..1060).step_by(15) {
                let rows: Vec<Row> = (from..from + 15).map(number).collect();
                txn.insert(&table, &batch(&table, &rows)?)?;
            }
            lock(txn, table.id, &[10, 11])?;
            txn.update(&table, &[RowId(10)], &batch(&table, &[number(2000)])?)?;
            txn.delete(&table, &[RowId(11)])
        })?;
        self.commit(|txn| {
            let table = table_numbers();
            let rows: Vec<Row> = (3000..3020).map(number).collect();
            let mut bulk = txn.bulk_insert(&table)?;
            bulk.push(txn, &batch(&table, &rows)?)?;
            bulk.finish(txn).map(drop)
        })
        .map(drop)
    }

    fn pins(&mut self) -> Result<()> {
        let now = self.engine.latest_view().ts();
        let created_micros = self.engine.now_micros();
        let pin = |name: &str, kind, reason: &str| NamedPin {
            name: name.to_owned(),
            kind,
            ts: now,
            created_micros,
            owner: "golden".to_owned(),
            reason: reason.to_owned(),
        };
        self.commit(|txn| {
            txn.create_pin(pin("point", PinKind::Point, "to come back to"))?;
            txn.create_pin(pin("cursor", PinKind::Cursor, "follows"))
        })?;
        self.commit(|txn| txn.advance_cursor("cursor", Ts(now.0 + 1)))
            .map(drop)
    }

    /// A column is added with a default, and another one goes.
    fn alter(&mut self) -> Result<()> {
        self.commit(|txn| txn.define_table(&table_numbers_altered()))?;
        self.commit(|txn| {
            let table = table_numbers_altered();
            let mut row = number(5000);
            row.remove(2);
            row.push(Datum::Bytes(b"its own".to_vec()));
            txn.insert(&table, &batch(&table, &[row])?).map(drop)
        })
        .map(drop)
    }

    /// What is in the log alone: every kind of write, more than a batch of the log takes.
    fn tail(&mut self) -> Result<Ts> {
        self.commit(|txn| {
            let table = table_everything();
            txn.insert(&table, &batch(&table, &[everything(50)])?)?;
            lock(txn, table.id, &[7, 8])?;
            txn.update(&table, &[RowId(7)], &batch(&table, &[everything(51)])?)?;
            txn.delete(&table, &[RowId(8)])?;
            txn.put(STORE, b"key 5", b"in the log")?;
            txn.remove(STORE, b"key 3")
        })?;
        self.engine.sequence_next(SEQUENCE, &SPEC)?;
        self.engine.sequence_set(SEQUENCE, 40, false)?;
        let restored_to = self.commit(|txn| {
            let table = table_documents();
            txn.insert(&table, &batch(&table, &[document(50), document(51)])?)
                .map(drop)
        })?;
        let dev = self
            .engine
            .timeline("dev")
            .ok_or_else(|| Error::invalid("no dev"))?;
        self.commit_on(dev, |txn| {
            txn.put(STORE, b"key 6", b"on a branch, in the log")
        })?;
        Ok(restored_to)
    }

    /// And what is not archived.
    fn after_the_archive(&mut self) -> Result<()> {
        self.engine.create_timeline(
            "last",
            self.engine.main_timeline(),
            self.engine.latest_view().ts(),
        )?;
        self.commit(|txn| txn.put(STORE, b"key 7", b"last"))
            .map(drop)
    }
}

const SPEC: SequenceSpec = SequenceSpec {
    start: 1,
    increment: 3,
    min: 1,
    max: i64::MAX,
    cycle: false,
};

fn lock(txn: &mut Transaction, table: CollectionId, rows: &[u64]) -> Result<()> {
    for row in rows {
        txn.lock_row(table, RowId(*row), RowLockMode::Update, LockWait::NoWait)?;
    }
    Ok(())
}

fn key(column: ColumnId, descending: bool, nulls_first: bool) -> KeyColumn {
    KeyColumn {
        column,
        descending,
        nulls_first,
    }
}

fn types() -> Vec<ColumnType> {
    use ColumnType::*;
    let array = |item| Array(Box::new(item));
    vec![
        Int64,
        Bool,
        Int16,
        Int32,
        Float32,
        Float64,
        Decimal {
            precision: 12,
            scale: 2,
        },
        Decimal {
            precision: 38,
            scale: -3,
        },
        Numeric,
        Date,
        Time,
        Timestamp,
        TimestampTz,
        Interval,
        Text,
        Bytea,
        Jsonb,
        Json,
        Uuid,
        Oid,
        array(Int32),
        array(Text),
        array(array(Float64)),
    ]
}

/// Indexes: unique; two columns, DESC and NULLS FIRST; on an expression and a part of the rows.
fn table_everything() -> TableDef {
    let index = |number, columns, unique, predicate| IndexDef {
        id: CollectionId(EVERYTHING.0 + number),
        columns,
        unique,
        predicate,
    };
    let computed = |ty, expression: &str| ComputedColumn {
        ty,
        condition: None,
        inputs: vec![ColumnId(0)],
        expression: expression.into(),
    };
    let [digit, large] = [0, 1].map(ColumnId::computed);
    let mut digits = computed(ColumnType::Int64, LAST_DIGIT);
    digits.condition = Some(large);
    TableDef {
        id: EVERYTHING,
        columns: types().into_iter().map(ColumnDef::new).collect(),
        computed: vec![digits, computed(ColumnType::Bool, LARGE)],
        retention: None,
        indexes: vec![
            index(1, vec![key(ColumnId(0), false, false)], true, None),
            index(
                2,
                vec![
                    key(ColumnId(14), true, true),
                    key(ColumnId(5), false, true),
                    key(ColumnId(8), true, false),
                ],
                false,
                None,
            ),
            index(3, vec![key(digit, false, false)], false, Some(large)),
        ],
    }
}

/// A row whose key is `n`. The numbers below 4 have the ends of what types hold.
fn everything(n: i64) -> Row {
    let text = |text: &str| Datum::Bytes(text.as_bytes().to_vec());
    let end = |low: Datum, high: Datum, other: Datum| match n {
        0 => low,
        1 => high,
        _ => other,
    };
    let floats = [
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        5e-324,
        1.5,
    ];
    let float = floats[n as usize % floats.len()];
    let of = |values: &[Datum], ty: &ColumnType| array_of(values, ty);
    let micros = n * 86_400_123_456;
    let mut row = vec![
        Datum::Int64(n),
        Datum::Bool(n % 2 == 0),
        end(
            Datum::Int16(i16::MIN),
            Datum::Int16(i16::MAX),
            Datum::Int16(n as i16),
        ),
        end(
            Datum::Int32(i32::MIN),
            Datum::Int32(i32::MAX),
            Datum::Int32(-(n as i32)),
        ),
        Datum::Float32(float as f32),
        Datum::Float64(match n {
            // A NaN that is not the usual one.
            7 => f64::from_bits(0xFFF8_0000_0000_0BAD),
            _ => float,
        }),
        Datum::Decimal(i128::from(n) * 12_345),
        end(
            Datum::Decimal(-(10_i128.pow(38) - 1)),
            Datum::Decimal(10_i128.pow(38) - 1),
            Datum::Decimal(i128::from(n)),
        ),
        // To storage, bytes that compare by memcmp with two for the scale.
        Datum::Bytes(vec![0x80, n as u8, 0x00, 0xFF, 0, 2]),
        end(
            Datum::Date(i32::MIN),
            Datum::Date(i32::MAX),
            Datum::Date(18_000 + n as i32),
        ),
        Datum::Time(micros % 86_400_000_000),
        end(
            Datum::Timestamp(i64::MIN),
            Datum::Timestamp(i64::MAX),
            Datum::Timestamp(micros),
        ),
        Datum::Timestamp(-micros),
        Datum::Interval {
            months: n as i32,
            days: -3,
            nanos: n * 1000,
        },
        text(["", "zero\0byte", "grüße", "日本", "plain"][n as usize % 5]),
        Datum::Bytes(vec![n as u8; n as usize % 7]),
        text(&format!("{{\"n\": {n}}}")),
        text(&format!("{{ \"n\" :{n}}}")),
        Datum::Uuid([n as u8; 16]),
        Datum::Oid(u32::MAX - n as u32),
        of(
            &[Datum::Int32(1), Datum::Null, Datum::Int32(n as i32)],
            &ColumnType::Int32,
        ),
        of(&[text("a"), Datum::Null, text("")], &ColumnType::Text),
        of(
            &[
                of(&[Datum::Float64(float)], &ColumnType::Float64),
                Datum::Null,
                of(&[], &ColumnType::Float64),
            ],
            &ColumnType::Array(Box::new(ColumnType::Float64)),
        ),
    ];
    // A row of NULLs, and one NULL in each column in turn.
    match n {
        3 => row[1..].fill(Datum::Null),
        _ => row[1 + (n as usize * 5) % 22] = Datum::Null,
    }
    row
}

/// The value bytes of an array, as `docs/file-format.md` draws them.
fn array_of(values: &[Datum], item: &ColumnType) -> Datum {
    let mut out = (values.len() as u32).to_le_bytes().to_vec();
    let mut nulls = vec![0; values.len().div_ceil(8)];
    let mut data = Vec::new();
    let mut ends = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let mut bytes = Vec::new();
        match value {
            Datum::Null => nulls[place / 8] |= 1 << (place % 8),
            Datum::Int32(n) => bytes.extend_from_slice(&n.to_le_bytes()),
            Datum::Float64(n) => bytes.extend_from_slice(&n.to_le_bytes()),
            Datum::Bytes(value) => bytes.extend_from_slice(value),
            _ => {}
        }
        if let Some(width) = item.fixed_width_bytes() {
            bytes.resize(width, 0);
        }
        data.extend_from_slice(&bytes);
        ends.extend_from_slice(&(data.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(&nulls);
    if item.fixed_width_bytes().is_none() {
        out.extend_from_slice(&ends);
    }
    out.extend_from_slice(&data);
    Datum::Bytes(out)
}

/// Texts as they come, by a codec from outside, in zstd and plain; bytes; and a retention of its own.
fn table_documents() -> TableDef {
    let column = |ty, codec: Option<&str>| ColumnDef {
        compression: codec.map(Arc::from),
        ..ColumnDef::new(ty)
    };
    TableDef {
        id: DOCUMENTS,
        columns: vec![
            column(ColumnType::Int64, None),
            column(ColumnType::Text, None),
            column(ColumnType::Text, Some("letters")),
            column(ColumnType::Text, Some("zstd")),
            column(ColumnType::Bytea, Some("none")),
            column(ColumnType::Jsonb, None),
        ],
        computed: Vec::new(),
        retention: Some(Retention::Micros(365 * 24 * 3600 * 1_000_000)),
        indexes: vec![IndexDef {
            id: CollectionId(DOCUMENTS.0 + 1),
            columns: vec![key(ColumnId(0), true, false)],
            unique: true,
            predicate: None,
        }],
    }
}

fn document(n: i64) -> Row {
    let words = ["lorem", "ipsum", "dolor", "sit", "amet"];
    let text = |words_count: i64| {
        let words = (0..words_count).map(|i| words[((n + i * i) % 5) as usize]);
        words.collect::<Vec<_>>().join(" ").into_bytes()
    };
    let letters: Vec<u8> = text(9).into_iter().filter(u8::is_ascii_lowercase).collect();
    // Every fourth is large, and one is much larger than a page.
    let large = match n {
        8 => 600,
        _ if n % 4 == 0 => 80,
        _ => 5,
    };
    vec![
        Datum::Int64(n),
        Datum::Bytes(text(large)),
        Datum::Bytes(letters),
        Datum::Bytes(text(12)),
        if n % 5 == 0 {
            Datum::Null
        } else {
            Datum::Bytes((0..n * 17 % 400).map(|i| (i * i + n) as u8).collect())
        },
        Datum::Bytes(format!("\"{}\"", String::from_utf8_lossy(&text(large / 2))).into_bytes()),
    ]
}

/// Dense numbers, runs, few distinct values, whole numbers of a small range, texts of few kinds, all NULL.
fn table_numbers() -> TableDef {
    let types = [
        ColumnType::Int64,
        ColumnType::Int32,
        ColumnType::Float64,
        ColumnType::Int64,
        ColumnType::Text,
        ColumnType::Date,
    ];
    TableDef {
        id: NUMBERS,
        columns: types.into_iter().map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: Some(Retention::Forever),
        indexes: vec![IndexDef {
            id: CollectionId(NUMBERS.0 + 1),
            columns: vec![key(ColumnId(0), false, false)],
            unique: true,
            predicate: None,
        }],
    }
}

/// Without its floats, and with a text.
fn table_numbers_altered() -> TableDef {
    let mut def = table_numbers();
    def.columns[2].dropped = true;
    let missing = Datum::Bytes(b"was there before".to_vec()).encode();
    def.columns.push(ColumnDef {
        missing: Some(missing.into()),
        ..ColumnDef::new(ColumnType::Text)
    });
    def
}

fn number(n: i64) -> Row {
    let mixed = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    vec![
        Datum::Int64(n),
        Datum::Int32((n / 50) as i32),
        Datum::Float64((mixed % 4) as f64 * 0.25),
        match n % 7 {
            0 => Datum::Null,
            _ => Datum::Int64((mixed % 1000) as i64 - 500),
        },
        Datum::Bytes([&b"red"[..], b"green", b"blue"][(mixed % 3) as usize].to_vec()),
        Datum::Null,
    ]
}

fn table_dropped() -> TableDef {
    TableDef {
        id: DROPPED,
        columns: vec![ColumnDef::new(ColumnType::Int64)],
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

/// Rows as the batch that `def` asks for: its live columns in order.
fn batch(def: &TableDef, rows: &[Row]) -> Result<RecordBatch> {
    let live = def.columns.iter().filter(|column| !column.dropped);
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = Default::default();
    for (place, column) in live.enumerate() {
        let parts = rows.iter().map(|row| row[place].to_array(&column.ty));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let parts: Vec<_> = parts.iter().map(|part| part.as_ref()).collect();
        arrays.push(arrow_select::concat::concat(&parts).map_err(invalid)?);
        fields.push(Field::new(format!("c{place}"), column.ty.arrow(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::invalid(error.to_string())
}
