//! The hash lock of the plugin interface: `abi.lock` holds the layout of everything that crosses.
//!
//! A draft may change: `HELIOS_BLESS=1 cargo test -p heliosdb-plugin-api --test abi_lock` writes it
//! anew. What the lock calls frozen can never be written anew: plugins in use were built with it, and
//! a new ability is a new id.

mod abi_lock {
    pub mod describe;
}

use std::fmt::Write as _;
use std::path::PathBuf;

use abi_stable::type_layout::TypeLayout;
use abi_stable::StableAbi;
use heliosdb_plugin_api::abi::{Published, RootRef};
use heliosdb_plugin_api::extension::{self, Maturity};
use heliosdb_plugin_api::service;

use abi_lock::describe::describe;

/// One interface in the lock.
#[derive(Clone, Debug, PartialEq)]
struct Locked {
    id: String,
    maturity: String,
    text: String,
}

/// What this build publishes, in the order in which a host meets it.
fn published() -> Vec<Locked> {
    use extension::{clause, codec, command, constraint, event, function, index, lifecycle};
    use extension::{migration, observer, operator, testing, types, worker};
    use service::{blob, budget, catalog, changes, pool, process, sql, store};
    use service::{timeline, undrop, visible};
    fn of<V: Published>() -> (&'static str, &'static TypeLayout) {
        (V::ID, V::LAYOUT)
    }
    let all = [
        ("root", RootRef::LAYOUT),
        of::<lifecycle::LifecycleV1>(),
        of::<function::FunctionV1>(),
        of::<types::TypeV1>(),
        of::<operator::OperatorV1>(),
        of::<clause::ClauseV1>(),
        of::<command::CommandV1>(),
        of::<constraint::ConstraintV1>(),
        of::<codec::CodecV1>(),
        of::<index::IndexV1>(),
        of::<migration::MigrationV1>(),
        of::<event::EventV1>(),
        of::<observer::ObserverV1>(),
        of::<worker::WorkerV1>(),
        of::<testing::TestingV1>(),
        of::<store::StoreV1>(),
        of::<blob::BlobV1>(),
        of::<catalog::CatalogV1>(),
        of::<sql::SqlV1>(),
        of::<changes::ChangesV1>(),
        of::<visible::VisibleV1>(),
        of::<timeline::TimelineV1>(),
        of::<undrop::UndropV1>(),
        of::<process::LogV1>(),
        of::<process::ClockV1>(),
        of::<process::MemoryV1>(),
        of::<budget::BudgetV1>(),
        of::<pool::PoolV1>(),
    ];
    let locked = |(id, layout): (&str, &'static TypeLayout)| Locked {
        id: id.to_owned(),
        maturity: maturity(id).to_owned(),
        text: describe(layout),
    };
    all.into_iter().map(locked).collect()
}

fn maturity(id: &str) -> &'static str {
    let listed = extension::IDS.iter().find(|(listed, _)| *listed == id);
    match (id, listed) {
        ("root", _) | (_, Some((_, Maturity::Frozen))) => "frozen",
        _ => "draft",
    }
}

#[test]
fn every_published_interface_is_as_locked() {
    let published = published();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("abi.lock");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let locked = read(&text);
    let bless = std::env::var_os("HELIOS_BLESS").is_some();
    let problems = compare(&locked, &published, bless);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    let current = write(&published);
    if bless && text != current {
        std::fs::write(&path, current).expect("the lock is written");
    } else {
        assert!(text == current, "abi.lock was edited by hand");
    }
}

#[test]
fn all_ids_are_locked() {
    let published = published();
    let ids = extension::IDS.iter().map(|(id, _)| *id);
    for id in ids.chain(service::IDS) {
        assert!(published.iter().any(|p| p.id == id), "{id}");
    }
}

/// docs/abi.md lists what is published, as what it is.
#[test]
fn all_ids_are_documented() {
    let document = include_str!("../../docs/abi.md");
    for Locked { id, maturity, .. } in published().iter().filter(|p| p.id != "root") {
        let name = format!("`{id}`");
        let row = document
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&name));
        assert!(row.is_some_and(|row| row.contains(maturity)), "{id}");
    }
}

