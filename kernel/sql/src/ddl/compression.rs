//! COMPRESSION: how the pages of a column are to be stored from now on.
//!
//! ```text
//! CREATE TABLE t (c type COMPRESSION method …)      ALTER TABLE t ADD c type COMPRESSION method
//! ALTER TABLE t ALTER c SET COMPRESSION method      ALTER TABLE t SET COMPRESSION method
//! ```
//!
//! The last one sets it for every column whose type the method takes. A method is `default`, `none`,
//! `zstd` or a codec of a plugin. What is stored already stays as it is, and is read as it was
//! written: a column without its codec's plugin is written without the codec.

use std::sync::Arc;

use heliosdb_plugin_host::NameKind;
use heliosdb_plugin_host::active::codec::Codec;
use heliosdb_storage::codec;

use super::put;
use crate::catalog::model::{Column, Compression, Oid};
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::types::names::{format_type, parse_type_name};

/// What storage does when a column asks for nothing.
const DEFAULT: &str = "default";

/// A method that may be asked for.
enum Method {
    /// One that takes any type; `None` is the default.
    Any(Option<Compression>),
    Codec(Arc<Codec>),
}

impl Method {
    fn takes(&self, column: &Column) -> bool {
        let Method::Codec(codec) = self else {
            return true;
        };
        let ty = column.ty();
        // A codec is given Arrow arrays: what is stored the same way it takes as well.
        codec.declared.types.iter().any(|name| {
            name == "any"
                || parse_type_name(name).is_ok_and(|(t, _)| t == ty || t.arrow() == ty.arrow())
        })
    }

    fn compression(&self) -> Option<Compression> {
        match self {
            Method::Any(compression) => compression.clone(),
            Method::Codec(codec) => Some(Compression::Codec {
                plugin: codec.plugin().to_string(),
                name: codec.declared.name.clone(),
            }),
        }
    }
}

impl Session {
    /// Sets the method of one column, or of all that it takes.
    pub(crate) fn set_compression(
        &mut self,
        table: Oid,
        column: Option<&str>,
        method: &str,
    ) -> Result<()> {
        let found = self.compression_method(method)?;
        let (_, mut table) = self.table_now(table)?;
        let refuse = |column: &Column| {
            let ty = format_type(&column.ty(), column.typmod);
            SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                format!("column data type {ty} does not support compression method \"{method}\""),
            )
        };
        let mut places = Vec::new();
        match column {
            Some(name) => {
                let (id, column) = table.column(name).ok_or_else(|| {
                    SqlError::new(
                        state::UNDEFINED_COLUMN,
                        format!(
                            "column \"{name}\" of relation \"{}\" does not exist",
                            table.name
                        ),
                    )
                })?;
                if !found.takes(column) {
                    return Err(refuse(column));
                }
                places.push(usize::from(id.0));
            }
            None => {
                let taken = table.live_columns().filter(|(_, c)| found.takes(c));
                places.extend(taken.map(|(id, _)| usize::from(id.0)));
                if let (true, Some((_, first))) = (places.is_empty(), table.live_columns().next()) {
                    return Err(refuse(first));
                }
            }
        }
        for place in places {
            table.columns[place].compression = found.compression();
        }
        let oid = table.oid;
        let catalog = self.change_catalog(vec![put!(Table, table)])?;
        self.define_storage(&catalog, oid)
    }

    fn compression_method(&mut self, method: &str) -> Result<Method> {
        match method {
            DEFAULT => return Ok(Method::Any(None)),
            codec::NONE => return Ok(Method::Any(Some(Compression::None))),
            codec::ZSTD => return Ok(Method::Any(Some(Compression::Zstd))),
            _ => {}
        }
        let registry = self.instance.plugins().registry();
        if let Some(claimed) = registry.claimed(NameKind::Codec, method) {
            self.check_usable(&claimed.plugin, &format!("codec {method}"))?;
            if let Some(codec) = registry.codec(method) {
                return Ok(Method::Codec(codec.clone()));
            }
        }
        let mut known = vec![DEFAULT, codec::NONE, codec::ZSTD];
        known.extend(registry.codecs().map(|c| c.declared.name.as_str()));
        Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("invalid compression method \"{method}\""),
        )
        .with_hint(format!("Compression methods are {}.", known.join(", "))))
    }
}
