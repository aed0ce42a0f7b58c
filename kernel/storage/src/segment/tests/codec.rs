//! Pages that a codec encodes: the same values come back, whatever the codec does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::builder::make_view;
use arrow_array::{ArrayRef, Int32Array, StringViewArray, new_null_array};
use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use arrow_schema::DataType;

use super::memory_io::contents;
use super::*;
use crate::codec::{BuiltIn, CodecError, CodecSet, ColumnCodec, Comparison, Condition, Encoding};
use crate::error::Error;
use crate::key::append_ordered;
use crate::parse::Parser;
use crate::segment::RowPick;
use crate::segment::encoded::EncodedPage;

/// Run lengths: how often, length of the value, the value; again and again.
pub(super) struct Rle;

impl ColumnCodec for Rle {
    fn name(&self) -> &str {
        "rle"
    }

    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError> {
        Ok(Some(self.encode(column)?.len() as u64))
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        let values = (0..column.len()).map(|row| Datum::from_array(column, row).unwrap().encode());
        let values: Vec<Vec<u8>> = values.collect();
        let mut encoded = Vec::new();
        for run in values.chunk_by(|a, b| a == b) {
            encoded.extend_from_slice(&(run.len() as u32).to_le_bytes());
            encoded.extend_from_slice(&(run[0].len() as u32).to_le_bytes());
            encoded.extend_from_slice(&run[0]);
        }
        Ok(encoded)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        let ty = ColumnType::from_arrow(ty).unwrap();
        decode_runs(encoded, &ty, rows).map_err(|e| CodecError::new(e.to_string()))
    }

    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        condition: &Condition,
    ) -> Result<Option<BooleanBuffer>, CodecError> {
        let ty = ColumnType::from_arrow(condition.constants.data_type()).unwrap();
        let values = self.decode(encoded, condition.constants.data_type(), rows)?;
        let key = |array: &ArrayRef, row| {
            let datum = Datum::from_array(array, row).unwrap();
            let (mut value, mut key) = (Vec::new(), Vec::new());
            datum.write_value(&ty, &mut value).unwrap();
            append_ordered(&ty, &value, &mut key).unwrap();
            (datum, key)
        };
        let constants = (0..condition.constants.len()).map(|row| key(&condition.constants, row));
        let constants: Vec<_> = constants.collect();
        let first = &constants[0];
        let meets = |row| {
            let value = key(&values, row);
            match condition.comparison {
                Comparison::Equal => value.1 == first.1,
                Comparison::Less => value.1 < first.1,
                Comparison::LessOrEqual => value.1 <= first.1,
                Comparison::Greater => value.1 > first.1,
                Comparison::GreaterOrEqual => value.1 >= first.1,
                Comparison::In => constants.iter().any(|constant| constant.1 == value.1),
                Comparison::StartsWith => match (&value.0, &first.0) {
                    (Datum::Bytes(value), Datum::Bytes(prefix)) => value.starts_with(prefix),
                    other => panic!("{other:?}"),
                },
            }
        };
        let found = |row| values.is_valid(row) && meets(row);
        Ok(Some(BooleanBuffer::collect_bool(rows, found)))
    }
}

/// How a codec that is [`Rle`] otherwise filters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Filter {
    Right,
    CannotTell,
    Fails,
    /// An answer about other rows.
    Fewer,
    /// Leaves out the first row that it should find.
    LosesOne,
    FindsNothing,
    FindsAll,
}

/// A codec that filters so, and how often it decoded and was asked.
struct Filters {
    filter: Filter,
    decoded: AtomicUsize,
    asked: AtomicUsize,
}

impl Filters {
    fn new(filter: Filter) -> Arc<Filters> {
        Arc::new(Filters {
            filter,
            decoded: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        })
    }

    /// How often it decoded and was asked since the last time.
    fn calls(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (take(&self.decoded), take(&self.asked))
    }
}

