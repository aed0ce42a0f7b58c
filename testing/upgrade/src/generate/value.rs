//! Types of columns, and values of them: ordinary ones, and those at the ends of their ranges.

use heliosdb_sim::rng::Rng;

use super::name::{literal, quoted};

/// A type of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Without precision.
    Numeric,
    /// Precision and scale, which may be negative or larger than the precision.
    Decimal(u32, i32),
    Text,
    Varchar(usize),
    Bpchar(usize),
    Name,
    /// `"char"`, of one byte.
    Char,
    Bytea,
    Date,
    Time,
    /// With this many digits of a second.
    TimeOf(u32),
    Timestamp,
    TimestampOf(u32),
    TimestampTz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Oid,
    Regtype,
    Array(Box<Type>),
}

/// Types whose values [`Type::distinct`] makes.
const KEYS: [Type; 12] = [
    Type::Int2,
    Type::Int4,
    Type::Int8,
    Type::Float8,
    Type::Numeric,
    Type::Text,
    Type::Varchar(40),
    Type::Bytea,
    Type::Date,
    Type::Timestamp,
    Type::TimestampTz,
    Type::Uuid,
];

impl Type {
    pub fn random(rng: &mut Rng) -> Type {
        match rng.index(30) {
            0 => Type::Bool,
            1 => Type::Int2,
            2 => Type::Int4,
            3 => Type::Int8,
            4 => Type::Float4,
            5 => Type::Float8,
            6 => Type::Numeric,
            7 => Type::Decimal(1 + rng.below(38) as u32, 0),
            8 => Type::Decimal(38, rng.below(39) as i32),
            9 => Type::Decimal(60, 20),
            10 => Type::Decimal([5, 3][rng.index(2)], [-2, 5][rng.index(2)]),
            11 => Type::Text,
            12 => Type::Varchar(1 + rng.index(50)),
            13 => Type::Bpchar(1 + rng.index(20)),
            14 => Type::Name,
            15 => Type::Char,
            16 => Type::Bytea,
            17 => Type::Date,
            18 => Type::Time,
            19 => Type::TimeOf(rng.below(7) as u32),
            20 => Type::Timestamp,
            21 => Type::TimestampOf(rng.below(7) as u32),
            22 => Type::TimestampTz,
            23 => Type::Interval,
            24 => Type::Uuid,
            25 => Type::Json,
            26 => Type::Jsonb,
            27 => [Type::Oid, Type::Regtype][rng.index(2)].clone(),
            _ => match Type::random(rng) {
                array @ Type::Array(_) => array,
                item => Type::Array(Box::new(item)),
            },
        }
    }

    /// One that a key may have.
    pub fn random_key(rng: &mut Rng) -> Type {
        KEYS[rng.index(KEYS.len())].clone()
    }

    pub fn sql(&self) -> String {
        match self {
            Type::Bool => "boolean".to_owned(),
            Type::Int2 => "smallint".to_owned(),
            Type::Int4 => "integer".to_owned(),
            Type::Int8 => "bigint".to_owned(),
            Type::Float4 => "real".to_owned(),
            Type::Float8 => "double precision".to_owned(),
            Type::Numeric => "numeric".to_owned(),
            Type::Decimal(precision, scale) => format!("numeric({precision}, {scale})"),
            Type::Text => "text".to_owned(),
            Type::Varchar(length) => format!("varchar({length})"),
            Type::Bpchar(length) => format!("char({length})"),
            Type::Name => "name".to_owned(),
            Type::Char => quoted("char"),
            Type::Bytea => "bytea".to_owned(),
            Type::Date => "date".to_owned(),
            Type::Time => "time".to_owned(),
            Type::TimeOf(digits) => format!("time({digits})"),
            Type::Timestamp => "timestamp".to_owned(),
            Type::TimestampOf(digits) => format!("timestamp({digits})"),
            Type::TimestampTz => "timestamptz".to_owned(),
            Type::Interval => "interval".to_owned(),
            Type::Uuid => "uuid".to_owned(),
            Type::Json => "json".to_owned(),
            Type::Jsonb => "jsonb".to_owned(),
            Type::Oid => "oid".to_owned(),
            Type::Regtype => "regtype".to_owned(),
            Type::Array(item) => format!("{}[]", item.sql()),
        }
    }

