//! Records: what the log says happened.
//!
//! ```text
//! record: body length u64 │ kind u8 │ body
//! body of
//!   1 transaction      timeline u32 │ ts u64 │ write …
//!   2 sequence         timeline u32 │ id u32 │ value i64 │ is_called u8 │ moves u8: whether all
//!                      timelines go on from there
//!   3 next collection  id u32: ids below it may have been handed out
//!   4 flush            see `manifest::FlushEdit`
//!   5 row ids          { table u32 │ next row u64 } …, written when the database is closed
//!   6 load             see `manifest::LoadEdit`
//!   7 compaction       see `manifest::CompactionEdit`
//!   8 timeline         see `manifest::TimelineEdit`
//!   9 runs             a transaction whose writes are in segments, see `manifest::RunsEdit`
//! write: kind u8 (`WriteKind`) │ collection u32 │ key length u32 │ key
//!        and, for those that leave a value: value length u32 │ value
//! ```
//!
//! All little-endian. Records follow each other in a stream that batches cut anywhere.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::ids::{CollectionId, RowId, TimelineId, Ts};
use crate::manifest::{
    CompactionEdit, FlushEdit, LoadEdit, Manifest, RunsEdit, SegmentEntry, TimelineEdit,
};
use crate::memtable::split_key;
use crate::parse::Parser;
use crate::sequence::SequenceState;
use crate::transaction::writeset::WriteKind;

/// Bytes in front of a record's body.
pub const HEADER_BYTES: usize = 9;
const TS_AT: usize = HEADER_BYTES + 4;

const KIND_TRANSACTION: u8 = 1;
const KIND_SEQUENCE: u8 = 2;
const KIND_NEXT_COLLECTION: u8 = 3;
const KIND_FLUSH: u8 = 4;
const KIND_ROW_IDS: u8 = 5;
const KIND_LOAD: u8 = 6;
const KIND_COMPACTION: u8 = 7;
const KIND_TIMELINE: u8 = 8;
const KIND_RUNS: u8 = 9;

/// What a record changes in the manifest that the next WAL file will open with.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Highest RowId that the transaction inserted, per table.
    Transaction {
        timeline: TimelineId,
        ts: Ts,
        rows: BTreeMap<CollectionId, RowId>,
    },
    Sequence(SequenceEdit),
    NextCollection(CollectionId),
    Flush(FlushEdit),
    RowIds(Vec<(CollectionId, RowId)>),
    Load(LoadEdit),
    Compaction(CompactionEdit),
    Timeline(TimelineEdit),
    Runs(RunsEdit),
}

impl Effect {
    /// The commit's timestamp, if the record is a transaction's.
    pub fn commit_ts(&self) -> Option<Ts> {
        match self {
            Effect::Transaction { ts, .. } => Some(*ts),
            Effect::Runs(edit) => Some(edit.ts),
            _ => None,
        }
    }

    pub fn apply(&self, manifest: &mut Manifest) {
        match self {
            Effect::Transaction { timeline, ts, rows } => {
                manifest.note_commit(*timeline, *ts);
                for (table, row) in rows {
                    manifest.reserve_rows(*table, RowId(row.0.saturating_add(1)));
                }
            }
            Effect::Sequence(edit) => edit.apply(manifest),
            Effect::Timeline(edit) => edit.apply(manifest),
            Effect::NextCollection(id) => {
                manifest.next_collection = manifest.next_collection.max(*id);
            }
            Effect::Flush(edit) => edit.apply(manifest),
            Effect::Load(edit) => edit.apply(manifest),
            Effect::Compaction(edit) => edit.apply(manifest),
            Effect::Runs(edit) => edit.apply(manifest),
            Effect::RowIds(next) => {
                next.iter()
                    .for_each(|(table, row)| manifest.reserve_rows(*table, *row));
            }
        }
    }
}

/// What becomes of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceEdit {
    /// The timeline that shows `state`.
    pub timeline: TimelineId,
    pub id: CollectionId,
    pub state: SequenceState,
    /// Whether all timelines go on from there.
    pub moves: bool,
}

impl SequenceEdit {
    pub fn apply(&self, manifest: &mut Manifest) {
        manifest.set_sequence(self.timeline, self.id, self.state, self.moves);
    }
}

/// A record on its way to the log.
#[derive(Debug)]
pub struct Record {
    pub bytes: Vec<u8>,
    pub effect: Effect,
}

