//! Storage's own catalog: the [`TableDef`]s, as versioned rows of collection 0.
//!
//! Being ordinary versions, they are logged, flushed, rolled back and read AS OF like any row. The
//! key is the table's collection id, big-endian; the value:
//!
//! ```text
//! magic u8 = 'T' │ version u8 = 1 │ columns u16 │ column … │ indexes u16 │ index … │ computed u16 │ computed …
//! │ retention
//! column: type │ flags u8 (1 dropped, 2 has a codec, 4 free) │
//!         missing u32 length + bytes, length u32::MAX when there is none │
//!         codec: u8 length, name; only when the flag is set
//! type:   tag u8 │ numeric(p,s): p u8, s i8 │ array: the item's type
//! index:  id u32 │ unique u8 │ columns u16 │ { column u16 │ descending u8 │ nulls_first u8 } …
//!         │ predicate u16, u16::MAX when there is none
//! computed: type │ inputs u16 │ { column u16 } … │ condition u16, u16::MAX when there is none │
//!         expression: u32 length, UTF-8
//! retention: kind u8 (0 the database's, 1 for ever, 2 so long) │ microseconds u64, of kind 2 only
//! ```
//!
//! Integers are little-endian. Trailing bytes are damage. Definitions before version 1 began with a number
//! from 0 to 3 in the place of the magic.

use std::sync::Arc;

use crate::codec::CODEC_NAME_BYTES_MAX;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId};
use crate::parse::Parser;
use crate::schema::{
    ColumnDef, ColumnType, ComputedColumn, IndexDef, KeyColumn, Retention, TableDef,
};

/// The collection that holds table definitions.
pub const CATALOG: CollectionId = CollectionId(0);
/// Collections below this id have fixed meanings; `allocate_collection_id` starts here.
pub const FIRST_COLLECTION: CollectionId = CollectionId(1024);

const MAGIC: u8 = b'T';
const VERSION: u8 = 1;
/// What is there in the place of the magic before version 1, and what such a definition is called.
const DRAFTS: std::ops::RangeInclusive<u8> = 0..=3;
const DRAFT: u32 = 0;
const RETENTION_OF_DATABASE: u8 = 0;
const RETENTION_FOREVER: u8 = 1;
const RETENTION_MICROS: u8 = 2;
const DROPPED: u8 = 1;
const HAS_CODEC: u8 = 2;
const FREE: u8 = 4;
const NO_MISSING: u32 = u32::MAX;
const NO_COLUMN: u16 = u16::MAX;
const NESTING_MAX: usize = 8;

/// The key of a table's definition.
pub fn catalog_key(table: CollectionId) -> [u8; 4] {
    table.0.to_be_bytes()
}

/// The table whose definition has this key.
pub fn table_of(key: &[u8]) -> Result<CollectionId> {
    match key.try_into() {
        Ok(id) => Ok(CollectionId(u32::from_be_bytes(id))),
        Err(_) => Err(Error::corruption(
            "the key of a table",
            0,
            "4 bytes",
            key.len(),
        )),
    }
}

fn type_tag(ty: &ColumnType) -> u8 {
    match ty {
        ColumnType::Bool => 0,
        ColumnType::Int16 => 1,
        ColumnType::Int32 => 2,
        ColumnType::Int64 => 3,
        ColumnType::Float32 => 4,
        ColumnType::Float64 => 5,
        ColumnType::Decimal { .. } => 6,
        ColumnType::Numeric => 7,
        ColumnType::Date => 8,
        ColumnType::Time => 9,
        ColumnType::Timestamp => 10,
        ColumnType::TimestampTz => 11,
        ColumnType::Interval => 12,
        ColumnType::Text => 13,
        ColumnType::Bytea => 14,
        ColumnType::Jsonb => 15,
        ColumnType::Uuid => 16,
        ColumnType::Oid => 17,
        ColumnType::Array(_) => 18,
        ColumnType::Json => 19,
    }
}