impl ColumnCodec for Arc<Filters> {
    fn name(&self) -> &str {
        "rle"
    }

    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError> {
        Rle.analyze(column)
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        Rle.encode(column)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        Rle.decode(encoded, ty, rows)
    }

    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        condition: &Condition,
    ) -> Result<Option<BooleanBuffer>, CodecError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = Rle.filter(encoded, rows, condition)?;
        Ok(match self.filter {
            Filter::Right => found,
            Filter::CannotTell => None,
            Filter::Fails => return Err(CodecError::new("no sieve")),
            Filter::Fewer => found.map(|found| found.slice(0, rows - 1)),
            Filter::LosesOne => found.map(|found| {
                let first = found.set_indices().next();
                BooleanBuffer::collect_bool(rows, |row| found.value(row) && first != Some(row))
            }),
            Filter::FindsNothing => Some(BooleanBuffer::new_unset(rows)),
            Filter::FindsAll => Some(BooleanBuffer::new_set(rows)),
        })
    }
}

fn decode_runs(encoded: &[u8], ty: &ColumnType, rows: usize) -> Result<ArrayRef> {
    let mut p = Parser::new(encoded, "runs", 0);
    let mut values = Vec::new();
    while !p.is_at_end() {
        let (times, len) = (p.u32("a number of values")?, p.u32("a length")?);
        let value = Datum::decode(p.take(len as usize, "a value")?)?.to_array(ty)?;
        if values.len() + times as usize > rows {
            return Err(p.damaged("fewer values"));
        }
        values.extend(std::iter::repeat_n(value, times as usize));
    }
    let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    arrow_select::concat::concat(&values).map_err(|e| p.damaged(&e.to_string()))
}

/// What goes wrong with a codec that is [`Rle`] otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    AnalyzeFails,
    EncodeFails,
    DecodeFails,
    DecodesAnotherType,
    DecodesFewer,
    DecodesMore,
    DecodesNothing,
    DecodesInvalid,
    LosesNulls,
    LosesValues,
    ChangesOneValue,
    SwapsRows,
    /// Views that name the same mebibyte again and again.
    Repeats,
}

const FAULTS: [Fault; 13] = [
    Fault::AnalyzeFails,
    Fault::EncodeFails,
    Fault::DecodeFails,
    Fault::DecodesAnotherType,
    Fault::DecodesFewer,
    Fault::DecodesMore,
    Fault::DecodesNothing,
    Fault::DecodesInvalid,
    Fault::LosesNulls,
    Fault::LosesValues,
    Fault::ChangesOneValue,
    Fault::SwapsRows,
    Fault::Repeats,
];

struct Faulty(Fault);

impl ColumnCodec for Faulty {
    fn name(&self) -> &str {
        "rle"
    }

    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError> {
        match self.0 {
            Fault::AnalyzeFails => Err(CodecError::new("no idea")),
            _ => Rle.analyze(column),
        }
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        match self.0 {
            Fault::EncodeFails => Err(CodecError::new("no luck")),
            _ => Rle.encode(column),
        }
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        let good = Rle.decode(encoded, ty, rows)?;
        let texts: &StringViewArray = good.as_any().downcast_ref().unwrap();
        let with = |change: &dyn Fn(usize, Option<String>) -> Option<String>| -> ArrayRef {
            let values = texts.iter().enumerate();
            let values = values.map(|(row, text)| change(row, text.map(str::to_owned)));
            Arc::new(values.collect::<StringViewArray>())
        };
        Ok(match self.0 {
            Fault::AnalyzeFails | Fault::EncodeFails => good,
            Fault::DecodeFails => return Err(CodecError::new("no more")),
            Fault::DecodesAnotherType => Arc::new(Int32Array::from(vec![7; rows])),
            Fault::DecodesFewer => good.slice(0, rows - 1),
            Fault::DecodesMore => new_null_array(ty, rows + 1),
            Fault::DecodesNothing => new_null_array(ty, 0),
            Fault::DecodesInvalid => {
                // Long texts in a buffer that is not there.
                let views = ScalarBuffer::from(vec![u128::MAX >> 64 | 99; rows]);
                // SAFETY: it is not; that is the point, and nothing reads the values before they
                // are checked.
                Arc::new(unsafe { StringViewArray::new_unchecked(views, Vec::new(), None) })
            }
            Fault::Repeats => {
                let text = Buffer::from(vec![b'x'; 1 << 20]);
                let views = vec![make_view(&text, 0, 0); rows];
                let views = ScalarBuffer::from(views);
                Arc::new(StringViewArray::try_new(views, vec![text], None).unwrap())
            }
            Fault::LosesNulls => with(&|_, text| Some(text.unwrap_or_default())),
            Fault::LosesValues => new_null_array(ty, rows),
            Fault::ChangesOneValue => with(&|row, text| match row {
                1 => Some("another".to_owned()),
                _ => text,
            }),
            Fault::SwapsRows => with(&|row, _| {
                let text = texts.is_valid(rows - 1 - row);
                text.then(|| texts.value(rows - 1 - row).to_owned())
            }),
        })
    }
}

