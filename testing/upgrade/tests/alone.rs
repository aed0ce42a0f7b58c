//! The comparison itself: a database that was only closed and opened again answers as before, and any
//! change shows.

use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::Ts;
use heliosdb_upgrade::edition::{self, Edition};
use heliosdb_upgrade::generate::{Generated, generate};
use heliosdb_upgrade::{ask, past, plant};

const SEEDS: u64 = 4;

#[test]
fn a_change_shows_and_nothing_else_does() {
    let seeds = std::env::var("HELIOSDB_UPGRADE_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |text| text.parse().expect("a number of seeds"));
    for seed in 1001..=1000 + seeds {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let made = generate(seed, path).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let Generated {
            mut sql,
            model,
            times,
        } = made;
        let questions = ask::everything(sql.connection()).expect("questions");
        let before = ask::answers(sql.connection(), &questions);
        edition::close(sql.into_connection()).expect("it closes");

        let read_past = || {
            let engine = past::open(path).expect("an engine");
            let last = *times.last().unwrap_or(&Ts::MAX);
            let moment = |ts: &Ts| past::moment(&engine, *ts, last).expect("a moment");
            let moments: Vec<past::Moment> = times.iter().map(moment).collect();
            engine.close().expect("it closes");
            moments
        };
        let past_before = read_past();

        let mut again = Edition::Lite.open(path).expect("a database");
        let after = ask::answers(&mut again, &questions);
        let differences = ask::differences(&questions, &before, &after);
        // Sequences run ahead in the log, so that some of their numbers are lost at a restart.
        let differences: Vec<&String> = differences
            .iter()
            .filter(|line| !line.contains("pg_sequences") && !line.contains("last_value"))
            .collect();
        assert!(differences.is_empty(), "seed {seed}: {differences:#?}");

        let planted = plant::plant(&mut again, &model, &mut Rng::new(seed)).expect("a change");
        let planted = planted.expect("something can be changed");
        let changed = ask::answers(&mut again, &questions);
        let shown = ask::differences(&questions, &after, &changed);
        assert!(!shown.is_empty(), "seed {seed}: {planted:?} does not show");
        edition::close(again).expect("it closes");

        for (before, after) in past_before.iter().zip(read_past()) {
            assert_eq!(
                past::differences(before, &after),
                [] as [String; 0],
                "seed {seed}"
            );
        }
    }
}