fn start(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[HEADER_BYTES - 1] = kind;
    bytes
}

fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - HEADER_BYTES) as u64;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Builds a transaction's record; its timestamp comes last, at the commit point.
pub struct TransactionRecord {
    timeline: TimelineId,
    bytes: Vec<u8>,
    rows: BTreeMap<CollectionId, RowId>,
}

impl TransactionRecord {
    pub fn new(timeline: TimelineId, size_hint: usize) -> TransactionRecord {
        let mut bytes = start(KIND_TRANSACTION);
        bytes.reserve(size_hint);
        bytes.extend_from_slice(&timeline.0.to_le_bytes());
        bytes.extend_from_slice(&Ts::ZERO.0.to_le_bytes());
        TransactionRecord {
            timeline,
            bytes,
            rows: BTreeMap::new(),
        }
    }

    /// Add a write of a full key.
    pub fn push(&mut self, full: &[u8], kind: WriteKind, value: Option<&[u8]>) -> Result<()> {
        let (collection, key) = split_key(full);
        let length = |n: usize| u32::try_from(n).map_err(|_| Error::RowTooLong { bytes: n });
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(&collection.0.to_le_bytes());
        self.bytes
            .extend_from_slice(&length(key.len())?.to_le_bytes());
        self.bytes.extend_from_slice(key);
        if let Some(value) = value {
            self.bytes
                .extend_from_slice(&length(value.len())?.to_le_bytes());
            self.bytes.extend_from_slice(value);
        }
        if kind == WriteKind::Insert {
            let row = crate::view::row_of(key)?;
            let highest = self.rows.entry(collection).or_default();
            *highest = (*highest).max(row);
        }
        Ok(())
    }

    /// All writes are in; only the timestamp is missing.
    pub fn seal(self) -> SealedTransaction {
        SealedTransaction {
            timeline: self.timeline,
            bytes: finish(self.bytes),
            rows: self.rows,
        }
    }
}

/// A transaction's record, complete but for the timestamp.
pub struct SealedTransaction {
    timeline: TimelineId,
    bytes: Vec<u8>,
    rows: BTreeMap<CollectionId, RowId>,
}

impl SealedTransaction {
    /// Bytes of the record.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn at(mut self, ts: Ts) -> Record {
        self.bytes[TS_AT..TS_AT + 8].copy_from_slice(&ts.0.to_le_bytes());
        Record {
            bytes: self.bytes,
            effect: Effect::Transaction {
                timeline: self.timeline,
                ts,
                rows: self.rows,
            },
        }
    }
}

impl Record {
    pub fn sequence(edit: SequenceEdit) -> Record {
        let mut bytes = start(KIND_SEQUENCE);
        bytes.extend_from_slice(&edit.timeline.0.to_le_bytes());
        bytes.extend_from_slice(&edit.id.0.to_le_bytes());
        bytes.extend_from_slice(&edit.state.value.to_le_bytes());
        bytes.push(u8::from(edit.state.is_called));
        bytes.push(u8::from(edit.moves));
        Record {
            bytes: finish(bytes),
            effect: Effect::Sequence(edit),
        }
    }

    pub fn timeline(edit: TimelineEdit) -> Record {
        let mut bytes = start(KIND_TIMELINE);
        edit.encode(&mut bytes);
        Record {
            bytes: finish(bytes),
            effect: Effect::Timeline(edit),
        }
    }

    pub fn next_collection(id: CollectionId) -> Record {
        let mut bytes = start(KIND_NEXT_COLLECTION);
        bytes.extend_from_slice(&id.0.to_le_bytes());
        Record {
            bytes: finish(bytes),
            effect: Effect::NextCollection(id),
        }
    }

    pub fn row_ids(next: Vec<(CollectionId, RowId)>) -> Record {
        let mut bytes = start(KIND_ROW_IDS);
        for (table, row) in &next {
            bytes.extend_from_slice(&table.0.to_le_bytes());
            bytes.extend_from_slice(&row.0.to_le_bytes());
        }
        Record {
            bytes: finish(bytes),
            effect: Effect::RowIds(next),
        }
    }

    pub fn load(edit: LoadEdit) -> Record {
        let mut bytes = start(KIND_LOAD);
        edit.encode(&mut bytes);
        Record {
            bytes: finish(bytes),
            effect: Effect::Load(edit),
        }
    }