    /// Whether an index may have it.
    pub fn is_ordered(&self) -> bool {
        match self {
            Type::Json => false,
            Type::Array(item) => item.is_ordered(),
            _ => true,
        }
    }

    /// Whether `sum` takes it and cannot leave the type's range.
    pub fn is_number(&self) -> bool {
        matches!(self, Type::Int2 | Type::Int4 | Type::Numeric | Type::Float4)
    }

    /// A value as an expression.
    pub fn value(&self, rng: &mut Rng) -> String {
        // What has no text of its own: NaNs with the sign bit, as negation and arithmetic make them.
        if matches!(self, Type::Float4 | Type::Float8) && rng.one_in(12) {
            let ty = self.sql();
            return match rng.coin() {
                true => format!("-('NaN'::{ty})"),
                false => format!("('inf'::{ty} - 'inf'::{ty})"),
            };
        }
        self.cast(&self.text(rng))
    }

    /// The value with this number: no two numbers below 10,000 have the same.
    pub fn distinct(&self, number: u64) -> String {
        let n = number as i64;
        let text = match self {
            Type::Int2 => (n * 3 - 15_000).to_string(),
            Type::Int4 => (n * 214_748 - 1_000_000_000).to_string(),
            Type::Int8 => (n * 922_337_203_685_477 - 4_000_000_000_000_000_000).to_string(),
            Type::Float8 => format!("{}e{}", n + 1, (n % 300) - 150),
            Type::Numeric => format!("{n}.{}", "0123456789".repeat(n as usize % 9)),
            Type::Text | Type::Varchar(_) => format!("kéy {number} 😀"),
            Type::Bytea => format!("\\x00ff{number:08x}00"),
            Type::Date => format!(
                "{:04}-{:02}-{:02}",
                1000 + n / 336,
                1 + n / 28 % 12,
                1 + n % 28
            ),
            Type::Timestamp => format!("2001-01-01 00:00:00.{n:06}"),
            Type::TimestampTz => {
                format!(
                    "1970-01-01 {:02}:{:02}:{:02}+00",
                    n / 3600,
                    n / 60 % 60,
                    n % 60
                )
            }
            Type::Uuid => format!("{number:08x}-0000-4000-8000-{:012x}", number * 7919),
            _ => number.to_string(),
        };
        self.cast(&text)
    }

    fn cast(&self, text: &str) -> String {
        format!("{}::{}", literal(text), self.sql())
    }

