//! The names of sections.
//!
//! ```text
//! catalog                              entries: all system collections
//! store/<plugin>/<name>@<version>      entries: a plugin's live store
//! table/<collection>                   rows: current
//! history/<collection>                 rows: superseded; left out when there is none
//! branch/<id>/catalog                  entries: what a branch wrote to system collections and stores
//! branch/<id>/table/<collection>       rows: current ones that the branch wrote
//! branch/<id>/history/<collection>     rows: superseded ones that the branch wrote
//! branch/<id>/removed/<collection>     rows: those of above that the branch deleted
//! config                               text: the configuration file
//! ```
//!
//! A section of a branch is left out when there is nothing in it.

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
        RowVersions::Removed => format!("removed/{table}"),
    }
}

/// The section of what a branch wrote to system collections and stores.
pub(crate) fn branch_catalog(branch: u32) -> String {
    format!("branch/{branch}/{CATALOG}")
}

/// The section of a table's rows on a branch.
pub(crate) fn branch_rows(branch: u32, table: u32, which: RowVersions) -> String {
    format!("branch/{branch}/{}", rows(table, which))
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
        Some(("branch", rest)) => match rest.split_once('/')?.1 {
            CATALOG => Some(FrameKind::Entries),
            rest => match rest.split_once('/')? {
                ("table" | "history" | "removed", _) => Some(FrameKind::Rows),
                _ => None,
            },
        },
        _ => None,
    }
}
