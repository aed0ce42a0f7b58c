//! `migration/1`: the steps of a plugin's stores. They run before any instance starts.

use abi_stable::std_types::{RString, RVec};
use abi_stable::StableAbi;

use super::registered;
use crate::abi::value::{entries_in, entries_out, AbiEntry, AbiResult};
use crate::abi::Published;
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::plugin::Plugin;

/// A store's entries at a version, kept with the plugin for ever: every later build must still lead
/// them to the present.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiFixture {
    pub store: RString,
    pub version: u32,
    pub entries: RVec<AbiEntry>,
}

/// The vtable of `migration/1`. `index` counts the steps, or the adoptions, as
/// [`Plugin::migrations`] lists them.
#[repr(C)]
#[derive(StableAbi)]
pub struct MigrationV1 {
    /// The steps and adoptions as JSON of [`Provides`](crate::manifest::Provides).
    pub declared: extern "C" fn() -> AbiResult<RString>,
    /// Entries of the old version, in the order of their keys, as entries of the new one.
    pub migrate: extern "C" fn(index: u32, entries: RVec<AbiEntry>) -> AbiResult<RVec<AbiEntry>>,
    /// Whether an entry of the new version is sound.
    pub check: extern "C" fn(index: u32, entry: AbiEntry) -> AbiResult<()>,
    /// Entries of another plugin's store as entries of this one's.
    pub adopt: extern "C" fn(index: u32, entries: RVec<AbiEntry>) -> AbiResult<RVec<AbiEntry>>,
    pub check_adopted: extern "C" fn(index: u32, entry: AbiEntry) -> AbiResult<()>,
    pub fixtures: extern "C" fn() -> AbiResult<RVec<AbiFixture>>,
}

unsafe impl Published for MigrationV1 {
    const ID: &'static str = "migration/1";
}

/// The vtable for one plugin type.
pub(crate) struct MigrationOf<P>(std::marker::PhantomData<P>);

impl<P: Plugin> MigrationOf<P> {
    pub const VTABLE: &'static MigrationV1 = &MigrationV1 {
        declared: declared::<P>,
        migrate: migrate::<P>,
        check: check::<P>,
        adopt: adopt::<P>,
        check_adopted: check_adopted::<P>,
        fixtures: fixtures::<P>,
    };
}

extern "C" fn declared<P: Plugin>() -> AbiResult<RString> {
    guarded("migration/1.declared", || {
        let text = serde_json::to_string(&P::migrations().provides())
            .map_err(|e| Error::internal(e.to_string()))?;
        Ok(text.into())
    })
}

extern "C" fn migrate<P: Plugin>(index: u32, entries: RVec<AbiEntry>) -> AbiResult<RVec<AbiEntry>> {
    guarded("migration/1.migrate", || {
        let migrations = P::migrations();
        let (_, step) = registered(&migrations.steps, index, "step")?;
        Ok(entries_out(step.migrate(entries_in(entries))?))
    })
}

extern "C" fn check<P: Plugin>(index: u32, entry: AbiEntry) -> AbiResult<()> {
    guarded("migration/1.check", || -> Result<()> {
        let migrations = P::migrations();
        let (_, step) = registered(&migrations.steps, index, "step")?;
        step.check(&entry.into())
    })
}

extern "C" fn adopt<P: Plugin>(index: u32, entries: RVec<AbiEntry>) -> AbiResult<RVec<AbiEntry>> {
    guarded("migration/1.adopt", || {
        let migrations = P::migrations();
        let (_, step) = registered(&migrations.adopts, index, "adoption")?;
        Ok(entries_out(step.migrate(entries_in(entries))?))
    })
}

extern "C" fn check_adopted<P: Plugin>(index: u32, entry: AbiEntry) -> AbiResult<()> {
    guarded("migration/1.check_adopted", || -> Result<()> {
        let migrations = P::migrations();
        let (_, step) = registered(&migrations.adopts, index, "adoption")?;
        step.check(&entry.into())
    })
}

extern "C" fn fixtures<P: Plugin>() -> AbiResult<RVec<AbiFixture>> {
    guarded("migration/1.fixtures", || {
        let fixtures = P::migrations().fixtures.into_iter();
        Ok(fixtures
            .map(|fixture| AbiFixture {
                store: fixture.store.into(),
                version: fixture.version,
                entries: entries_out(fixture.entries),
            })
            .collect())
    })
}