/// A set of one codec, called "rle".
struct One {
    codec: Arc<dyn ColumnCodec>,
    may_encode: bool,
}

impl CodecSet for One {
    fn codec(&self, name: &str) -> Option<Arc<dyn ColumnCodec>> {
        (name == "rle").then(|| Arc::clone(&self.codec))
    }

    fn may_encode(&self, name: &str) -> bool {
        self.may_encode && name == "rle"
    }
}

pub(super) fn set_of(codec: impl ColumnCodec + 'static) -> Arc<dyn CodecSet> {
    Arc::new(One {
        codec: Arc::new(codec),
        may_encode: true,
    })
}

fn rle() -> Arc<dyn CodecSet> {
    set_of(Rle)
}

fn none() -> Arc<dyn CodecSet> {
    Arc::new(NoCodecs)
}

pub(super) fn with_codec(types: &[ColumnType]) -> Arc<TableDef> {
    let mut table = table(types);
    for column in &mut table.columns {
        column.compression = Some("rle".into());
    }
    Arc::new(table)
}

fn writer_with(io: &Arc<dyn Io>, codecs: Arc<dyn CodecSet>) -> SegmentWriter {
    let options = SegmentOptions {
        page_bytes: 4096,
        ..SegmentOptions::default()
    };
    SegmentWriter::create(io, NAME, TimelineId::MAIN, options, codecs).unwrap()
}

/// Open the segment; nothing is cached before.
fn open(io: &Arc<dyn Io>, codecs: Arc<dyn CodecSet>) -> SegmentReader {
    SegmentReader::open(io, NAME, None, &cache(), &Codecs::new(codecs)).unwrap()
}

fn pages(reader: &SegmentReader) -> Vec<ColumnPages> {
    let mut inventory = Inventory::default();
    inventory.add(reader);
    inventory.finish()
}

fn is_encoded(pages: &ColumnPages) -> bool {
    pages.encoding == Encoding::Codec("rle".into())
}

/// Write each row of `rows` a hundred times over; `None` is a delete. All are there at 10, and are
/// written again at 20.
fn write(table: &TableDef, rows: &[Option<Vec<Datum>>], codecs: Arc<dyn CodecSet>) -> Arc<dyn Io> {
    let io = MemoryIo::empty();
    let mut writer = writer_with(&io, codecs);
    writer.begin_rows(table).unwrap();
    let mut id = 0;
    for row in rows {
        let row = row.as_ref().map(|row| encode(table, row));
        for _ in 0..100 {
            let (newest, row) = (RowId(id), row.as_deref());
            writer.push_row(newest, Ts(20), None, row).unwrap();
            writer.push_row(newest, Ts(10), Some(Ts(20)), row).unwrap();
            id += 1;
        }
    }
    writer.finish().unwrap();
    io
}

