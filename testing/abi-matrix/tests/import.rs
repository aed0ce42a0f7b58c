//! Plugins that an import meets: stores that go up and are taken over, and every way in which that may
//! fail. What fails leaves nothing.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use heliosdb_kernel::dump::report::{Report, StoreOutcome, StoreReport, Verdict};
use heliosdb_kernel::dump::{
    self, ExportOptions, ImportError, ImportOptions, Silent, VerifyOptions,
};
use heliosdb_kernel::{Config, Database, RootRef};
use heliosdb_plugin_api::manifest::AdoptDecl;
use heliosdb_plugin_api::{
    Entry, Error, Host, Migrations, Plugin, Registrar, Result, Settings, Step, root,
};
use heliosdb_plugin_host::store;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options};

const STEP: &str = "a mark before each value";
const ADOPTION: &str = "as they are";

/// A plugin of one store, in some version, that gets there by these migrations.
macro_rules! plugin {
    ($(#[$doc:meta])* $name:ident, $manifest:expr, $start:expr, $migrations:expr) => {
        $(#[$doc])*
        struct $name;

        impl Plugin for $name {
            const MANIFEST: &'static str = $manifest;

            fn start(_: Host, _: &Settings) -> Result<$name> {
                $start
            }

            fn register(self: &Arc<Self>, _: &mut Registrar) -> Result<()> {
                Ok(())
            }

            fn migrations() -> Migrations {
                $migrations
            }
        }
    };
}

macro_rules! keeper {
    ($version:literal, $rest:literal) => {
        concat!(
            "id = \"keeper\"\nversion = \"",
            $version,
            ".0.0\"\nabi = 1\n[[store]]\nname = \"things\"\nversion = ",
            $version,
            "\n",
            $rest
        )
    };
}

const FIRST: &str = keeper!("1", "");
const SECOND: &str = keeper!(
    "2",
    "[[step]]\nstore = \"things\"\nfrom = 1\nchecksum = \"a mark before each value\"\n"
);
const THIRD: &str = keeper!(
    "3",
    "[[step]]\nstore = \"things\"\nfrom = 2\nchecksum = \"another mark\"\n"
);
const HEIR: &str = "id = \"heir\"\nversion = \"1.0.0\"\nabi = 1\n\
    requires = [{ plugin = \"keeper\" }]\n[[store]]\nname = \"estate\"\nversion = 1\n\
    [[adopts]]\nplugin = \"keeper\"\nstore = \"things\"\nversion = 2\ninto = \"estate\"\n\
    to = 1\nchecksum = \"as they are\"\n";

plugin!(
    /// In Lite.
    KeeperOne, FIRST, Ok(KeeperOne), Migrations::default()
);
plugin!(
    /// In Full.
    KeeperTwo,
    SECOND,
    Ok(KeeperTwo),
    Migrations::default().step("things", 1, STEP, Mark)
);
plugin!(
    /// Its step gives up.
    KeeperGivesUp,
    SECOND,
    Ok(KeeperGivesUp),
    Migrations::default().step("things", 1, STEP, GiveUp)
);
plugin!(
    /// Its step makes entries that it does not accept itself.
    KeeperRefuses,
    SECOND,
    Ok(KeeperRefuses),
    Migrations::default().step("things", 1, STEP, Refuse)
);
plugin!(
    /// It migrates well, and then does not start.
    KeeperPanics,
    SECOND,
    panic!("not today"),
    Migrations::default().step("things", 1, STEP, Mark)
);
plugin!(
    /// It has forgotten version 1.
    KeeperThree,
    THIRD,
    Ok(KeeperThree),
    Migrations::default().step("things", 2, "another mark", Mark)
);
plugin!(
    /// Takes over what the keeper of Full has.
    Heir,
    HEIR,
    Ok(Heir),
    Migrations::default().adopt(adoption(), AsTheyAre)
);
plugin!(
    /// Its adoption gives up.
    HeirGivesUp,
    HEIR,
    Ok(HeirGivesUp),
    Migrations::default().adopt(adoption(), GiveUp)
);

fn adoption() -> AdoptDecl {
    AdoptDecl {
        plugin: "keeper".to_owned(),
        store: "things".to_owned(),
        version: 2,
        into: "estate".to_owned(),
        to: Some(1),
        checksum: ADOPTION.to_owned(),
    }
}

struct Mark;

impl Step for Mark {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let marked = entries.into_iter().map(|mut entry| {
            entry.value.insert(0, b'!');
            entry
        });
        Ok(marked.collect())
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        match entry.value.first() {
            Some(b'!') => Ok(()),
            _ => Err(Error::internal("it has no mark")),
        }
    }
}

struct AsTheyAre;

impl Step for AsTheyAre {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        Ok(entries)
    }

    fn check(&self, _: &Entry) -> Result<()> {
        Ok(())
    }
}

