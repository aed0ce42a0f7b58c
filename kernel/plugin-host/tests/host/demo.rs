//! The plugin under test, in two versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{Int64Array, StringViewArray};
use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::manifest::AdoptDecl;
use heliosdb_plugin_api::{
    Accumulator, Arguments, Context, Entry, Host, Migrations, Plugin, Registrar, Result, Settings,
    Step, rows,
};

pub struct Demo;

impl Plugin for Demo {
    const MANIFEST: &'static str = r#"
        id = "demo"
        version = "1.0.0"
        abi = 1
        [[function]]
        name = "shout"
        kind = "scalar"
        arguments = ["text"]
        returns = "text"
        volatility = "immutable"
        [[function]]
        name = "total"
        kind = "aggregate"
        arguments = ["bigint"]
        returns = "bigint"
        [[function]]
        name = "upto"
        kind = "table"
        arguments = ["bigint"]
        returns = "TABLE(n bigint)"
        [[store]]
        name = "things"
        version = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<Demo> {
        Ok(Demo)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.scalar("shout", &["text"], |_: &Context<'_>, a: &Arguments| {
            let shouted = (0..a.rows()).map(|row| {
                a[0].text(row).map(|text| {
                    assert_ne!(text, "panic");
                    format!("{}!", text.to_uppercase())
                })
            });
            let shouted: ArrayRef = Arc::new(StringViewArray::from_iter(shouted));
            Ok(shouted)
        })?;
        registrar.aggregate("total", &["bigint"], || -> Result<Box<dyn Accumulator>> {
            Ok(Box::new(Total(0)))
        })?;
        registrar.table("upto", &["bigint"], |_: &Context<'_>, a: &Arguments| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(
                1..=a[0].integer(0).unwrap_or(0),
            ));
            Ok(rows(vec![numbers]))
        })
    }
}

struct Total(i64);

impl Accumulator for Total {
    fn update(&mut self, arguments: &Arguments) -> Result<()> {
        let values = (0..arguments.rows()).filter_map(|row| arguments[0].integer(row));
        self.0 += values.sum::<i64>();
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.0 += i64::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(vec![self.0])))
    }
}

/// The next version, with another format of its store.
pub struct Second;

impl Plugin for Second {
    const MANIFEST: &'static str = r#"
        id = "demo"
        version = "2.0.0"
        abi = 1
        [[store]]
        name = "things"
        version = 2
        [[step]]
        store = "things"
        from = 1
        checksum = "a byte before each value"
    "#;

    fn start(_: Host, _: &Settings) -> Result<Second> {
        Ok(Second)
    }

    fn register(self: &Arc<Self>, _: &mut Registrar) -> Result<()> {
        Ok(())
    }

    fn migrations() -> Migrations {
        Migrations::default().step("things", 1, "a byte before each value", Prefix)
    }
}

/// Takes over the store of [`Demo`] as the first version of its own, which has had two since.
pub struct Heir;

impl Plugin for Heir {
    const MANIFEST: &'static str = r#"
        id = "heir"
        version = "1.0.0"
        abi = 1
        [[store]]
        name = "estate"
        version = 2
        [[step]]
        store = "estate"
        from = 1
        checksum = "a byte before each value"
        [[adopts]]
        plugin = "demo"
        store = "things"
        version = 1
        into = "estate"
        to = 1
        checksum = "as they are"
    "#;

    fn start(_: Host, _: &Settings) -> Result<Heir> {
        Ok(Heir)
    }

    fn register(self: &Arc<Self>, _: &mut Registrar) -> Result<()> {
        Ok(())
    }

    fn migrations() -> Migrations {
        let adopted = AdoptDecl {
            plugin: "demo".to_owned(),
            store: "things".to_owned(),
            version: 1,
            into: "estate".to_owned(),
            to: Some(1),
            checksum: "as they are".to_owned(),
        };
        Migrations::default()
            .step("estate", 1, "a byte before each value", Prefix)
            .adopt(adopted, AsTheyAre)
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

struct Prefix;

impl Step for Prefix {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let prefix = |mut entry: Entry| {
            entry.value.insert(0, 2);
            entry
        };
        Ok(entries.into_iter().map(prefix).collect())
    }

    fn check(&self, _: &Entry) -> Result<()> {
        Ok(())
    }
}

/// Declares a function and registers none.
pub struct Forgetful;

impl Plugin for Forgetful {
    const MANIFEST: &'static str = r#"
        id = "forgetful"
        version = "1.0.0"
        abi = 1
        [[function]]
        name = "f"
        kind = "scalar"
        arguments = []
        returns = "text"
    "#;

    fn start(_: Host, _: &Settings) -> Result<Forgetful> {
        Ok(Forgetful)
    }

    fn register(self: &Arc<Self>, _: &mut Registrar) -> Result<()> {
        Ok(())
    }
}

/// Does not even start.
pub struct Panicking;

impl Plugin for Panicking {
    const MANIFEST: &'static str = r#"
        id = "panicking"
        version = "1.0.0"
        abi = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<Panicking> {
        panic!("no room")
    }

    fn register(self: &Arc<Self>, _: &mut Registrar) -> Result<()> {
        Ok(())
    }
}

/// Counts how often its accumulators are asked for their size.
pub struct Sizes;

pub static SIZES: AtomicUsize = AtomicUsize::new(0);

impl Plugin for Sizes {
    const MANIFEST: &'static str = r#"
        id = "sizes"
        version = "1.0.0"
        abi = 1
        [[function]]
        name = "sized"
        kind = "aggregate"
        arguments = ["bigint"]
        returns = "bigint"
    "#;

    fn start(_: Host, _: &Settings) -> Result<Sizes> {
        Ok(Sizes)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.aggregate("sized", &["bigint"], || -> Result<Box<dyn Accumulator>> {
            Ok(Box::new(Sized(Total(0))))
        })
    }
}

/// As if it kept a byte for each.
struct Sized(Total);

impl Accumulator for Sized {
    fn update(&mut self, arguments: &Arguments) -> Result<()> {
        self.0.update(arguments)
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        self.0.state()
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.0.merge(state)
    }

    fn evaluate(&mut self) -> Result<ArrayRef> {
        self.0.evaluate()
    }

    fn size_bytes(&self) -> usize {
        SIZES.fetch_add(1, Ordering::SeqCst);
        usize::try_from(self.0.0).unwrap()
    }
}