    /// A value in its text form.
    pub fn text(&self, rng: &mut Rng) -> String {
        let pick = |rng: &mut Rng, from: &[&str]| from[rng.index(from.len())].to_owned();
        match self {
            Type::Bool => pick(rng, &["t", "f"]),
            Type::Int2 => integer(rng, i16::MIN.into(), i16::MAX.into()),
            Type::Int4 => integer(rng, i32::MIN.into(), i32::MAX.into()),
            Type::Int8 => integer(rng, i64::MIN, i64::MAX),
            Type::Oid => integer(rng, 0, u32::MAX.into()),
            Type::Regtype => pick(
                rng,
                &["integer", "text[]", "jsonb", "timestamp", "\"char\""],
            ),
            Type::Float4 => match rng.index(3) {
                0 => pick(
                    rng,
                    &[
                        "NaN",
                        "Infinity",
                        "-Infinity",
                        "-0",
                        "0",
                        "1e-45",
                        "3.4028235e38",
                    ],
                ),
                _ => f32_text(rng),
            },
            Type::Float8 => match rng.index(3) {
                0 => pick(
                    rng,
                    &[
                        "NaN",
                        "Infinity",
                        "-Infinity",
                        "-0",
                        "0",
                        "5e-324",
                        "-1.7976931348623157e308",
                    ],
                ),
                _ => f64_text(rng),
            },
            Type::Numeric => match rng.index(4) {
                0 => pick(
                    rng,
                    &[
                        "NaN",
                        "Infinity",
                        "-Infinity",
                        "0",
                        "0.000",
                        "-1.50",
                        "1e-16383",
                    ],
                ),
                1 => format!("1e{}", 1 + rng.below(2000)),
                _ => decimal(rng, 60, 25),
            },
            Type::Decimal(precision, scale) => decimal(rng, *precision, *scale),
            Type::Text => match rng.index(8) {
                0 => words(rng, 4000),
                1 => pick(
                    rng,
                    &[
                        "",
                        " ",
                        "NULL",
                        "\\N",
                        "it's \"quoted\"",
                        "\u{1}\u{7f}",
                        "\r\n\t",
                    ],
                ),
                _ => words(rng, 30),
            },
            Type::Varchar(length) | Type::Bpchar(length) => words(rng, *length),
            Type::Name => words(rng, 15),
            Type::Char => pick(rng, &["a", "Z", "0", " ", ""]),
            Type::Bytea => {
                let length = [0, 1, 20, 3000][rng.index(4)];
                let bytes = rng.bytes(length);
                bytes
                    .iter()
                    .fold("\\x".to_owned(), |t, b| t + &format!("{b:02x}"))
            }
            Type::Date => match rng.index(3) {
                0 => pick(
                    rng,
                    &[
                        "infinity",
                        "-infinity",
                        "4713-01-01 BC",
                        "5874897-12-31",
                        "0001-01-01",
                    ],
                ),
                _ => date(rng),
            },
            Type::Time | Type::TimeOf(_) => match rng.index(3) {
                0 => pick(rng, &["00:00:00", "24:00:00", "23:59:59.999999"]),
                _ => time(rng),
            },
            Type::Timestamp | Type::TimestampOf(_) => match rng.index(3) {
                0 => pick(
                    rng,
                    &[
                        "infinity",
                        "-infinity",
                        "4714-11-24 00:00:00 BC",
                        "294246-12-31 23:59:59",
                    ],
                ),
                _ => format!("{} {}", date(rng), time(rng)),
            },
            Type::TimestampTz => match rng.index(3) {
                0 => pick(
                    rng,
                    &["infinity", "-infinity", "1969-12-31 23:59:59.999999+00"],
                ),
                _ => format!("{} {}+{:02}:30", date(rng), time(rng), rng.below(12)),
            },
            Type::Interval => match rng.index(3) {
                0 => pick(
                    rng,
                    &[
                        "178000000 years",
                        "-178000000 years -1 mon 2147483647 days -00:00:00.000001",
                        "0",
                        "1 mon -30 days",
                    ],
                ),
                _ => format!(
                    "{} mons {} days {}",
                    rng.below(99),
                    rng.below(99),
                    time(rng)
                ),
            },
            Type::Uuid => match rng.index(4) {
                0 => "00000000-0000-0000-0000-000000000000".to_owned(),
                1 => "ffffffff-ffff-ffff-ffff-ffffffffffff".to_owned(),
                _ => {
                    let (a, b) = (rng.next_u64(), rng.next_u64());
                    format!("{a:016x}{b:016x}")
                }
            },
            Type::Json => match rng.index(3) {
                0 => pick(
                    rng,
                    &[
                        "\"\\u0000\"",
                        "{\"b\" : 1,  \"a\":2, \"b\":3.0}",
                        " [ ] ",
                        "null",
                    ],
                ),
                _ => document(rng, 3),
            },
            Type::Jsonb => match rng.index(3) {
                0 => pick(
                    rng,
                    &["1e400", "-0.00", "\"\\ud83d\\ude00\"", "[]", "{}", "null"],
                ),
                _ => document(rng, 3),
            },
            Type::Array(item) => {
                let length = [0, 1, 3, 20][rng.index(4)];
                let items: Vec<String> = (0..length).map(|_| element(rng, item)).collect();
                format!("{{{}}}", items.join(","))
            }
        }
    }
}

