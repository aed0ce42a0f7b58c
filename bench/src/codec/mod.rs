//! How small the codecs of `plugins/fsst-alp` make columns, beside what their papers say, and what
//! choosing costs beside trying every scheme. No server runs: columns are cut into blocks as storage
//! cuts them into pages.

mod choice;
mod data;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{Array, ArrayRef, Float64Array, StringViewArray};
use heliosdb_fsst_alp::choose::Preference;
use heliosdb_fsst_alp::codec::{BlockCodec, Method, scheme_of};
use heliosdb_fsst_alp::scheme::fsst;
use heliosdb_fsst_alp::text;
use heliosdb_plugin_api::Codec;

use crate::{Options, table};

/// Rows of a page at most, and bytes from which a page is full, as in storage.
const PAGE_ROWS: usize = 8192;
const PAGE_BYTES: usize = 256 << 10;
/// Bytes of a string besides itself in a page that is not encoded.
const OFFSET_BYTES: usize = 4;
/// Measurements of a time, of which the shortest counts.
const REPEATS: usize = 5;

pub fn run(options: &Options) -> Result<(), String> {
    let data = Path::new(options.data.as_deref().unwrap_or("../shared/data"));
    texts(data)?;
    floats(data)?;
    choice::run(data)
}

fn codec(method: Method) -> BlockCodec {
    let preference = Preference { zstd_saves_min: 0 };
    BlockCodec { method, preference }
}

/// The pages that storage makes of a column of texts.
fn text_pages<S: AsRef<str>>(rows: &[Option<S>]) -> Vec<ArrayRef> {
    let mut pages: Vec<ArrayRef> = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let full = rest.iter().position(|row| {
            bytes += OFFSET_BYTES + row.as_ref().map_or(0, |s| s.as_ref().len());
            bytes >= PAGE_BYTES
        });
        let count = full.map_or(rest.len(), |last| last + 1).min(PAGE_ROWS);
        let (page, after) = rest.split_at(count);
        let page = page.iter().map(|row| row.as_ref().map(AsRef::as_ref));
        pages.push(Arc::new(page.collect::<StringViewArray>()));
        rest = after;
    }
    pages
}

fn float_pages(rows: &[Option<f64>]) -> Vec<ArrayRef> {
    let page = |rows: &[Option<f64>]| {
        let page: ArrayRef = Arc::new(rows.iter().copied().collect::<Float64Array>());
        page
    };
    rows.chunks(PAGE_ROWS).map(page).collect()
}

/// What `work` gives, and the seconds it takes.
fn timed<T>(mut work: impl FnMut() -> Result<T, String>) -> Result<(T, f64), String> {
    let mut best = None;
    for _ in 0..REPEATS {
        let start = Instant::now();
        let result = work()?;
        let seconds = start.elapsed().as_secs_f64();
        best = match best {
            Some((_, least)) if least < seconds => best,
            _ => Some((result, seconds)),
        };
    }
    best.ok_or_else(|| "nothing was measured".to_owned())
}

/// All pages of a column, encoded with one codec.
struct Encoded {
    bytes: usize,
    schemes: Vec<&'static str>,
    encode_seconds: f64,
    decode_seconds: f64,
}

fn encode(method: Method, pages: &[ArrayRef]) -> Result<Encoded, String> {
    let codec = codec(method);
    let mut all = Encoded {
        bytes: 0,
        schemes: Vec::new(),
        encode_seconds: 0.0,
        decode_seconds: 0.0,
    };
    for page in pages {
        let said = |e: heliosdb_plugin_api::Error| e.to_string();
        let (encoded, seconds) = timed(|| codec.encode(page).map_err(said))?;
        all.encode_seconds += seconds;
        let (ty, rows) = (page.data_type(), page.len());
        let (decoded, seconds) = timed(|| codec.decode(&encoded, ty, rows).map_err(said))?;
        all.decode_seconds += seconds;
        if decoded.to_data() != page.to_data() {
            return Err("a page does not come back".to_owned());
        }
        all.bytes += encoded.len();
        let scheme = scheme_of(&encoded).map_err(said)?.name();
        if !all.schemes.contains(&scheme) {
            all.schemes.push(scheme);
        }
    }
    Ok(all)
}

fn texts(data: &Path) -> Result<(), String> {
    let mut rows = Vec::new();
    for (name, paper) in data::TEXTS {
        let lines = data::lines(&data.join("dbtext").join(format!("{name}.gz")))?;
        let lines: Vec<Option<String>> = lines.into_iter().map(Some).collect();
        let pages = text_pages(&lines);
        let text: usize = lines.iter().flatten().map(String::len).sum();
        // As the paper counts: line feeds are part of the file, lengths are not part of what is
        // encoded.
        let file = text + lines.len();
        let mut codes = 0;
        for page in &pages {
            let strings = text::strings(page).ok_or("a page of texts has none")?;
            let (symbols, of_page) = fsst::sizes(&strings);
            codes += symbols + of_page;
        }
        let fsst = encode(Method::Fsst, &pages)?;
        let auto = encode(Method::Auto, &pages)?;
        let factor = |bytes: usize| file as f64 / bytes as f64;
        let megabytes = |seconds: f64| format!("{:.0}", text as f64 / seconds / 1e6);
        rows.push(vec![
            name.to_owned(),
            format!("{paper:.2}"),
            format!("{:.2}", factor(codes)),
            format!("{:+.1} %", (factor(codes) / paper - 1.0) * 100.0),
            format!("{:.2}", factor(fsst.bytes)),
            megabytes(fsst.encode_seconds),
            megabytes(fsst.decode_seconds),
            format!("{:.2}", factor(auto.bytes)),
            auto.schemes.join(", "),
        ]);
    }
    println!("FSST's corpus: the factor is bytes of the file over bytes encoded\n");
    let header = [
        "file",
        "paper",
        "fsst, as the paper counts",
        "",
        "fsst, all stored",
        "MB/s in",
        "MB/s out",
        "auto, all stored",
        "by",
    ];
    table::print(&header, &rows);
    Ok(())
}

fn floats(data: &Path) -> Result<(), String> {
    let mut rows = Vec::new();
    for sample in data::FLOATS {
        let path = data.join("alp").join(format!("{}.csv", sample.file));
        let floats = data::floats(&path)?;
        let rows_of = floats.iter().copied().map(Some).collect::<Vec<_>>();
        let pages = float_pages(&rows_of);
        let bits = |bytes: usize| format!("{:.2}", bytes as f64 * 8.0 / floats.len() as f64);
        let alp = encode(Method::Alp, &pages)?;
        let auto = encode(Method::Auto, &pages)?;
        let expected = sample.expected.map(|(width, exceptions)| {
            let exceptions = f64::from(exceptions * sample.exception_bits);
            f64::from(width) + exceptions / floats.len() as f64
        });
        let figure = |bits: Option<f64>| bits.map_or("–".to_owned(), |bits| format!("{bits:.2}"));
        rows.push(vec![
            sample.file.to_owned(),
            figure(sample.paper),
            figure(expected),
            bits(alp.bytes),
            alp.schemes.join(", "),
            bits(auto.bytes),
            auto.schemes.join(", "),
        ]);
    }
    println!("\nALP's samples of 1,024 values: bits per value, frames and headers included\n");
    let header = [
        "sample",
        "paper, whole set",
        "authors' tests, this sample",
        "alp",
        "by",
        "auto",
        "by",
    ];
    table::print(&header, &rows);
    Ok(())
}