struct GiveUp;

impl Step for GiveUp {
    fn migrate(&self, _: Vec<Entry>) -> Result<Vec<Entry>> {
        Err(Error::internal("too many to count"))
    }

    fn check(&self, _: &Entry) -> Result<()> {
        Ok(())
    }
}

struct Refuse;

impl Step for Refuse {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        Ok(entries)
    }

    fn check(&self, _: &Entry) -> Result<()> {
        Err(Error::internal("not one of mine"))
    }
}

/// A directory with the dump of a database whose keeper keeps three things.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place::kept_by(root::<KeeperOne>())
    }

    fn kept_by(keeper: RootRef) -> Place {
        let place = Place {
            directory: tempfile::tempdir().unwrap(),
        };
        let open =
            || Database::open_bundle(place.path("lite"), &Config::default(), &[keeper]).unwrap();
        open().close().unwrap();
        place.keep("lite", &["one", "two", "three"]);
        let db = open();
        let mut out = File::create(place.path("dump")).unwrap();
        db.export(&mut out, &ExportOptions::default(), &Silent)
            .unwrap();
        db.close().unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the keeper writes in a statement, it writes here without one.
    fn keep(&self, name: &str, things: &[&str]) {
        let disk = Arc::new(Disk::open(self.path(name)).unwrap());
        let engine = Engine::open(disk, Options::default()).unwrap();
        let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        let info = store::find(&engine.latest_view(), "keeper", "things");
        let info = info.unwrap().unwrap();
        for thing in things {
            store::put(&mut tx, &info, thing.as_bytes(), b"!").unwrap();
        }
        tx.commit(Durability::Synchronous).unwrap();
        engine.close().unwrap();
    }

    fn import(&self, linked: &[RootRef]) -> Result<Report, ImportError> {
        let options = ImportOptions::new(linked, "full");
        dump::import(&self.path("dump"), &self.path("full"), &options, &Silent)
    }

    fn verify(&self, linked: &[RootRef]) -> Report {
        let options = VerifyOptions::new(linked, "full");
        dump::verify(&self.path("dump"), &self.path("full"), &options, &Silent).unwrap()
    }

    /// The import fails, leaves nothing, and says all of this.
    fn fails(&self, linked: &[RootRef], said: &[&str]) -> ImportError {
        let error = self.import(linked).map(drop).unwrap_err();
        assert!(!self.path("full").exists(), "{error}");
        let text = error.explain();
        for part in said {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        error
    }
}

fn store_of<'a>(report: &'a Report, name: &str) -> &'a StoreReport {
    report.stores.iter().find(|s| s.store == name).unwrap()
}

#[test]
fn a_store_goes_up_and_is_taken_over() {
    let place = Place::new();
    let linked = [root::<KeeperTwo>(), root::<Heir>()];
    let report = place.import(&linked).unwrap();
    let things = store_of(&report, "things");
    assert_eq!(things.outcome, StoreOutcome::Migrated);
    assert_eq!(things.from.as_deref(), Some("keeper.things@1"));
    assert_eq!((things.to_version, things.entries), (Some(2), 3));
    assert_eq!(things.steps, [format!("1 → 2: {STEP}")]);
    let estate = store_of(&report, "estate");
    assert_eq!(estate.outcome, StoreOutcome::Adopted);
    assert_eq!(estate.from.as_deref(), Some("keeper.things@2"));
    assert_eq!(estate.digest_before, things.digest);
    assert!(
        report
            .to_html()
            .contains("keeper.things@2 → 1: as they are")
    );

    let report = place.verify(&linked);
    assert!(report.is_equal(), "{}", report.to_text());
    let judged = report.checks.iter().find(|c| c.name == "keeper.things");
    assert!(judged.unwrap().details[0].contains("accepts 3 entries of version 2"));

    // What the keeper writes from now on is a change of today.
    place.keep("full", &["four"]);
    let report = place.verify(&linked);
    let things = store_of(&report, "things");
    assert_eq!(things.verdict, Verdict::ChangedSince);
    assert_eq!(store_of(&report, "estate").verdict, Verdict::Equal);
    assert!(!report.is_equal());
}

