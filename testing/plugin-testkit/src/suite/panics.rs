//! A panic in any entry comes back as an error, and the instance still stops.
//!
//! Panics are injected before the body of an entry, so its arguments need not make sense. A plugin
//! whose build has no `testing/1` passes: it was not made with the kit of this interface.

use std::collections::BTreeMap;

use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::{AbiEntry, AbiResult};
use heliosdb_plugin_api::abi::{RSlice, RStr, RVec};
use heliosdb_plugin_api::extension::clause::AbiTarget;
use heliosdb_plugin_api::extension::constraint::AbiConstraint;
use heliosdb_plugin_api::extension::index::{AbiIndex, AbiSearch};
use heliosdb_plugin_api::manifest::FunctionKind;
use heliosdb_plugin_api::service::catalog::AbiObject;

use super::{Outcome, Suite, ensure};
use crate::host::Statement;
use crate::plugin::{Loaded, Started};

pub fn check(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let Some(testing) = loaded.testing else {
        return Ok(());
    };
    let armed = Armed {
        panic_in: testing.panic_in,
    };
    in_start(suite, &loaded, &armed)?;
    without_instance(&loaded, &armed)?;
    let plugin = suite.started()?;
    functions(&plugin, &armed)?;
    types(&plugin, &armed)?;
    declarations(&plugin, &armed)?;
    codecs(&plugin, &armed)?;
    indexes(&plugin, &armed)?;
    in_stop(plugin, &armed)
}

struct Armed {
    panic_in: extern "C" fn(RStr<'_>),
}

impl Armed {
    /// The entry must panic when it is called, and say so.
    fn expect<T>(&self, entry: &str, call: impl FnOnce() -> AbiResult<T>) -> Outcome {
        let result = self.inside(entry, call).into_result();
        match result {
            Err(error) if error.panicked => Ok(()),
            Err(error) => Err(format!(
                "a panic in {entry} came back as: {}",
                error.message
            )),
            Ok(_) => Err(format!("a panic in {entry} did not come back")),
        }
    }