fn read(reader: &SegmentReader, table: &Arc<TableDef>, at: u64) -> BTreeMap<u64, Vec<Datum>> {
    let scan = reader.scan_rows(table, everything(table, Ts(at))).unwrap();
    rows_of(scan).unwrap()
}

/// A table of an integer and a text, and rows of it.
fn texts() -> (Arc<TableDef>, Vec<Option<Vec<Datum>>>) {
    let table = with_codec(&[ColumnType::Int32, ColumnType::Text]);
    let row = |n, text: Datum| Some(vec![Datum::Int32(n), text]);
    let text = |text: &str| Datum::Bytes(text.as_bytes().to_vec());
    let rows = vec![
        row(1, text("first")),
        row(2, Datum::Null),
        None,
        row(3, text("")),
        row(4, text("more than the twelve bytes of a view")),
    ];
    (table, rows)
}

/// HEAD and HIST, NULLs, empty values and the slots of deleted rows, in every type.
#[test]
fn pages_of_every_type_survive_a_codec() {
    let table = with_codec(&all_types());
    let mut runner = TestRunner::deterministic();
    let mut rows = vec![Some(vec![Datum::Null; table.columns.len()]), None];
    for _ in 0..8 {
        let values = table.columns.iter().map(|column| datum_of(&column.ty));
        let values = values.map(|v| v.new_tree(&mut runner).unwrap().current());
        rows.push(Some(values.collect()));
    }
    let encoded = open(&write(&table, &rows, rle()), rle());
    let plain = open(&write(&table, &rows, none()), none());
    for at in [10, 19, 20] {
        let read = read(&encoded, &table, at);
        let expected = self::read(&plain, &table, at);
        assert_eq!(read.len(), 900);
        assert!(read.keys().eq(expected.keys()));
        for (id, row) in &expected {
            assert!(same_row(row, &read[id]), "row {id}");
        }
        for id in [0, 150, 250, 850] {
            let version = |reader: &SegmentReader| {
                reader.row_version(table.id, RowId(id), Ts(at), RowColumns::ALL)
            };
            assert_eq!(version(&encoded).unwrap(), version(&plain).unwrap());
        }
    }
    let stored: HashMap<_, _> = pages(&encoded)
        .into_iter()
        .filter(is_encoded)
        .map(|pages| (pages.column, pages))
        .collect();
    for column in 0..table.columns.len() {
        let pages = &stored[&ColumnId(column as u16)];
        assert!(
            pages.pages >= 2 && pages.stored_bytes < pages.raw_bytes,
            "{pages:?}"
        );
    }
}

/// What the directory knows of a column is of its values: the same with a codec and without.
#[test]
fn zone_maps_and_null_counts_are_those_of_a_plain_page() {
    let (table, rows) = texts();
    let bounds = |codecs: Arc<dyn CodecSet>| {
        let reader = open(&write(&table, &rows, codecs), none());
        let (_, _, rows) = reader.rows(table.id).unwrap().unwrap();
        let blocks = rows.head.iter().chain(&rows.hist);
        let pages = blocks.flat_map(|block| block.columns.clone()).flatten();
        let pages = pages.map(|page| (page.nulls, page.zone, page.place.raw_bytes));
        pages.collect::<Vec<_>>()
    };
    assert_eq!(bounds(rle()), bounds(none()));
}

#[test]
fn a_codec_that_fails_or_lies_is_not_used() {
    let (mut table, rows) = texts();
    // The faults are about texts.
    Arc::make_mut(&mut table).columns[0].compression = None;
    let expected = read(&open(&write(&table, &rows, none()), none()), &table, 20);
    assert_eq!(expected.len(), 400);
    for fault in FAULTS {
        let io = write(&table, &rows, set_of(Faulty(fault)));
        let reader = open(&io, none());
        assert!(!pages(&reader).iter().any(is_encoded), "{fault:?}");
        assert_eq!(read(&reader, &table, 20), expected, "{fault:?}");
        assert_eq!(read(&reader, &table, 10), expected, "{fault:?}");
    }
}