/// A comparison migrates nothing, so it has no answer while plugins wait for it.
#[test]
fn a_comparison_does_not_migrate() {
    let place = Place::new();
    place.import(&[root::<KeeperOne>()]).unwrap();
    let linked = [root::<KeeperTwo>(), root::<Heir>()];
    let options = VerifyOptions::new(&linked, "full");
    for _ in 0..2 {
        let compared = dump::verify(&place.path("dump"), &place.path("full"), &options, &Silent);
        let error = compared.map(drop).unwrap_err();
        assert!(matches!(error, ImportError::Pending(_)), "{error}");
        let said = error.explain();
        assert!(
            said.contains("store things: goes from version 1 to 2"),
            "{said}"
        );
    }
    // It is as it was.
    let report = place.verify(&[root::<KeeperOne>()]);
    assert!(report.is_equal(), "{}", report.to_text());
    let things = store_of(&report, "things");
    assert_eq!(
        (things.outcome, things.to_version),
        (StoreOutcome::Kept, Some(1))
    );
}

#[test]
fn a_step_that_gives_up_leaves_nothing() {
    let place = Place::new();
    let failed = ["did not start", "keeper", "too many to count"];
    let error = place.fails(&[root::<KeeperGivesUp>()], &failed);
    assert!(matches!(error, ImportError::NotStarted(_)));
    place.fails(&[root::<KeeperRefuses>()], &["not one of mine"]);
    place.import(&[root::<KeeperTwo>()]).unwrap();
}

#[test]
fn an_adoption_that_gives_up_leaves_nothing() {
    let place = Place::new();
    let linked = [root::<KeeperTwo>(), root::<HeirGivesUp>()];
    place.fails(&linked, &["plugin \"heir\"", "too many to count"]);
}

#[test]
fn a_plugin_that_panics_after_its_migration_leaves_nothing() {
    let place = Place::new();
    let linked = [root::<KeeperPanics>(), root::<Heir>()];
    let both = ["not today", "it requires \"keeper\", which did not start"];
    place.fails(&linked, &both);
}

/// Without loading any of them: manifests say enough.
#[test]
fn versions_that_do_not_meet_are_refused_at_once() {
    let place = Place::new();
    let error = place.fails(
        &[root::<KeeperThree>(), root::<Heir>()],
        &[
            "the step from version 1 is missing",
            "store heir.estate adopts keeper.things at version 2, which is at version 1",
        ],
    );
    assert!(matches!(error, ImportError::Plugins(_)));
    let place = Place::kept_by(root::<KeeperTwo>());
    let newer = "store keeper.things is at version 2, and plugin version 1.0.0 knows only up to";
    place.fails(&[root::<KeeperOne>()], &[newer]);
}

#[test]
fn a_plugin_that_is_switched_off_is_not_there() {
    let place = Place::new();
    let settings = place.path("off.toml");
    std::fs::write(&settings, "[plugins.keeper]\nactivation = \"off\"\n").unwrap();
    let linked = [root::<KeeperTwo>()];
    let import = |keep_orphans| {
        let options = ImportOptions {
            config: Some(&settings),
            keep_orphans,
            ..ImportOptions::new(&linked, "full")
        };
        dump::import(&place.path("dump"), &place.path("full"), &options, &Silent)
    };
    let refused = import(false).map(drop).unwrap_err().explain();
    assert!(refused.contains("it is switched off"), "{refused}");
    // Its state waits as it is, and goes up when the database is opened with the plugin on.
    let report = import(true).unwrap();
    assert_eq!(store_of(&report, "things").outcome, StoreOutcome::Orphaned);
    let options = VerifyOptions::new(&linked, "full");
    let compared = dump::verify(&place.path("dump"), &place.path("full"), &options, &Silent);
    let error = compared.map(drop).unwrap_err();
    assert!(matches!(error, ImportError::Pending(_)), "{error}");
    let on = Config::default();
    let full = Database::open_edition(place.path("full"), &on, &linked, "full").unwrap();
    full.close().unwrap();
    let report = place.verify(&linked);
    assert_eq!(store_of(&report, "things").outcome, StoreOutcome::Migrated);
    assert!(report.is_equal(), "{}", report.to_text());
}