    pub fn runs(edit: RunsEdit) -> Record {
        let mut bytes = start(KIND_RUNS);
        edit.encode(&mut bytes);
        Record {
            bytes: finish(bytes),
            effect: Effect::Runs(edit),
        }
    }

    pub fn compaction(edit: CompactionEdit) -> Record {
        let mut bytes = start(KIND_COMPACTION);
        edit.encode(&mut bytes);
        Record {
            bytes: finish(bytes),
            effect: Effect::Compaction(edit),
        }
    }

    pub fn flush(edit: FlushEdit) -> Record {
        let mut bytes = start(KIND_FLUSH);
        edit.encode(&mut bytes);
        Record {
            bytes: finish(bytes),
            effect: Effect::Flush(edit),
        }
    }
}

/// One write of a logged transaction.
#[derive(Debug, PartialEq, Eq)]
pub struct LoggedWrite<'a> {
    pub kind: WriteKind,
    pub collection: CollectionId,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// A transaction as read from the log: its timestamp, and its writes still encoded.
#[derive(Debug)]
pub struct LoggedTransaction {
    pub timeline: TimelineId,
    pub ts: Ts,
    body: Vec<u8>,
    at: usize,
    pub origin: Origin,
}

/// Where a record was read, for errors.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub file: String,
    /// Of the batch in which the record ends.
    pub offset: u64,
}

