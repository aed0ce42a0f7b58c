//! Random histories: the index answers as a scan does, and a wrong driver does not.
#![allow(clippy::unwrap_used)]

use heliosdb_index_torture::history::{Config, Totals, loaded, run};
use heliosdb_index_torture::{Driver, Host, wrong};
use heliosdb_storage::Engine;

const STEPS: u64 = 100;

fn config(seed: u64) -> Config {
    Config {
        seed,
        steps: STEPS,
        retention: seed % 2 == 1,
    }
}

fn driver_of_the_host(_: &Engine) -> Box<dyn Driver> {
    Box::new(Host)
}

#[test]
fn the_index_answers_as_a_scan_does() {
    let mut sum = Totals::default();
    for seed in 0..4 {
        let totals = run(config(seed), &driver_of_the_host).unwrap();
        sum.commits += totals.commits;
        sum.bulk += totals.bulk;
        sum.transactions += totals.transactions;
        sum.builds += totals.builds;
        sum.catch_ups += totals.catch_ups;
        sum.removals += totals.removals;
        sum.rebuilds += totals.rebuilds;
        sum.branches += totals.branches;
        sum.swaps += totals.swaps;
        sum.merges += totals.merges;
        sum.crashes += totals.crashes;
        sum.interrupted += totals.interrupted;
        sum.compared += totals.compared;
        sum.covered += totals.covered;
        sum.behind += totals.behind;
        sum.forgotten += totals.forgotten;
    }
    println!("{sum:?}");
    let Totals {
        bulk,
        transactions,
        builds,
        catch_ups,
        removals,
        branches,
        swaps,
        merges,
        crashes,
        interrupted,
        ..
    } = sum;
    let all = [
        bulk,
        transactions,
        builds,
        catch_ups,
        removals,
        branches,
        swaps,
        merges,
        crashes,
        interrupted,
    ];
    assert!(all.iter().all(|n| *n > 0), "{sum:?}");
    assert!(
        sum.covered > sum.compared / 2 && sum.behind > sum.compared / 10,
        "{sum:?}"
    );
}

#[test]
fn the_index_of_a_load_knows_its_history() {
    for seed in 0..3 {
        loaded(seed, 600).unwrap();
    }
}

/// Some history finds each bug.
#[test]
fn wrong_drivers_are_found() {
    type Make = fn(&Engine) -> Box<dyn Driver>;
    let bugs: [(&str, Make); 4] = [
        ("skips the unseen", |_| Box::new(wrong::SkipsTheUnseen)),
        ("ignores visibility", |_| Box::new(wrong::IgnoresVisibility)),
        ("forgets own writes", |_| Box::new(wrong::ForgetsOwnWrites)),
        ("publishes the cursor apart", |engine| {
            Box::new(wrong::PublishesTheCursorApart(engine.clone()))
        }),
    ];
    for (bug, driver) in bugs {
        let found = (0..6).find_map(|seed| run(config(seed), &driver).err());
        println!("{bug}: {}", found.as_deref().unwrap_or("not found"));
        assert!(found.is_some(), "{bug}");
    }
}
