//! The one view that a dump is made of.
//!
//! Everything in a dump is read from one view of what was committed: sessions go on writing, and nothing
//! they commit after it is in the dump. `heliosdb_dump` waits until all of the view is durable before it
//! writes. The view pins memtables and segments and nothing else, so an export takes no lock and nobody
//! waits for it.

use std::io::Write;
use std::sync::Arc;

use heliosdb_dump::{Described, ExportOptions, Manifest, Progress};
use heliosdb_storage::{Engine, ReadView};

use crate::error::Result;
use crate::instance::Instance;

/// All that an export needs. It holds no session and no instance, so a thread may outlive both.
pub(super) struct Source {
    engine: Engine,
    view: ReadView,
    described: Described,
}

impl Source {
    pub fn new(instance: &Arc<Instance>, options: &ExportOptions) -> Result<Source> {
        let engine = instance.engine().clone();
        let view = engine.visible_view();
        let config = instance.config_text().filter(|_| options.config);
        let described = instance.describe(&view, instance.edition(), config.map(str::to_owned))?;
        Ok(Source {
            engine,
            view,
            described,
        })
    }

    pub fn write(
        self,
        out: &mut dyn Write,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Manifest> {
        let manifest = heliosdb_dump::export(
            &self.engine,
            &self.view,
            self.described,
            out,
            options,
            progress,
        )?;
        Ok(manifest)
    }
}

impl Instance {
    /// Writes a dump of everything that is committed now; what it says of itself. Others may go on
    /// writing, and what they commit from now on is not in it.
    pub fn export(
        self: &Arc<Self>,
        out: &mut dyn Write,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Manifest> {
        Source::new(self, options)?.write(out, options, progress)
    }
}