fn encode_type(ty: &ColumnType, out: &mut Vec<u8>) {
    out.push(type_tag(ty));
    match ty {
        ColumnType::Decimal { precision, scale } => {
            out.push(*precision);
            out.extend_from_slice(&scale.to_le_bytes());
        }
        ColumnType::Array(item) => encode_type(item, out),
        _ => {}
    }
}

fn count(what: &str, n: usize) -> Result<u16> {
    u16::try_from(n).map_err(|_| Error::invalid(format!("a table with {n} {what}")))
}

/// The stored form of a definition.
pub fn encode_table(def: &TableDef) -> Result<Vec<u8>> {
    let mut out = vec![MAGIC, VERSION];
    out.extend_from_slice(&count("columns", def.columns.len())?.to_le_bytes());
    for column in &def.columns {
        encode_type(&column.ty, &mut out);
        let dropped = if column.dropped { DROPPED } else { 0 };
        let has_codec = column.compression.as_ref().map_or(0, |_| HAS_CODEC);
        let free = if column.free { FREE } else { 0 };
        out.push(dropped | has_codec | free);
        match &column.missing {
            None => out.extend_from_slice(&NO_MISSING.to_le_bytes()),
            Some(bytes) => {
                let len = u32::try_from(bytes.len())
                    .ok()
                    .filter(|&len| len != NO_MISSING);
                let len = len.ok_or(Error::RowTooLong { bytes: bytes.len() })?;
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
        if let Some(codec) = &column.compression {
            if codec.is_empty() || codec.len() > CODEC_NAME_BYTES_MAX {
                return Err(Error::invalid(format!(
                    "invalid name of a codec: \"{codec}\""
                )));
            }
            out.push(codec.len() as u8);
            out.extend_from_slice(codec.as_bytes());
        }
    }
    out.extend_from_slice(&count("indexes", def.indexes.len())?.to_le_bytes());
    for index in &def.indexes {
        out.extend_from_slice(&index.id.0.to_le_bytes());
        out.push(u8::from(index.unique));
        out.extend_from_slice(&count("key columns", index.columns.len())?.to_le_bytes());
        for column in &index.columns {
            out.extend_from_slice(&column.column.0.to_le_bytes());
            out.push(u8::from(column.descending));
            out.push(u8::from(column.nulls_first));
        }
        let predicate = index.predicate.map_or(NO_COLUMN, |column| column.0);
        out.extend_from_slice(&predicate.to_le_bytes());
    }
    out.extend_from_slice(&count("computed columns", def.computed.len())?.to_le_bytes());
    for computed in &def.computed {
        encode_type(&computed.ty, &mut out);
        out.extend_from_slice(&count("inputs", computed.inputs.len())?.to_le_bytes());
        for input in &computed.inputs {
            out.extend_from_slice(&input.0.to_le_bytes());
        }
        let condition = computed.condition.map_or(NO_COLUMN, |column| column.0);
        out.extend_from_slice(&condition.to_le_bytes());
        let len = u32::try_from(computed.expression.len());
        let len = len.map_err(|_| Error::invalid("an expression of 4 GiB"))?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(computed.expression.as_bytes());
    }
    match def.retention {
        None => out.push(RETENTION_OF_DATABASE),
        Some(Retention::Forever) => out.push(RETENTION_FOREVER),
        Some(Retention::Micros(micros)) => {
            out.push(RETENTION_MICROS);
            out.extend_from_slice(&micros.to_le_bytes());
        }
    }
    Ok(out)
}

fn parse_type(p: &mut Parser<'_>, depth: usize) -> Result<ColumnType> {
    Ok(match p.u8("a column type")? {
        0 => ColumnType::Bool,
        1 => ColumnType::Int16,
        2 => ColumnType::Int32,
        3 => ColumnType::Int64,
        4 => ColumnType::Float32,
        5 => ColumnType::Float64,
        6 => ColumnType::Decimal {
            precision: p.u8("a precision")?,
            scale: p.u8("a scale")? as i8,
        },
        7 => ColumnType::Numeric,
        8 => ColumnType::Date,
        9 => ColumnType::Time,
        10 => ColumnType::Timestamp,
        11 => ColumnType::TimestampTz,
        12 => ColumnType::Interval,
        13 => ColumnType::Text,
        14 => ColumnType::Bytea,
        15 => ColumnType::Jsonb,
        16 => ColumnType::Uuid,
        17 => ColumnType::Oid,
        18 if depth < NESTING_MAX => ColumnType::Array(Box::new(parse_type(p, depth + 1)?)),
        19 => ColumnType::Json,
        _ => return Err(p.damaged("a known column type")),
    })
}

fn parse_codec(p: &mut Parser<'_>) -> Result<Arc<str>> {
    let len = p.u8("the length of a codec's name")?;
    let name = p.take(len.into(), "a codec's name")?;
    match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() => Ok(Arc::from(name)),
        _ => Err(p.damaged("the name of a codec")),
    }
}

fn parse_computed(p: &mut Parser<'_>) -> Result<ComputedColumn> {
    let ty = parse_type(p, 0)?;
    let mut inputs = Vec::new();
    for _ in 0..p.u16("a number of inputs")? {
        inputs.push(ColumnId(p.u16("an input")?));
    }
    let condition = Some(p.u16("a condition")?).filter(|id| *id != NO_COLUMN);
    let len = p.u32("the length of an expression")?;
    let expression = std::str::from_utf8(p.take(len as usize, "an expression")?);
    Ok(ComputedColumn {
        ty,
        inputs,
        condition: condition.map(ColumnId),
        expression: expression.map_err(|_| p.damaged("an expression"))?.into(),
    })
}

/// Read the stored form of table `id`.
pub fn decode_table(id: CollectionId, bytes: &[u8]) -> Result<TableDef> {
    let name = format!("definition of table {id}");
    let mut p = Parser::new(bytes, &name, 0);
    let version = match p.u8("a magic")? {
        MAGIC => p.u8("a version")?.into(),
        draft if DRAFTS.contains(&draft) => DRAFT,
        _ => return Err(p.damaged("the magic of a definition")),
    };
    if version != u32::from(VERSION) {
        return Err(Error::UnsupportedVersion {
            file: name,
            found: version,
            supported: VERSION.into(),
        });
    }
    let mut columns = Vec::new();
    for _ in 0..p.u16("a number of columns")? {
        let ty = parse_type(&mut p, 0)?;
        let flags = p.u8("a flag")?;
        if flags & !(DROPPED | HAS_CODEC | FREE) != 0 {
            return Err(p.damaged("known flags"));
        }
        let missing = match p.u32("the length of a missing value")? {
            NO_MISSING => None,
            len => Some(Arc::from(p.take(len as usize, "a missing value")?)),
        };
        columns.push(ColumnDef {
            ty,
            missing,
            dropped: flags & DROPPED != 0,
            free: flags & FREE != 0,
            compression: match flags & HAS_CODEC {
                0 => None,
                _ => Some(parse_codec(&mut p)?),
            },
        });
    }
    let mut indexes = Vec::new();
    for _ in 0..p.u16("a number of indexes")? {
        let id = CollectionId(p.u32("an index id")?);
        let unique = p.bool("a flag")?;
        let mut keys = Vec::new();
        for _ in 0..p.u16("a number of key columns")? {
            let column = ColumnId(p.u16("a key column")?);
            let descending = p.bool("a flag")?;
            keys.push(KeyColumn {
                column,
                descending,
                nulls_first: p.bool("a flag")?,
            });
        }
        let predicate = Some(p.u16("a predicate")?).filter(|id| *id != NO_COLUMN);
        indexes.push(IndexDef {
            id,
            columns: keys,
            unique,
            predicate: predicate.map(ColumnId),
        });
    }
    let mut computed = Vec::new();
    for _ in 0..p.u16("a number of computed columns")? {
        computed.push(parse_computed(&mut p)?);
    }
    let retention = match p.u8("a kind of retention")? {
        RETENTION_OF_DATABASE => None,
        RETENTION_FOREVER => Some(Retention::Forever),
        RETENTION_MICROS => Some(Retention::Micros(p.u64("a retention")?)),
        _ => return Err(p.damaged("a kind of retention")),
    };
    p.end()?;
    Ok(TableDef {
        id,
        columns,
        computed,
        retention,
        indexes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn def() -> TableDef {
        let column = |ty, missing: Option<&[u8]>, dropped| ColumnDef {
            missing: missing.map(Arc::from),
            dropped,
            ..ColumnDef::new(ty)
        };
        TableDef {
            id: CollectionId(2000),
            columns: vec![
                column(ColumnType::Int64, None, false),
                column(
                    ColumnType::Decimal {
                        precision: 12,
                        scale: -2,
                    },
                    Some(b"xyz"),
                    true,
                ),
                column(
                    ColumnType::Array(Box::new(ColumnType::Text)),
                    Some(b""),
                    false,
                ),
            ],
            indexes: vec![IndexDef {
                id: CollectionId(2001),
                columns: vec![KeyColumn {
                    column: ColumnId(2),
                    descending: true,
                    nulls_first: false,
                }],
                unique: true,
                predicate: None,
            }],
            computed: Vec::new(),
            retention: None,
        }
    }

    fn with_retention(retention: Retention) -> TableDef {
        TableDef {
            retention: Some(retention),
            ..with_computed()
        }
    }

    fn with_computed() -> TableDef {
        let mut def = with_codec();
        let computed = |ty, expression: &str| ComputedColumn {
            ty,
            condition: None,
            inputs: vec![ColumnId(0), ColumnId(2)],
            expression: expression.into(),
        };
        def.computed = vec![
            computed(ColumnType::Text, "lower(c2[1])"),
            computed(ColumnType::Bool, "c0 > 5"),
        ];
        def.computed[0].condition = Some(ColumnId::computed(1));
        def.indexes[0].columns[0].column = ColumnId::computed(0);
        def.indexes[0].predicate = Some(ColumnId::computed(1));
        def
    }

    fn with_codec() -> TableDef {
        let mut def = def();
        def.columns[1].compression = Some("rle".into());
        def
    }

    #[test]
    fn a_definition_survives_the_round_trip() {
        let bytes = encode_table(&def()).unwrap();
        assert_eq!(bytes[..2], [b'T', 1]);
        assert_eq!(decode_table(CollectionId(2000), &bytes).unwrap(), def());
        let retentions = [
            Retention::Forever,
            Retention::Micros(0),
            Retention::Micros(5),
        ];
        let with_retentions = retentions.map(with_retention);
        for def in [with_codec(), with_computed()]
            .into_iter()
            .chain(with_retentions)
        {
            let bytes = encode_table(&def).unwrap();
            assert_eq!(decode_table(CollectionId(2000), &bytes).unwrap(), def);
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode_table(&def()).unwrap();
        let mut refused = |front: [u8; 2]| {
            bytes[..2].copy_from_slice(&front);
            decode_table(CollectionId(2000), &bytes).unwrap_err()
        };
        // Those to come, and those before.
        for (front, version) in [([b'T', 2], 2), ([0, 0], 0), ([3, 0], 0)] {
            let expected = format!(
                "\"definition of table 2000\" has format version {version}; this build reads version 1"
            );
            assert_eq!(refused(front).to_string(), expected);
        }
        assert!(matches!(refused([b'U', 1]), Error::Corruption { .. }));
    }

    #[test]
    fn a_codec_without_a_name_or_with_too_long_a_one_is_refused() {
        for name in [String::new(), "x".repeat(256)] {
            let mut def = def();
            def.columns[0].compression = Some(name.into());
            assert!(encode_table(&def).is_err());
        }
    }

    #[test]
    fn a_cut_or_longer_definition_is_damage() {
        for def in [
            def(),
            with_codec(),
            with_computed(),
            with_retention(Retention::Micros(9)),
        ] {
            let mut bytes = encode_table(&def).unwrap();
            for len in 0..bytes.len() {
                assert!(
                    decode_table(CollectionId(2000), &bytes[..len]).is_err(),
                    "{len}"
                );
            }
            bytes.push(0);
            assert!(decode_table(CollectionId(2000), &bytes).is_err());
        }
    }
}