/// A codec that was good when the page was written, and is another one now.
#[test]
fn a_codec_that_decodes_something_else_is_told() {
    let (mut table, rows) = texts();
    Arc::make_mut(&mut table).columns[0].compression = None;
    let io = write(&table, &rows, rle());
    assert_eq!(read(&open(&io, rle()), &table, 20).len(), 400);
    for fault in FAULTS {
        if matches!(fault, Fault::AnalyzeFails | Fault::EncodeFails) {
            continue;
        }
        let reader = open(&io, set_of(Faulty(fault)));
        let mut scan = reader
            .scan_rows(&table, everything(&table, Ts(20)))
            .unwrap();
        match scan.next() {
            Some(Err(Error::CodecFailed { codec, file, .. })) => {
                assert_eq!((codec.as_str(), file.as_str()), ("rle", NAME), "{fault:?}");
            }
            other => panic!("{fault:?}: {other:?}"),
        }
        let one = reader.row_version(table.id, RowId(1), Ts(20), RowColumns::ALL);
        assert!(matches!(one, Err(Error::CodecFailed { .. })), "{fault:?}");
    }
}

#[test]
fn a_missing_codec_fails_the_columns_it_encoded_and_no_others() {
    let (mut table, rows) = texts();
    Arc::make_mut(&mut table).columns[0].compression = None;
    let io = write(&table, &rows, rle());
    let codecs = Codecs::none();
    let reader = SegmentReader::open(&io, NAME, None, &cache(), &codecs).unwrap();
    let scan = |column| {
        let scan = RowScan {
            projection: vec![ColumnId(column)],
            ..everything(&table, Ts(20))
        };
        rows_of(reader.scan_rows(&table, scan).unwrap())
    };
    let version = |wanted: [bool; 2]| {
        let columns = RowColumns {
            count: 2,
            wanted: Some(&wanted),
        };
        reader.row_version(table.id, RowId(0), Ts(20), columns)
    };
    let missing = |error: Error| match error {
        Error::CodecMissing {
            codec,
            collection,
            column,
        } => {
            assert_eq!((codec.as_str(), collection), ("rle", table.id));
            assert_eq!(column, ColumnId(1));
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(scan(0).unwrap().len(), 400);
    missing(scan(1).unwrap_err());
    missing(version([true, true]).unwrap_err());
    let (_, row) = version([true, false]).unwrap().unwrap();
    let row = decode(&table, &row.unwrap());
    assert_eq!(row, [Datum::Int32(1), Datum::Null]);
    let named = pages(&reader);
    assert!(
        named
            .iter()
            .any(|pages| is_encoded(pages) && pages.column == ColumnId(1))
    );

    codecs.set(rle());
    assert_eq!(scan(1).unwrap().len(), 400);
    // What is decoded stays so.
    codecs.set(none());
    assert_eq!(scan(1).unwrap().len(), 400);
}

/// Whole words of a scan that is too large for the cache, and how many rows it finds.
fn find(reader: &SegmentReader, table: &Arc<TableDef>, range: ColumnRange) -> usize {
    let scan = RowScan {
        ranges: vec![range],
        ..everything(table, Ts(20))
    };
    rows_of(reader.scan_rows(table, scan).unwrap())
        .unwrap()
        .len()
}

#[test]
fn what_a_codec_tells_is_not_decoded() {
    let (mut table, rows) = texts();
    Arc::make_mut(&mut table).columns[0].compression = None;
    let io = write(&table, &rows, rle());
    let codec = Filters::new(Filter::Right);
    let open = |cache_bytes| {
        let codecs = Codecs::new(set_of(Arc::clone(&codec)));
        SegmentReader::open(&io, NAME, None, &PageCache::new(cache_bytes), &codecs).unwrap()
    };
    let text = |text: &str| Datum::Bytes(text.as_bytes().to_vec());
    let between = |lower, upper| ColumnRange::between(ColumnId(1), lower, upper);
    let one = |value: &str| {
        let value = Bound::Included(text(value));
        between(value.clone(), value)
    };
    let prefix =
        |from: &str, to: &str| between(Bound::Included(text(from)), Bound::Excluded(text(to)));
    let list = |values: &[&str]| {
        ColumnRange::one_of(
            ColumnId(1),
            values.iter().map(|value| text(value)).collect(),
        )
    };
    let small = open(0);
    // The zone maps let all of these through.
    for (range, expected) in [
        (one("g"), 0),
        (prefix("fa", "fb"), 0),
        (list(&["few", "fist"]), 0),
        (one("first"), 100),
        (prefix("fir", "fis"), 100),
        (list(&["first", "last", ""]), 200),
        (
            between(Bound::Unbounded, Bound::Excluded(text("first"))),
            100,
        ),
        (between(Bound::Excluded(text("")), Bound::Unbounded), 200),
    ] {
        codec.calls();
        assert_eq!(find(&small, &table, range.clone()), expected, "{range:?}");
        let (decoded, asked) = codec.calls();
        assert!(asked > 0, "{range:?}");
        assert_eq!(decoded > 0, expected > 0, "{range:?}: {decoded}");
    }
    // Where the cache has room for what is decoded, that is done once, also after an estimate has left there
    // what it had asked the codec about.
    let large = open(64 << 20);
    large.share_estimate(&table, &[one("g")]).unwrap();
    let (decoded, asked) = codec.calls();
    assert!(decoded == 0 && asked > 0, "{decoded} {asked}");
    assert_eq!(find(&large, &table, one("g")), 0);
    let (decoded, asked) = codec.calls();
    assert!(decoded > 0 && asked == 0, "{decoded} {asked}");
    assert_eq!(find(&large, &table, one("first")), 100);
    assert_eq!(codec.calls(), (0, 0));
}

#[test]
fn a_codec_that_does_not_find_what_is_there_is_not_used() {
    let (mut table, rows) = texts();
    Arc::make_mut(&mut table).columns[0].compression = None;
    let lies = [Filter::LosesOne, Filter::FindsNothing, Filter::FindsAll];
    let silent = [Filter::CannotTell, Filter::Fails, Filter::Fewer];
    for filter in lies.into_iter().chain(silent) {
        let io = write(&table, &rows, set_of(Filters::new(filter)));
        let codecs = Codecs::new(set_of(Filters::new(filter)));
        let reader = SegmentReader::open(&io, NAME, None, &PageCache::new(0), &codecs).unwrap();
        let is_used = pages(&reader).iter().any(is_encoded);
        assert_eq!(is_used, silent.contains(&filter), "{filter:?}");
        let first = Bound::Included(Datum::Bytes(b"first".to_vec()));
        let range = ColumnRange::between(ColumnId(1), first.clone(), first);
        assert_eq!(find(&reader, &table, range), 100, "{filter:?}");
    }
}

#[test]
fn a_codec_that_is_off_decodes_and_does_not_encode() {
    let (table, rows) = texts();
    let off = || {
        Arc::new(One {
            codec: Arc::new(Rle),
            may_encode: false,
        })
    };
    let written = open(&write(&table, &rows, off()), none());
    assert!(!pages(&written).iter().any(is_encoded));
    assert_eq!(
        read(&open(&write(&table, &rows, rle()), off()), &table, 20).len(),
        400
    );
}

#[test]
fn values_that_do_not_shrink_are_stored_without_the_codec() {
    let table = with_codec(&[ColumnType::Int64]);
    let io = MemoryIo::empty();
    let mut writer = writer_with(&io, rle());
    writer.begin_rows(&table).unwrap();
    for n in 0..1000u64 {
        let noise = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let noise = (noise ^ noise >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let row = encode(&table, &[Datum::Int64(noise as i64)]);
        writer.push_row(RowId(n), Ts(5), None, Some(&row)).unwrap();
    }
    writer.finish().unwrap();
    let pages = pages(&open(&io, none()));
    assert!(
        pages.iter().all(|pages| pages.encoding == Encoding::Plain),
        "{pages:?}"
    );
}

/// The names that storage keeps for itself are never a codec's.
#[test]
fn a_column_may_ask_for_zstd_or_for_nothing() {
    struct Any;
    impl CodecSet for Any {
        fn codec(&self, _: &str) -> Option<Arc<dyn ColumnCodec>> {
            Some(Arc::new(Rle))
        }

        fn may_encode(&self, _: &str) -> bool {
            true
        }
    }
    let mut table = table(&[ColumnType::Int64, ColumnType::Int64, ColumnType::Int64]);
    table.columns[1].compression = Some("none".into());
    table.columns[2].compression = Some("zstd".into());
    let table = Arc::new(table);
    let rows = [Some(vec![Datum::Int64(7); 3]), None];
    let reader = open(&write(&table, &rows, Arc::new(Any)), none());
    let used: Vec<_> = pages(&reader).into_iter().map(|p| p.encoding).collect();
    let unasked = Encoding::BuiltIn(BuiltIn::Bitpacking);
    assert_eq!(used, [unasked, Encoding::Plain, Encoding::Zstd]);
    assert_eq!(read(&reader, &table, 20).len(), 100);
}

#[test]
fn every_changed_byte_is_found_before_the_codec_sees_it() {
    let table = with_codec(&[ColumnType::Int32, ColumnType::Text]);
    let io = MemoryIo::empty();
    let mut writer = writer_with(&io, rle());
    writer.begin_rows(&table).unwrap();
    let row = encode(&table, &[Datum::Int32(7), Datum::Bytes(vec![b'x'; 20])]);
    for n in 0..20 {
        writer.push_row(RowId(n), Ts(5), None, Some(&row)).unwrap();
    }
    writer.finish().unwrap();
    let whole = contents(&io, NAME);
    let read_all = |bytes| -> Result<usize> {
        let io = MemoryIo::with(NAME, bytes);
        let reader = SegmentReader::open(&io, NAME, None, &cache(), &Codecs::new(rle()))?;
        reader.row_ids(table.id)?;
        reader.decided(table.id, Ts(4))?;
        reader.row_version(table.id, RowId(1), Ts(5), RowColumns::ALL)?;
        let rows = rows_of(reader.scan_rows(&table, everything(&table, Ts(5)))?)?;
        // Row ids and timestamps are read where they are asked for.
        let exclude = Arc::default();
        let mut versions = reader.row_runs(
            &table,
            usize::MAX,
            RowPick::Visible { exclude },
            Ts(5),
            false,
        )?;
        versions.read_block()?;
        Ok(rows.len() + usize::from(pages(&reader).iter().all(is_encoded)))
    };
    assert_eq!(read_all(whole.clone()).unwrap(), 21);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        match read_all(bytes) {
            Err(Error::Corruption { .. } | Error::UnsupportedVersion { .. }) => {}
            other => panic!("byte {at} of {} changed: {other:?}", whole.len()),
        }
    }
}

proptest! {
    /// Checksums keep strange bytes away from a page's frame; it must not matter.
    #[test]
    fn strange_encoded_pages_never_panic(bytes in prop::collection::vec(0u8..8, 0..40)) {
        if let Some(page) = EncodedPage::parse(&bytes) {
            prop_assert!(page.codec.len() <= bytes.len());
            prop_assert!(page.decode(&Rle, &ColumnType::Int64, 3, 24).is_err());
        }
    }
}
