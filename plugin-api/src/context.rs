//! [`Context`]: what a call that belongs to a statement may use.

use crate::abi::CallContext;
use crate::error::{state, Error, Result};
use crate::service::{
    granted, Blobs, Catalog, Changes, Host, Sql, Store, Timelines, Undrop, Visible,
};

/// The statement that a call belongs to. Good while the call lasts.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    call: CallContext,
    host: &'a Host,
}

impl<'a> Context<'a> {
    pub(crate) fn new(call: CallContext, host: &'a Host) -> Context<'a> {
        Context { call, host }
    }

    /// Log, clock and memory.
    pub fn host(&self) -> &'a Host {
        self.host
    }

    pub fn is_cancelled(&self) -> bool {
        (self.call.cancelled)(self.call.statement)
    }

    /// For loops: ends the call when the statement was canceled.
    ///
    /// # Errors
    ///
    /// `57014`.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::new(
                state::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }

    /// A store that the manifest declares. It is the statement's, and cannot be kept when the call
    /// is over, not even one with a name that lives for ever:
    ///
    /// ```compile_fail
    /// # use heliosdb_plugin_api::{service::Store, Context, Result};
    /// fn keep(cx: &Context<'_>) -> Result<Store<'static>> {
    ///     cx.store("kept")
    /// }
    /// ```
    ///
    /// ```
    /// # use heliosdb_plugin_api::{service::Store, Context, Result};
    /// fn lend<'a>(cx: &Context<'a>) -> Result<Store<'a>> {
    ///     cx.store("kept")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `42501` when the manifest does not name `store/1`; so with the other services.
    pub fn store<'s>(&self, name: &'s str) -> Result<Store<'s>>
    where
        'a: 's,
    {
        let services = self.host.services();
        let vtable = granted(services.store)?;
        Ok(Store::new(
            services.handle,
            self.call.statement,
            vtable,
            name,
        ))
    }

    pub fn catalog(&self) -> Result<Catalog<'a>> {
        let services = self.host.services();
        let vtable = granted(services.catalog)?;
        Ok(Catalog::new(services.handle, self.call.statement, vtable))
    }

    pub fn sql(&self) -> Result<Sql<'a>> {
        let services = self.host.services();
        let vtable = granted(services.sql)?;
        Ok(Sql::new(services.handle, self.call.statement, vtable))
    }
    /// The blobs in a store that the manifest declares. Like the store, they are the statement's.
    pub fn blobs<'s>(&self, store: &'s str) -> Result<Blobs<'s>>
    where
        'a: 's,
    {
        let services = self.host.services();
        let vtable = granted(services.blob)?;
        Ok(Blobs::new(
            services.handle,
            self.call.statement,
            vtable,
            store,
        ))
    }

    pub fn changes(&self) -> Result<Changes<'a>> {
        let services = self.host.services();
        let vtable = granted(services.changes)?;
        Ok(Changes::new(services.handle, self.call.statement, vtable))
    }

    pub fn visible(&self) -> Result<Visible<'a>> {
        let services = self.host.services();
        let vtable = granted(services.visible)?;
        Ok(Visible::new(services.handle, self.call.statement, vtable))
    }

    pub fn timelines(&self) -> Result<Timelines<'a>> {
        let services = self.host.services();
        let vtable = granted(services.timeline)?;
        Ok(Timelines::new(services.handle, self.call.statement, vtable))
    }

    pub fn undrop(&self) -> Result<Undrop<'a>> {
        let services = self.host.services();
        let vtable = granted(services.undrop)?;
        Ok(Undrop::new(services.handle, self.call.statement, vtable))
    }
}