/// An item inside the text of an array.
fn element(rng: &mut Rng, ty: &Type) -> String {
    if rng.one_in(5) {
        return "NULL".to_owned();
    }
    let text = ty.text(rng);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn integer(rng: &mut Rng, min: i64, max: i64) -> String {
    let any = (min as i128) + (rng.next_u64() as i128 % (max as i128 - min as i128 + 1));
    match rng.index(6) {
        0 => min.to_string(),
        1 => max.to_string(),
        2 => "0".to_owned(),
        3 => "7".to_owned(),
        _ => any.to_string(),
    }
}

fn f32_text(rng: &mut Rng) -> String {
    let value = f32::from_bits(rng.next_u64() as u32);
    if value.is_finite() {
        format!("{value:e}")
    } else {
        "0.1".to_owned()
    }
}

fn f64_text(rng: &mut Rng) -> String {
    let value = f64::from_bits(rng.next_u64());
    if value.is_finite() {
        format!("{value:e}")
    } else {
        "0.1".to_owned()
    }
}

/// A number of at most `precision` digits, `scale` of them after the point.
fn decimal(rng: &mut Rng, precision: u32, scale: i32) -> String {
    let digits = 1 + rng.below(precision.into()) as usize;
    let nines = rng.one_in(6);
    let mut text: String = (0..digits)
        .map(|_| match nines {
            true => '9',
            false => char::from(b'0' + rng.below(10) as u8),
        })
        .collect();
    let sign = if rng.coin() { "-" } else { "" };
    if let Ok(scale @ 1..) = usize::try_from(scale) {
        if text.len() <= scale {
            text = "0".repeat(scale + 1 - text.len()) + &text;
        }
        text.insert(text.len() - scale, '.');
    }
    if scale < 0 {
        text.push_str(&"0".repeat(scale.unsigned_abs() as usize));
    }
    format!("{sign}{text}")
}

fn date(rng: &mut Rng) -> String {
    let (year, month) = (1 + rng.below(9998), 1 + rng.below(12));
    format!("{year:04}-{month:02}-{:02}", 1 + rng.below(28))
}

fn time(rng: &mut Rng) -> String {
    let (hour, minute, second) = (rng.below(24), rng.below(60), rng.below(60));
    format!(
        "{hour:02}:{minute:02}:{second:02}.{:06}",
        rng.below(1_000_000)
    )
}

/// Text of at most so many characters, of one to four bytes each.
fn words(rng: &mut Rng, length: usize) -> String {
    const LETTERS: [char; 16] = [
        'a', 'B', '7', ' ', '\'', '"', '\\', ',', '{', 'é', 'ß', 'Ж', '語', '☃', '😀', '𝔘',
    ];
    let length = rng.index(length + 1);
    let text: String = (0..length).map(|_| LETTERS[rng.index(16)]).collect();
    // What ends in blanks is another value to some types and not to others.
    text.trim_end().to_owned()
}

fn document(rng: &mut Rng, depth: usize) -> String {
    match rng.index(if depth == 0 { 4 } else { 6 }) {
        0 => integer(rng, i64::MIN, i64::MAX),
        1 => serde_json::Value::String(words(rng, 20)).to_string(),
        2 => "true".to_owned(),
        3 => "1.50".to_owned(),
        4 => {
            let items: Vec<String> = (0..rng.index(4))
                .map(|_| document(rng, depth - 1))
                .collect();
            format!("[{}]", items.join(", "))
        }
        _ => {
            let member = |n: usize, rng: &mut Rng| {
                let name = serde_json::Value::String(format!("{}{n}", words(rng, 3)));
                format!("{name}:{}", document(rng, depth - 1))
            };
            let members: Vec<String> = (0..rng.index(4)).map(|n| member(n, rng)).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_distinct() {
        for ty in KEYS {
            let mut values: Vec<String> = (0..10_000).map(|n| ty.distinct(n)).collect();
            values.sort();
            values.dedup();
            assert_eq!(values.len(), 10_000, "{ty:?}");
        }
    }
}
