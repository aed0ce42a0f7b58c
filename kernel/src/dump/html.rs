//! A report as one page: no script, nothing fetched, readable in the dark and on paper.
//!
//! maud escapes every text, so that the name of a table is never markup.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{Report, Verdict};
use super::text::{Align, Grid};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2024; --page: #fff; --line: #d5d9de; --soft: #f3f5f7;
        --good: #1a7f4b; --warn: #8a6100; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --page: #14171a; --line: #343a40; --soft: #1d2125;
          --good: #5cc48d; --warn: #e0b04a; --bad: #ff8a7a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
       max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
         vertical-align: top; overflow-wrap: anywhere; }
th { background: var(--soft); font-weight: 600; } .right { text-align: right; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.verdict { font-size: 1.1rem; font-weight: 600; } li { overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } }
";

pub(super) fn page(report: &Report) -> String {
    let title = report.title();
    let sections = [
        ("Tables", report.table_grid()),
        ("Plugins", report.plugin_grid()),
        ("State of plugins", report.store_grid()),
        ("Checks", report.other_grid()),
    ];
    let remarks = report.remarks();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p class={ "verdict " (tone(Verdict::of(report.is_equal()))) } {
                    (report.conclusion())
                }
                table {
                    @for (name, value) in report.facts() {
                        tr { th scope="row" { (name) } td { (value) } }
                    }
                }
                @for (heading, grid) in &sections {
                    @if !grid.rows.is_empty() {
                        h2 { (heading) }
                        (table(grid))
                    }
                }
                @if !remarks.is_empty() {
                    h2 { "Remarks" }
                    ul { @for remark in &remarks { li { (remark) } } }
                }
                (steps(report))
                h2 { "Time" }
                (table(&report.phase_grid()))
            }
        }
    };
    markup.into_string()
}

fn table(grid: &Grid) -> Markup {
    let class = |align: &Align| (*align == Align::Right).then_some("right");
    html! {
        table {
            tr {
                @for (heading, align) in &grid.columns {
                    th scope="col" class=[class(align)] { (heading) }
                }
            }
            @for (cells, verdict) in &grid.rows {
                tr {
                    @for (place, (cell, (heading, align))) in
                        cells.iter().zip(&grid.columns).enumerate()
                    {
                        @if *heading == "result" {
                            td class=(tone(*verdict)) { (cell) }
                        } @else if place == 0 {
                            th scope="row" class=[class(align)] { (cell) }
                        } @else {
                            td class=[class(align)] { (cell) }
                        }
                    }
                }
            }
        }
    }
}

/// What was run on the state of plugins, with the digests that prove it.
fn steps(report: &Report) -> Markup {
    let upgraded = report.stores.iter().filter(|s| !s.steps.is_empty());
    let upgraded: Vec<_> = upgraded.collect();
    html! {
        @if !upgraded.is_empty() {
            h2 { "Upgrades" }
            @for store in upgraded {
                div {
                    strong { (store.plugin) "." (store.store) }
                    @if let Some(from) = &store.from { " from " (from) }
                    @if let Some(to) = store.to_version { " to version " (to) }
                    ol { @for step in &store.steps { li { (step) } } }
                    @if let (Some(before), Some(after)) = (&store.digest_before, &store.digest) {
                        "digest " code { (before) } " → " code { (after) }
                    }
                }
            }
        }
    }
}

fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Equal => "good",
        Verdict::ChangedSince => "warn",
        Verdict::Differs => "bad",
    }
}
