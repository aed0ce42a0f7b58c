//! The 22 queries with the parameters that the specification validates with.

use tpchgen::q_and_a::queries::query;

/// A query of TPC-H.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// 1 to 22.
    pub number: u8,
    /// The specification's name for it.
    pub title: &'static str,
    /// For `:1`, `:2` …; the specification's substitution parameters for validation.
    parameters: &'static [&'static str],
    /// Rows the specification asks for, where it does not ask for all.
    limit: Option<u32>,
}

const fn plain(number: u8, title: &'static str, parameters: &'static [&'static str]) -> Query {
    Query {
        number,
        title,
        parameters,
        limit: None,
    }
}

const fn first(
    limit: u32,
    number: u8,
    title: &'static str,
    parameters: &'static [&'static str],
) -> Query {
    Query {
        number,
        title,
        parameters,
        limit: Some(limit),
    }
}

pub const QUERIES: [Query; 22] = [
    plain(1, "pricing summary report", &["90"]),
    first(100, 2, "minimum cost supplier", &["15", "BRASS", "EUROPE"]),
    first(10, 3, "shipping priority", &["BUILDING", "1995-03-15"]),
    plain(4, "order priority checking", &["1993-07-01"]),
    plain(5, "local supplier volume", &["ASIA", "1994-01-01"]),
    plain(
        6,
        "forecasting revenue change",
        &["1994-01-01", "0.06", "24"],
    ),
    plain(7, "volume shipping", &["FRANCE", "GERMANY"]),
    plain(
        8,
        "national market share",
        &["BRAZIL", "AMERICA", "ECONOMY ANODIZED STEEL"],
    ),
    plain(9, "product type profit measure", &["green"]),
    first(20, 10, "returned item reporting", &["1993-10-01"]),
    plain(11, "important stock identification", &["GERMANY", FRACTION]),
    plain(
        12,
        "shipping modes and order priority",
        &["MAIL", "SHIP", "1994-01-01"],
    ),
    plain(13, "customer distribution", &["special", "requests"]),
    plain(14, "promotion effect", &["1995-09-01"]),
    plain(15, "top supplier", &["1996-01-01"]),
    plain(
        16,
        "parts/supplier relationship",
        &[
            "Brand#45",
            "MEDIUM POLISHED",
            "49",
            "14",
            "23",
            "45",
            "19",
            "3",
            "36",
            "9",
        ],
    ),
    plain(17, "small-quantity-order revenue", &["Brand#23", "MED BOX"]),
    first(100, 18, "large volume customer", &["300"]),
    plain(
        19,
        "discounted revenue",
        &["Brand#12", "Brand#23", "Brand#34", "1", "10", "20"],
    ),
    plain(
        20,
        "potential part promotion",
        &["forest", "1994-01-01", "CANADA"],
    ),
    first(
        100,
        21,
        "suppliers who kept orders waiting",
        &["SAUDI ARABIA"],
    ),
    plain(
        22,
        "global sales opportunity",
        &["13", "31", "23", "29", "30", "18", "17"],
    ),
];

/// Stands for 0.0001 divided by the scale, which is what query 11 wants.
const FRACTION: &str = "fraction";

impl Query {
    /// Its text. Query 15 is three statements, which make a view, use it and drop it.
    pub fn sql(&self, scale: f64) -> String {
        let mut text = query(i32::from(self.number)).unwrap_or_default().to_owned();
        // The templates have a precision of intervals and a number for streams; nobody else does.
        text = text.replace(" day (3)", " day").replace(":s", "");
        let fraction = format!("{}", 0.0001 / scale);
        // From the last one, because :1 begins :10.
        for (i, value) in self.parameters.iter().enumerate().rev() {
            let value = if *value == FRACTION {
                &fraction
            } else {
                *value
            };
            text = text.replace(&format!(":{}", i + 1), value);
        }
        let text = text.trim().replace('\t', "  ");
        match self.limit {
            Some(rows) => format!("{}\nlimit {rows};", text.trim_end_matches(';')),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_finds_its_place() {
        for (i, query) in QUERIES.iter().enumerate() {
            assert_eq!(usize::from(query.number), i + 1);
            let sql = query.sql(0.01);
            let left = sql.split(':').skip(1);
            assert!(
                left.clone()
                    .all(|rest| !rest.starts_with(|c: char| c.is_ascii_digit())),
                "{sql}"
            );
            for value in query.parameters.iter().filter(|value| **value != FRACTION) {
                assert!(sql.contains(value), "query {}: {value}", query.number);
            }
            assert!(sql.ends_with(';'), "{sql}");
        }
        assert!(
            QUERIES[10].sql(0.01).contains("* 0.01\n"),
            "{}",
            QUERIES[10].sql(0.01)
        );
    }
}
