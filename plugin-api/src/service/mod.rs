//! Services that the host lends: one versioned interface each, asked for by id.
//!
//! A plugin names in its manifest the services it wants and gets no other. Those of a statement
//! ([`Store`], [`Blobs`], [`Catalog`], [`Sql`], [`Changes`], [`Visible`], [`Timelines`], [`Undrop`]) come from the
//! [`Context`](crate::Context) of a call and are good while it lasts; [`Log`], [`Clock`], [`Memory`], [`Budget`] and [`Pool`] come from the [`Host`] and are good
//! until stop.

pub mod blob;
pub mod budget;
pub mod catalog;
pub mod changes;
pub mod pool;
pub mod process;
pub mod sql;
pub mod store;
pub mod timeline;
pub mod undrop;
pub mod visible;

use std::sync::Arc;

pub use blob::{BlobId, BlobV1, Blobs};
pub use budget::{Budget, BudgetV1};
pub use catalog::{Catalog, CatalogV1, Dependent, ObjectInfo};
pub use changes::{ChangeBatches, Changes, ChangesV1, SignedRows, Which};
pub use pool::{Pool, PoolV1};
pub use process::{Clock, ClockV1, Level, Log, LogV1, Memory, MemoryV1, Reservation};
pub use sql::{QueryResult, Sql, SqlV1};
pub use store::{Store, StoreV1};
pub use timeline::{Branch, TimelineV1, Timelines};
pub use undrop::{Undrop, UndropV1};
pub use visible::{Visible, VisibleV1};

use crate::abi::{HostV1, Interface, Published};
use crate::error::{state, Error, Result};

/// Every service there is. A plugin gets those its manifest names.
pub const IDS: [&str; 13] = [
    "store/1",
    "blob/1",
    "catalog/1",
    "sql/1",
    "changes/1",
    "visible/1",
    "timeline/1",
    "undrop/1",
    "log/1",
    "clock/1",
    "memory/1",
    "budget/1",
    "pool/1",
];

/// What a plugin is given at its start, and may keep.
#[derive(Clone)]
pub struct Host(Arc<Services>);

pub(crate) struct Services {
    pub handle: *const (),
    pub store: Option<&'static StoreV1>,
    pub catalog: Option<&'static CatalogV1>,
    pub sql: Option<&'static SqlV1>,
    pub blob: Option<&'static BlobV1>,
    pub changes: Option<&'static ChangesV1>,
    pub visible: Option<&'static VisibleV1>,
    pub timeline: Option<&'static TimelineV1>,
    pub undrop: Option<&'static UndropV1>,
    log: Option<&'static LogV1>,
    clock: Option<&'static ClockV1>,
    memory: Option<&'static MemoryV1>,
    budget: Option<&'static BudgetV1>,
    pool: Option<&'static PoolV1>,
}

// The handle is only ever given back to the host, whose services any thread may call.
unsafe impl Send for Services {}
unsafe impl Sync for Services {}

impl Host {
    /// Fetches and checks every service that the host grants.
    pub(crate) fn new(host: HostV1) -> Result<Host> {
        Ok(Host(Arc::new(Services {
            handle: host.handle,
            store: fetch(&host)?,
            catalog: fetch(&host)?,
            sql: fetch(&host)?,
            blob: fetch(&host)?,
            changes: fetch(&host)?,
            visible: fetch(&host)?,
            timeline: fetch(&host)?,
            undrop: fetch(&host)?,
            log: fetch(&host)?,
            clock: fetch(&host)?,
            memory: fetch(&host)?,
            budget: fetch(&host)?,
            pool: fetch(&host)?,
        })))
    }

    pub(crate) fn services(&self) -> &Services {
        &self.0
    }

    /// # Errors
    ///
    /// `42501` when the manifest does not name `log/1`; so with the others.
    pub fn log(&self) -> Result<Log<'_>> {
        let vtable = granted(self.0.log)?;
        Ok(Log::new(self.0.handle, vtable))
    }

    pub fn clock(&self) -> Result<Clock<'_>> {
        let vtable = granted(self.0.clock)?;
        Ok(Clock::new(self.0.handle, vtable))
    }

    pub fn memory(&self) -> Result<Memory<'_>> {
        let vtable = granted(self.0.memory)?;
        Ok(Memory::new(self.0.handle, vtable))
    }

    pub fn budget(&self) -> Result<Budget<'_>> {
        let vtable = granted(self.0.budget)?;
        Ok(Budget::new(self.0.handle, vtable))
    }

    pub fn pool(&self) -> Result<Pool<'_>> {
        let vtable = granted(self.0.pool)?;
        Ok(Pool::new(self.0.handle, vtable))
    }
}

fn fetch<V: Published>(host: &HostV1) -> Result<Option<&'static V>> {
    let interface: Option<Interface> = (host.service)(host.handle, V::ID.into()).into_option();
    let vtable = interface.map(|i| i.get::<V>()).transpose();
    vtable.map_err(|why| Error::contract(why).with_hint("Build the plugin for this host."))
}

/// The vtable, or the error of a plugin that did not ask for it in its manifest.
pub(crate) fn granted<V: Published>(vtable: Option<&'static V>) -> Result<&'static V> {
    vtable.ok_or_else(|| {
        Error::new(
            state::INSUFFICIENT_PRIVILEGE,
            format!("the plugin may not use the service {}", V::ID),
        )
        .with_hint(format!(
            "Name \"{}\" under services in its manifest.",
            V::ID
        ))
    })
}
