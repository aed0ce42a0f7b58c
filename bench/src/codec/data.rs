//! The columns that the codecs are measured on, and what their papers say of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peer::checked;

/// A file of FSST's corpus, and the compression factor in the first table of its paper.
pub const TEXTS: [(&str, f64); 11] = [
    ("chinese", 1.70),
    ("email", 2.12),
    ("firstname", 2.04),
    ("genome", 3.32),
    ("hex", 2.11),
    ("l_comment", 3.01),
    ("movies", 1.66),
    ("street", 2.38),
    ("urls2", 2.05),
    ("uuid", 2.44),
    ("wiki", 1.65),
];

/// A sample of ALP's data.
pub struct FloatSample {
    pub file: &'static str,
    /// Bits per value in the paper, of the whole data set; none for one that is not in it.
    pub paper: Option<f64>,
    /// What the authors' own tests expect of this very sample: bits of a packed value, exceptions.
    pub expected: Option<(u32, u32)>,
    /// Bits of one of their exceptions, its place included.
    pub exception_bits: u32,
}

const fn sample(file: &'static str, paper: f64, width: u32, exceptions: u32) -> FloatSample {
    FloatSample {
        file,
        paper: Some(paper),
        expected: Some((width, exceptions)),
        exception_bits: 64 + 16,
    }
}

pub const FLOATS: [FloatSample; 16] = [
    FloatSample {
        file: "air_sensor_f",
        paper: None,
        expected: None,
        exception_bits: 0,
    },
    sample("basel_temp_f", 30.72, 28, 47),
    sample("bird_migration_f", 20.14, 17, 2),
    sample("bitcoin_transactions_f", 36.49, 30, 11),
    sample("cms1", 35.65, 41, 10),
    sample("cms9", 11.67, 10, 2),
    sample("gov10", 30.99, 27, 72),
    sample("gov30", 7.48, 0, 4),
    sample("gov40", 0.83, 0, 3),
    sample("medicare9", 12.26, 10, 3),
    sample("neon_bio_temp_c", 10.75, 10, 0),
    sample("neon_pm10_dust", 8.56, 8, 0),
    sample("nyc29", 40.38, 42, 5),
    FloatSample {
        // ALP-RD: the exception is the front, of 16 bits.
        exception_bits: 16 + 16,
        ..sample("poi_lon", 56.56, 56, 199)
    },
    sample("stocks_de", 11.01, 10, 5),
    sample("stocks_usa_c", 7.90, 7, 0),
];

/// Columns of the flights, which no paper has looked at: file, place, and whether they are floats.
pub const FLIGHTS: [(&str, &str, bool); 14] = [
    ("flights.csv.gz", "carrier", false),
    ("flights.csv.gz", "tailnum", false),
    ("flights.csv.gz", "dest", false),
    ("flights.csv.gz", "time_hour", false),
    ("flights.csv.gz", "dep_delay", true),
    ("flights.csv.gz", "arr_delay", true),
    ("flights.csv.gz", "air_time", true),
    ("flights.csv.gz", "distance", true),
    ("weather.csv.gz", "time_hour", false),
    ("weather.csv.gz", "temp", true),
    ("weather.csv.gz", "humid", true),
    ("weather.csv.gz", "wind_speed", true),
    ("weather.csv.gz", "pressure", true),
    ("weather.csv.gz", "visib", true),
];

/// The lines of a compressed file.
pub fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = checked(Command::new("gzip").arg("-dc").arg(path))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The floats of a file of one per line.
pub fn floats(path: &Path) -> Result<Vec<f64>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let float = |line: &str| {
        let parsed = line.trim().parse();
        parsed.map_err(|_| format!("{}: {line} is no number", path.display()))
    };
    text.lines().map(float).collect()
}

/// The fields of one column of a CSV file without quotes; none for `NA`.
pub fn column(path: &Path, name: &str) -> Result<Vec<Option<String>>, String> {
    let lines = lines(path)?;
    let (header, rows) = lines
        .split_first()
        .ok_or_else(|| format!("{} is empty", path.display()))?;
    let place = header.split(',').position(|field| field == name);
    let place = place.ok_or_else(|| format!("{} has no column {name}", path.display()))?;
    let field = |row: &String| {
        let field = row.split(',').nth(place);
        field.filter(|f| *f != "NA").map(str::to_owned)
    };
    Ok(rows.iter().map(field).collect())
}