impl LoggedTransaction {
    /// Highest RowId that it inserted, per table.
    pub fn rows(&self) -> Result<BTreeMap<CollectionId, RowId>> {
        let mut rows = BTreeMap::new();
        self.writes(|write| {
            if write.kind == WriteKind::Insert {
                let row = crate::view::row_of(write.key)?;
                let highest: &mut RowId = rows.entry(write.collection).or_default();
                *highest = row.max(*highest);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Call `visit` with each write in order.
    pub fn writes(&self, mut visit: impl FnMut(LoggedWrite<'_>) -> Result<()>) -> Result<()> {
        let mut p = Parser::new(&self.body, &self.origin.file, self.origin.offset);
        p.take(self.at, "a transaction's head")?;
        while !p.is_at_end() {
            let kind = WriteKind::from_byte(p.u8("a kind of write")?);
            let kind = kind.ok_or_else(|| p.damaged("a known kind of write"))?;
            let collection = CollectionId(p.u32("a collection")?);
            let length = p.u32("a key's length")? as usize;
            let key = p.take(length, "a key")?;
            let value = match kind.is_put() {
                false => None,
                true => {
                    let length = p.u32("a value's length")? as usize;
                    Some(p.take(length, "a value")?)
                }
            };
            visit(LoggedWrite {
                kind,
                collection,
                key,
                value,
            })?;
        }
        Ok(())
    }
}

/// A record read from the log.
#[derive(Debug)]
pub enum Logged {
    Transaction(LoggedTransaction),
    Sequence(SequenceEdit),
    NextCollection(CollectionId),
    Flush(FlushEdit),
    RowIds(Vec<(CollectionId, RowId)>),
    Load(LoadEdit),
    Compaction(CompactionEdit),
    Timeline(TimelineEdit),
    Runs(RunsEdit),
}

impl Logged {
    /// When it was committed, if it is a commit, a load or a change of timelines. A load's time may be older
    /// than those before.
    pub fn ts(&self) -> Option<Ts> {
        match self {
            Logged::Transaction(transaction) => Some(transaction.ts),
            Logged::Runs(edit) => Some(edit.ts),
            Logged::Load(edit) => Some(edit.last_ts),
            Logged::Timeline(edit) => Some(edit.ts),
            _ => None,
        }
    }

    /// Segments with what the log tells nothing else of.
    pub fn brings(&self) -> &[SegmentEntry] {
        match self {
            Logged::Load(edit) => &edit.segments,
            Logged::Runs(edit) => &edit.segments,
            _ => &[],
        }
    }

    /// What it changes in the manifest.
    pub fn effect(self) -> Result<Effect> {
        Ok(match self {
            Logged::Transaction(transaction) => Effect::Transaction {
                timeline: transaction.timeline,
                ts: transaction.ts,
                rows: transaction.rows()?,
            },
            Logged::Sequence(edit) => Effect::Sequence(edit),
            Logged::Timeline(edit) => Effect::Timeline(edit),
            Logged::NextCollection(id) => Effect::NextCollection(id),
            Logged::Flush(edit) => Effect::Flush(edit),
            Logged::RowIds(next) => Effect::RowIds(next),
            Logged::Load(edit) => Effect::Load(edit),
            Logged::Compaction(edit) => Effect::Compaction(edit),
            Logged::Runs(edit) => Effect::Runs(edit),
        })
    }
}

/// Read the body of a record of `kind`.
pub fn parse(kind: u8, body: Vec<u8>, origin: &Origin) -> Result<Logged> {
    let mut p = Parser::new(&body, &origin.file, origin.offset);
    let logged = match kind {
        KIND_TRANSACTION => {
            let timeline = TimelineId(p.u32("a timeline")?);
            let ts = Ts(p.u64("a timestamp")?);
            let at = p.position();
            let origin = origin.clone();
            return Ok(Logged::Transaction(LoggedTransaction {
                timeline,
                ts,
                body,
                at,
                origin,
            }));
        }
        KIND_SEQUENCE => {
            let timeline = TimelineId(p.u32("a timeline")?);
            let id = CollectionId(p.u32("a sequence")?);
            let value = p.i64("a sequence's value")?;
            let is_called = p.bool("a flag")?;
            Logged::Sequence(SequenceEdit {
                timeline,
                id,
                state: SequenceState { value, is_called },
                moves: p.bool("a flag")?,
            })
        }
        KIND_NEXT_COLLECTION => Logged::NextCollection(CollectionId(p.u32("a collection")?)),
        KIND_FLUSH => Logged::Flush(FlushEdit::parse(&mut p)?),
        KIND_LOAD => Logged::Load(LoadEdit::parse(&mut p)?),
        KIND_TIMELINE => Logged::Timeline(TimelineEdit::parse(&mut p)?),
        KIND_COMPACTION => Logged::Compaction(CompactionEdit::parse(&mut p)?),
        KIND_RUNS => Logged::Runs(RunsEdit::parse(&mut p)?),
        KIND_ROW_IDS => {
            let mut next = Vec::new();
            while !p.is_at_end() {
                let table = CollectionId(p.u32("a table")?);
                next.push((table, RowId(p.u64("a row")?)));
            }
            Logged::RowIds(next)
        }
        _ => return Err(p.damaged("a known kind of record")),
    };
    p.end()?;
    Ok(logged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::full_key;

    fn body(record: &Record) -> (u8, Vec<u8>) {
        let length = u64::from_le_bytes(record.bytes[..8].try_into().unwrap());
        let body = record.bytes[HEADER_BYTES..].to_vec();
        assert_eq!(length as usize, body.len());
        (record.bytes[8], body)
    }

    #[test]
    fn a_transaction_reads_back() {
        let mut record = TransactionRecord::new(TimelineId::MAIN, 0);
        let row = full_key(CollectionId(9), &7u64.to_be_bytes());
        record.push(&row, WriteKind::Insert, Some(b"row")).unwrap();
        record
            .push(&full_key(CollectionId(8), b"k"), WriteKind::Remove, None)
            .unwrap();
        let record = record.seal().at(Ts(55));
        let (kind, body) = body(&record);
        let logged = parse(kind, body, &Origin::default()).unwrap();
        let Logged::Transaction(txn) = logged else {
            panic!("{logged:?}")
        };
        assert_eq!((txn.timeline, txn.ts), (TimelineId::MAIN, Ts(55)));
        let mut seen = Vec::new();
        txn.writes(|w| {
            seen.push((
                w.kind,
                w.collection,
                w.key.to_vec(),
                w.value.map(<[u8]>::to_vec),
            ));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(
            seen[1],
            (WriteKind::Remove, CollectionId(8), b"k".to_vec(), None)
        );

        let mut manifest = Manifest::default();
        record.effect.apply(&mut manifest);
        assert_eq!(manifest.next_rows[&CollectionId(9)], RowId(8));
        assert_eq!(manifest.last_ts, Ts(55));
    }

    #[test]
    fn a_cut_record_is_damage() {
        let state = SequenceState {
            value: -5,
            is_called: true,
        };
        let (kind, body) = body(&Record::sequence(SequenceEdit {
            timeline: TimelineId(7),
            id: CollectionId(3),
            state,
            moves: true,
        }));
        for len in 0..body.len() {
            assert!(parse(kind, body[..len].to_vec(), &Origin::default()).is_err());
        }
        assert!(parse(99, body, &Origin::default()).is_err());
    }
}
