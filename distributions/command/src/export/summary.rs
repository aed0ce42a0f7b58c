//! What was exported, in a few lines.

use std::io::{self, Write};

use heliosdb_kernel::dump::Manifest;

use super::output::Written;
use crate::output::print;
use crate::progress::grouped;

/// On standard output, or on stderr when the dump went there.
///
/// # Errors
///
/// Nobody reads standard output; the dump is complete.
pub fn say(written: &Written, manifest: &Manifest) -> Result<(), String> {
    match written {
        Written::File { path, bytes } => {
            let file = format!("{}: {} bytes", path.display(), grouped(*bytes));
            print(&format!("{file}, {}", text(manifest)))
        }
        Written::Standard => {
            // The dump went well, whether or not somebody reads this.
            let _ = io::stderr().write_all(text(manifest).as_bytes());
            Ok(())
        }
    }
}

/// Says on stderr which branches there are that the dump is without. A server says so itself.
pub fn warn(program: &str, manifest: &Manifest) {
    if let Some(some) = manifest.branches_left_out() {
        let _ = writeln!(
            io::stderr(),
            "{program}: warning: the dump is without {some}; --include-branches takes them along"
        );
    }
}

fn text(manifest: &Manifest) -> String {
    let superseded: u64 = manifest.tables.iter().map(|table| table.superseded).sum();
    let named = manifest.tables.iter().filter(|table| table.name.is_some());
    let mut text = format!(
        "database {} of edition {} as of SCN {}\n",
        manifest.database, manifest.edition, manifest.snapshot_ts
    );
    text += &format!(
        "  {} with {}, {}; {}; {}\n",
        counted(named.count() as u64, "table"),
        counted(manifest.rows(), "row"),
        counted(superseded, "earlier version"),
        counted(manifest.objects.len() as u64, "object"),
        counted(manifest.stores.len() as u64, "plugin store"),
    );
    let (tags, branches): (Vec<_>, Vec<_>) = manifest.branches().iter().partition(|b| b.tag);
    if !manifest.branches().is_empty() {
        text += &format!(
            "  {}, {}\n",
            match branches.len() {
                1 => "1 branch".to_owned(),
                n => format!("{n} branches"),
            },
            counted(tags.len() as u64, "tag")
        );
    }
    text += &format!("  included: {}\n", manifest.included.join(", "));
    for left in &manifest.left_out {
        text += &format!("  left out: {} ({})\n", left.what, left.why);
    }
    text
}

/// `1 row`, `2 rows`.
fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}