/// abi_stable refuses a plugin whose types come from another major version of this package.
#[test]
fn the_package_keeps_its_major_version() {
    assert_eq!(env!("CARGO_PKG_VERSION_MAJOR"), "1");
}

#[test]
fn a_frozen_interface_cannot_be_blessed_and_a_draft_can() {
    let of = |maturity: &str, text: &str| {
        vec![Locked {
            id: "a/1".to_owned(),
            maturity: maturity.to_owned(),
            text: text.to_owned(),
        }]
    };
    let refused =
        |locked: &[Locked], now: &[Locked], bless| !compare(locked, now, bless).is_empty();
    assert!(refused(&of("draft", "x\n"), &of("draft", "y\n"), false));
    assert!(!refused(&of("draft", "x\n"), &of("draft", "y\n"), true));
    assert!(!refused(&of("draft", "x\n"), &of("frozen", "x\n"), true));
    assert!(refused(&of("frozen", "x\n"), &of("frozen", "y\n"), true));
    assert!(refused(&of("frozen", "x\n"), &of("draft", "x\n"), true));
    assert!(refused(&of("frozen", "x\n"), &[], true));
}

/// What the lock forbids, one line each.
fn compare(locked: &[Locked], published: &[Locked], bless: bool) -> Vec<String> {
    let mut problems = Vec::new();
    for old in locked {
        let new = published.iter().find(|new| new.id == old.id);
        if new == Some(old) {
            continue;
        }
        if old.maturity == "frozen" {
            problems.push(format!(
                "{} is frozen and cannot change; publish the next number beside it{}",
                old.id,
                first_difference(old, new)
            ));
        } else if !bless {
            problems.push(format!(
                "{} differs from abi.lock; it is a draft: HELIOS_BLESS=1 locks it anew{}",
                old.id,
                first_difference(old, new)
            ));
        }
    }
    let is_new = |new: &&Locked| !locked.iter().any(|old| old.id == new.id);
    for new in published.iter().filter(is_new) {
        if !bless {
            problems.push(format!("{} is not in abi.lock: HELIOS_BLESS=1", new.id));
        }
    }
    problems
}

fn first_difference(old: &Locked, new: Option<&Locked>) -> String {
    let Some(new) = new else {
        return "\n    it is gone".to_owned();
    };
    let lines = new.text.lines().chain(std::iter::repeat(""));
    match old.text.lines().zip(lines).find(|(old, new)| old != new) {
        Some((old, new)) => format!("\n  - {old}\n  + {new}"),
        None => format!("\n    it was {} and is {}", old.maturity, new.maturity),
    }
}

const HEAD: &str = "\
# The layout of everything that crosses the plugin border, as tests/abi_lock.rs derives it.
# A frozen entry never changes. Not to be edited by hand.
";

fn write(all: &[Locked]) -> String {
    let mut text = HEAD.to_owned();
    for Locked {
        id,
        maturity,
        text: layout,
    } in all
    {
        let _ = write!(text, "\n== {id} {maturity} {:032x}\n{layout}", fnv(layout));
    }
    text
}

fn read(text: &str) -> Vec<Locked> {
    let sections = text.split("\n== ").skip(1);
    let section = |section: &str| {
        let (head, layout) = section.split_once('\n').expect("a section has a head line");
        let mut words = head.split(' ').map(str::to_owned);
        let mut word = || words.next().expect("id, maturity and hash");
        let (id, maturity, hash) = (word(), word(), word());
        // The blank line before the next head belongs to it.
        assert_eq!(hash, format!("{:032x}", fnv(layout)), "the hash of {id}");
        Locked {
            id,
            maturity,
            text: layout.to_owned(),
        }
    };
    sections.map(section).collect()
}

/// FNV-1a of 128 bits: it names a text, it does not protect one.
fn fnv(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mix = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    text.bytes().fold(OFFSET, mix)
}
