//! Workers of a plugin, called on threads of the host and paid from the CPU budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use heliosdb_plugin_api::abi::RootRef;
use heliosdb_plugin_api::{
    Context, Error, Host, Plugin, Registrar, Result, Settings, Turn, root, state,
};
use heliosdb_plugin_host::background::workers::Transactions;
use heliosdb_plugin_host::{NoStatement, State, StatementServices};
use heliosdb_storage::governor::{Caps, Share};

use super::Home;

/// What the transactions of one test count.
#[derive(Default)]
struct Counted {
    committed: AtomicU32,
    failed: AtomicU32,
    uninstalled: AtomicBool,
    cancelled: AtomicBool,
}

impl Transactions for Counted {
    fn is_installed(&self, _: &str) -> bool {
        !self.uninstalled.load(Ordering::SeqCst)
    }

    fn run(&self, work: &mut dyn FnMut(&dyn StatementServices) -> Result<Turn>) -> Result<Turn> {
        let turn = work(&NoStatement);
        let count = match turn.is_ok() {
            true => &self.committed,
            false => &self.failed,
        };
        count.fetch_add(1, Ordering::SeqCst);
        turn
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }
}

fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// Works for three quanta when it is woken.
struct Diligent(Host);

impl Plugin for Diligent {
    const MANIFEST: &'static str = r#"
        id = "diligent"
        version = "1.0.0"
        abi = 1
        services = ["budget/1", "pool/1"]
        [[worker]]
        name = "three"
        share = "incremental_mv"
    "#;

    fn start(host: Host, _: &Settings) -> Result<Diligent> {
        // Nothing is background here, and no worker runs yet.
        assert_eq!(host.budget()?.left_us(), None);
        assert!(host.pool()?.wake("three").is_err());
        assert!(host.budget()?.has("storage").is_err());
        Ok(Diligent(host))
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        let this = Arc::clone(self);
        let quanta = AtomicU32::new(0);
        registrar.worker("three", move |_: &Context<'_>| {
            let budget = this.0.budget()?;
            while !budget.is_used_up() {
                this.0.pool()?.run(2, |_| Ok(()))?;
            }
            match (quanta.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(3) {
                true => Ok(Turn::Done),
                false => Ok(Turn::More),
            }
        })
    }
}

/// Fails, or panics, each time.
struct Faulty<const PANICS: bool>;

impl<const PANICS: bool> Plugin for Faulty<PANICS> {
    const MANIFEST: &'static str = r#"
        id = "faulty"
        version = "1.0.0"
        abi = 1
        [[worker]]
        name = "never"
    "#;

    fn start(_: Host, _: &Settings) -> Result<Self> {
        Ok(Faulty)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.worker("never", |_: &Context<'_>| -> Result<Turn> {
            assert!(!PANICS, "as always");
            Err(Error::new(state::DATA_EXCEPTION, "not today"))
        })
    }
}

fn run(
    root: RootRef,
    test: impl FnOnce(&heliosdb_plugin_host::PluginHost, &heliosdb_storage::Engine, &Arc<Counted>),
) {
    let home = Home::new();
    let (host, engine) = home.boot(&[root]);
    let counted = Arc::new(Counted::default());
    let transactions: Arc<dyn Transactions> = counted.clone();
    host.start_workers(&transactions);
    test(&host, &engine, &counted);
    host.stop_background();
    assert!(counted.cancelled.load(Ordering::SeqCst));
}

#[test]
fn a_worker_works_in_quanta_until_it_is_done_and_again_when_woken() {
    run(root::<Diligent>(), |host, engine, counted| {
        assert_eq!(host.plugin("diligent").unwrap().state, State::Active);
        until(|| counted.committed.load(Ordering::SeqCst) == 3);
        let usage = || engine.governor().usage(Share::IncrementalMv);
        until(|| usage().used_micros >= 15_000);
        // The saved budget is not enough for so much.
        let raised = Caps {
            max_cpu_background: 100,
            incremental_mv_cpu: 100,
            ..Caps::default()
        };
        engine.governor().set_caps(raised).unwrap();
        let workers = host.registry();
        assert_eq!(workers.workers().len(), 1);
        host.wake("diligent", "three").unwrap();
        until(|| counted.committed.load(Ordering::SeqCst) == 6);
        assert_eq!(counted.failed.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_worker_without_a_budget_or_an_extension_waits() {
    let home = Home::new();
    let (host, engine) = home.boot(&[root::<Diligent>()]);
    let none = Caps {
        incremental_mv_cpu: 0,
        ..Caps::default()
    };
    engine.governor().set_caps(none).unwrap();
    let counted = Arc::new(Counted::default());
    counted.uninstalled.store(true, Ordering::SeqCst);
    let transactions: Arc<dyn Transactions> = counted.clone();
    host.start_workers(&transactions);
    until(|| engine.governor().usage(Share::IncrementalMv).waiting == 1);
    engine.governor().set_caps(Caps::default()).unwrap();
    until(|| engine.governor().usage(Share::IncrementalMv).waiting == 0);
    assert_eq!(counted.committed.load(Ordering::SeqCst), 0);
    counted.uninstalled.store(false, Ordering::SeqCst);
    host.wake("diligent", "three").unwrap();
    until(|| counted.committed.load(Ordering::SeqCst) == 3);
    host.stop_background();
}

#[test]
fn a_worker_that_fails_is_tried_again_and_one_that_panics_is_quarantined() {
    run(root::<Faulty<false>>(), |host, _, counted| {
        until(|| counted.failed.load(Ordering::SeqCst) == 1);
        host.wake("faulty", "never").unwrap();
        until(|| counted.failed.load(Ordering::SeqCst) == 2);
        assert_eq!(host.plugin("faulty").unwrap().state, State::Active);
    });
    run(root::<Faulty<true>>(), |host, _, counted| {
        let is_quarantined = || host.plugin("faulty").unwrap().state == State::Quarantined;
        until(|| {
            let _ = host.wake("faulty", "never");
            is_quarantined()
        });
        until(|| counted.failed.load(Ordering::SeqCst) == 3);
    });
}