    fn inside<R>(&self, entry: &str, call: impl FnOnce() -> R) -> R {
        (self.panic_in)(entry.into());
        let result = call();
        (self.panic_in)("".into());
        result
    }
}

fn in_start(suite: &Suite, loaded: &Loaded, armed: &Armed) -> Outcome {
    let host = suite.host(loaded);
    for entry in ["lifecycle/1.start", "lifecycle/1.registered"] {
        let started = armed.inside(entry, || loaded.start(&host, &BTreeMap::new()));
        ensure(started.is_err_and(|e| e.panicked), || {
            format!("a panic in {entry} did not come back")
        })?;
    }
    // It did no harm.
    suite.started().map(|_| ())
}

fn in_stop(mut plugin: Started, armed: &Armed) -> Outcome {
    let stop = plugin.loaded.lifecycle.stop;
    let instance = plugin.instance;
    armed.expect("lifecycle/1.stop", || stop(instance))?;
    // The injected panic came before the body, so the instance is still there.
    plugin
        .end()
        .map_err(|e| format!("stop after panics in every entry: {e}"))
}

fn without_instance(loaded: &Loaded, armed: &Armed) -> Outcome {
    let Some(m) = loaded.migration else {
        return Ok(());
    };
    let entry = || AbiEntry {
        key: RVec::new(),
        value: RVec::new(),
    };
    armed.expect("migration/1.declared", || (m.declared)())?;
    armed.expect("migration/1.fixtures", || (m.fixtures)())?;
    armed.expect("migration/1.migrate", || (m.migrate)(0, RVec::new()))?;
    armed.expect("migration/1.check", || (m.check)(0, entry()))?;
    armed.expect("migration/1.adopt", || (m.adopt)(0, RVec::new()))?;
    armed.expect("migration/1.check_adopted", || {
        (m.check_adopted)(0, entry())
    })
}

fn functions(plugin: &Started, armed: &Armed) -> Outcome {
    let Some(f) = plugin.loaded.function else {
        return Ok(());
    };
    let statement = Statement::new();
    let (this, cx) = (plugin.instance, statement.context());
    let result = &mut AbiColumn::empty();
    armed.expect("function/1.call", || {
        (f.call)(this, 0, cx, RVec::new(), 0, result)
    })?;
    armed.expect("function/1.accumulator", || (f.accumulator)(this, 0))?;
    armed.expect("function/1.open", || (f.open)(this, 0, cx, RVec::new()))?;
    let place = |kind| {
        let functions = &plugin.provides.functions;
        functions.iter().position(|d| d.kind == kind)
    };
    if let Some(index) = place(FunctionKind::Aggregate) {
        let raw = (f.accumulator)(this, index as u32).into_result();
        let raw = raw.map_err(|e| format!("accumulator: {}", e.message))?;
        armed.expect("function/1.update", || (f.update)(raw, RVec::new(), 0))?;
        armed.expect("function/1.state", || (f.state)(raw))?;
        armed.expect("function/1.merge", || (f.merge)(raw, RSlice::EMPTY))?;
        armed.expect("function/1.evaluate", || (f.evaluate)(raw, result))?;
        let size = armed.inside("function/1.size_bytes", || (f.size_bytes)(raw));
        ensure(size == 0, || {
            "size_bytes panicked and gave a size".to_owned()
        })?;
        armed.inside("function/1.release", || (f.release)(raw));
        (f.release)(raw);
    }
    if place(FunctionKind::Table).is_some() {
        // The panic comes before the cursor is looked at.
        let (nobody, rows) = (std::ptr::null_mut(), &mut 0);
        armed.expect("function/1.next", || (f.next)(nobody, cx, rows))?;
        armed.inside("function/1.close", || (f.close)(nobody));
    }
    Ok(())
}

fn column() -> Result<AbiColumn, String> {
    let empty = arrow_array::new_empty_array(&arrow_schema::DataType::Int32);
    AbiColumn::export(&empty, false).map_err(|e| e.to_string())
}

fn types(plugin: &Started, armed: &Armed) -> Outcome {
    let Some(t) = plugin.loaded.types else {
        return Ok(());
    };
    let this = plugin.instance;
    let result = &mut AbiColumn::empty();
    let (a, b, c, d) = (column()?, column()?, column()?, column()?);
    armed.expect("type/1.parse", || (t.parse)(this, 0, a, -1, result))?;
    armed.expect("type/1.format", || (t.format)(this, 0, b, result))?;
    armed.expect("type/1.receive", || (t.receive)(this, 0, c, -1, result))?;
    armed.expect("type/1.send", || (t.send)(this, 0, d, result))?;
    armed.expect("type/1.typmod", || (t.typmod)(this, 0, RSlice::EMPTY))
}

fn declarations(plugin: &Started, armed: &Armed) -> Outcome {
    let statement = Statement::new();
    let (this, cx) = (plugin.instance, statement.context());
    if let Some(clause) = plugin.loaded.clause {
        let target = AbiTarget {
            schema: "s".into(),
            table: "t".into(),
            column: None.into(),
            column_type: None.into(),
        };
        armed.expect("clause/1.apply", || {
            (clause.apply)(this, 0, cx, target, RSlice::EMPTY)
        })?;
    }
    if let Some(command) = plugin.loaded.command {
        armed.expect("command/1.run", || (command.run)(this, 0, cx, "".into()))?;
    }
    if let Some(constraint) = plugin.loaded.constraint {
        let definition = AbiConstraint {
            name: "c".into(),
            schema: "s".into(),
            table: "t".into(),
            columns: RSlice::EMPTY,
            options: "".into(),
        };
        armed.expect("constraint/1.check", || {
            (constraint.check)(this, 0, cx, definition, RVec::new(), 0)
        })?;
    }
    let object = || AbiObject {
        oid: 1,
        plugin: "p".into(),
        class: "c".into(),
        schema: "s".into(),
        name: "n".into(),
        owner: "o".into(),
    };
    if let Some(observer) = plugin.loaded.observer {
        armed.expect("observer/1.changed", || {
            (observer.changed)(this, 0, cx, "".into(), RVec::new())
        })?;
        armed.expect("observer/1.dropped", || {
            (observer.dropped)(this, 0, cx, object())
        })?;
    }
    if let Some(worker) = plugin.loaded.worker {
        armed.expect("worker/1.run", || (worker.run)(this, 0, cx))?;
    }
    if let Some(event) = plugin.loaded.event {
        armed.expect("event/1.dropped", || (event.dropped)(this, cx, object()))?;
        armed.expect("event/1.renamed", || {
            (event.renamed)(this, cx, object(), "old".into())
        })?;
    }
    if let Some(operator) = plugin.loaded.operator {
        armed.expect("operator/1.operators", || (operator.operators)(this))?;
        armed.expect("operator/1.classes", || (operator.classes)(this))?;
    }
    Ok(())
}

fn codecs(plugin: &Started, armed: &Armed) -> Outcome {
    let Some(c) = plugin.loaded.codec else {
        return Ok(());
    };
    let this = plugin.instance;
    let result = &mut AbiColumn::empty();
    let (block, other, like, like_slice, constant) =
        (column()?, column()?, column()?, column()?, column()?);
    let bytes = RSlice::EMPTY;
    armed.expect("codec/1.analyze", || (c.analyze)(this, 0, block))?;
    armed.expect("codec/1.encode", || (c.encode)(this, 0, other))?;
    armed.expect("codec/1.decode", || {
        (c.decode)(this, 0, bytes, like, 0, result)
    })?;
    armed.expect("codec/1.decode_slice", || {
        (c.decode_slice)(this, 0, bytes, like_slice, 0, 0, 0, result)
    })?;
    armed.expect("codec/1.filter", || {
        (c.filter)(this, 0, bytes, 0, 1, constant, result)
    })
}

fn indexes(plugin: &Started, armed: &Armed) -> Outcome {
    let Some(i) = plugin.loaded.index else {
        return Ok(());
    };
    let statement = Statement::new();
    let (this, cx, none) = (plugin.instance, statement.context(), RSlice::EMPTY);
    let of = AbiIndex {
        oid: 1,
        table: 2,
        columns: RSlice::EMPTY,
        options: "{}".into(),
    };
    let search = AbiSearch {
        query: none,
        stats: none,
        k: None.into(),
    };
    let null = std::ptr::null_mut();
    let (result, count) = (&mut AbiColumn::empty(), &mut 0);
    armed.expect("index/1.build", || (i.build)(this, 0, cx, of))?;
    armed.expect("index/1.add", || (i.add)(null, cx, RVec::new()))?;
    armed.expect("index/1.finish", || (i.finish)(null, cx))?;
    armed.inside("index/1.release", || (i.release)(null));
    armed.expect("index/1.apply", || (i.apply)(this, 0, cx, of, RVec::new()))?;
    armed.expect("index/1.vacuum", || (i.vacuum)(this, 0, cx, of, 0))?;
    armed.expect("index/1.stats", || (i.stats)(this, 0, cx, of, none))?;
    armed.expect("index/1.stats_of", || {
        (i.stats_of)(this, 0, of, none, RVec::new(), 0)
    })?;
    armed.expect("index/1.merge_stats", || {
        (i.merge_stats)(this, 0, none, none)
    })?;
    armed.expect("index/1.open", || (i.open)(this, 0, cx, of, search))?;
    armed.expect("index/1.next", || (i.next)(null, cx, count))?;
    armed.inside("index/1.close", || (i.close)(null));
    armed.expect("index/1.evaluate", || {
        (i.evaluate)(this, 0, of, search, RVec::new(), 0, result)
    })?;
    armed.expect("index/1.cost", || (i.cost)(this, 0, cx, of, none))?;
    armed.expect("index/1.size_bytes", || (i.size_bytes)(this, 0, cx, of))?;
    armed.expect("index/1.check", || (i.check)(this, 0, cx, of))
}
