//! The names of sections.
//!
//! ```text
//! catalog                              entries: all system collections
//! store/<plugin>/<name>@<version>      entries: a plugin's live store
//! table/<collection>                   rows: current
//! history/<collection>                 rows: superseded; left out when there is none
//! config                               text: the configuration file
//! ```

use heliosdb_storage::view::RowVersions;

use super::FrameKind;
use crate::manifest::StoreManifest;

pub(crate) const CATALOG: &str = "catalog";
pub(crate) const CONFIG: &str = "config";

/// The section of a table's rows.
pub(crate) fn rows(table: u32, which: RowVersions) -> String {
    match which {
        RowVersions::Current => format!("table/{table}"),
        RowVersions::Superseded => format!("history/{table}"),
    }
}

/// The section of a store's entries.
pub(crate) fn store(store: &StoreManifest) -> String {
    format!("store/{}", store.label())
}

/// The kind of the frames in a section; `None` when no section has such a name.
pub(crate) fn kind(name: &str) -> Option<FrameKind> {
    match name.split_once('/') {
        None if name == CATALOG => Some(FrameKind::Entries),
        None if name == CONFIG => Some(FrameKind::Text),
        Some(("store", _)) => Some(FrameKind::Entries),
        Some(("table" | "history", _)) => Some(FrameKind::Rows),
        _ => None,
    }
}
