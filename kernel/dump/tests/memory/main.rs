//! How much memory the work with a dump takes, counted by an allocator that counts.
//!
//! One test, because the count is of the whole process.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use heliosdb_dump::{
    ColumnManifest, CompareOptions, Described, Dump, ExportOptions, LoadOptions, NamedTable,
    Silent, compare_tables, export, load_state, load_tables,
};
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` takes at its peak beyond what there was before.
fn peak_of<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

const TABLE: CollectionId = CollectionId(1024);
/// Of the rows: more than everything below may take at once.
const BYTES: usize = 96 << 20;
const ROW_BYTES: usize = 600;
/// Frames on the way, decoded pages, a memtable, and room to sort.
const PEAK_MAX: usize = 48 << 20;

fn engine(dir: &tempfile::TempDir) -> Engine {
    let options = Options {
        memory_bytes_max: 32 << 20,
        memtable_bytes_max: 4 << 20,
        wal_segment_bytes: 1 << 20,
        ..Options::default()
    };
    Engine::open(Arc::new(Disk::open(dir.path()).unwrap()), options).unwrap()
}

fn table() -> TableDef {
    let types = [ColumnType::Int64, ColumnType::Text];
    TableDef {
        id: TABLE,
        columns: types.into_iter().map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

fn fill(engine: &Engine) {
    let rows = (BYTES / ROW_BYTES) as i64;
    engine.allocate_collection_id();
    for start in (0..rows).step_by(4096) {
        let ids = start..rows.min(start + 4096);
        let texts = ids.clone().map(|id| format!("{id:0100}").repeat(6));
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            (
                "c0",
                Arc::new(Int64Array::from_iter_values(ids.clone())),
                true,
            ),
            (
                "c1",
                Arc::new(StringViewArray::from_iter_values(texts)),
                true,
            ),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        if start == 0 {
            tx.define_table(&table()).unwrap();
        }
        tx.insert(&table(), &batch).unwrap();
        tx.commit(Durability::Asynchronous).unwrap();
    }
    engine.flush().unwrap();
}

fn described() -> Described {
    let column = |name: &str, type_name: &str| ColumnManifest {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        dropped: false,
        compression: None,
    };
    Described {
        edition: "lite".to_owned(),
        database: "helios".to_owned(),
        tables: vec![NamedTable {
            collection: TABLE.0,
            name: "public.t".to_owned(),
            columns: vec![column("id", "bigint"), column("text", "text")],
        }],
        ..Described::default()
    }
}

/// A header and a frame whose checksums are right, that claims to be much more than it is.
fn claims(raw_bytes: u32, stored_bytes: u32) -> Vec<u8> {
    let mut header = b"HELIODMP\x02\0\0\0".to_vec();
    header.extend([7; 16]);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    let payload = zstd::bulk::compress(&[7; 1000], 3).unwrap();
    let mut frame = vec![4, 1, 0, 0];
    for number in [0, 0, 1, raw_bytes, stored_bytes.max(payload.len() as u32)] {
        frame.extend(number.to_le_bytes());
    }
    frame.extend(32u64.to_le_bytes());
    frame.extend(crc32c::crc32c(&payload).to_le_bytes());
    frame.extend(crc32c::crc32c(&frame).to_le_bytes());
    [header, frame, payload].concat()
}

#[test]
fn memory_is_bounded_whatever_is_read_or_written() {
    // What a file claims is not reserved before the file has it.
    for (raw_bytes, stored_bytes) in [(1 << 30, 0), (1 << 30, (1 << 30) - 1)] {
        let bytes = claims(raw_bytes, stored_bytes);
        let (opened, peak) = peak_of(|| Dump::open_source(Box::new(bytes), "claims", &Silent));
        assert!(opened.is_err());
        assert!(
            peak < 2 << 20,
            "{peak} bytes for a claim of {raw_bytes}, {stored_bytes}"
        );
    }

    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = engine(&from);
    fill(&source);
    let path = from.path().join("t.dump");
    let mut file = std::fs::File::create(&path).unwrap();
    let (manifest, peak) = peak_of(|| {
        let view = source.latest_view();
        let options = ExportOptions::default();
        export(&source, &view, described(), &mut file, &options, &Silent).unwrap()
    });
    assert!(manifest.raw_bytes() > BYTES as u64);
    assert!(peak < PEAK_MAX, "export took {peak} bytes");
    drop(source);

    let target = engine(&to);
    let file = heliosdb_dump::source::open_file(&path).unwrap();
    let (dump, peak) = peak_of(|| Dump::open(file, "t.dump", &Silent).unwrap());
    assert!(peak < 4 << 20, "checking took {peak} bytes");
    let (stats, peak) = peak_of(|| {
        let options = LoadOptions {
            memory_bytes: 4 << 20,
            ..LoadOptions::default()
        };
        load_state(&dump, &target, &options, &Silent).unwrap();
        load_tables(&dump, &target, &options, &Silent).unwrap()
    });
    assert_eq!(stats.rows, manifest.rows());
    assert!(peak < PEAK_MAX, "loading took {peak} bytes");
    let options = CompareOptions::default();
    let (found, peak) = peak_of(|| compare_tables(&dump, &target, &options, &Silent).unwrap());
    assert!(found.iter().all(|table| table.is_equal()), "{found:?}");
    assert!(peak < PEAK_MAX, "comparing took {peak} bytes");
}
