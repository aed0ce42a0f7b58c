//! Queries from a grammar: typed, so that each means something, over the tables of [`SCHEMA`].
//!
//! What they answer does not depend on the order in which anything is done: a LIMIT stands behind an ORDER BY of all
//! columns, nothing divides by what may be zero, and integers stay small. So two servers must agree on every row.

pub const SCHEMA: &str = "
CREATE TABLE a (id int PRIMARY KEY, n int, s text, m numeric(8, 2), d date, b bool);
INSERT INTO a SELECT i, nullif(i % 5, 0), CASE WHEN i % 4 > 0 THEN chr(97 + i % 6) || i % 3 END, i * 1.25 - 7, date '2024-02-25' + i % 9, CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END FROM generate_series(1, 23) i;
CREATE TABLE c (k int PRIMARY KEY, a_id int REFERENCES a, v bigint, t text NOT NULL, e date, f bool NOT NULL);
INSERT INTO c SELECT i, CASE WHEN i % 6 > 0 THEN i % 23 + 1 END, i * 7 % 11 - 4, repeat(chr(97 + i % 3), i % 4), date '2024-03-01' - i, i % 2 = 0 FROM generate_series(1, 31) i;
CREATE INDEX c_a_id ON c (a_id);
CREATE TABLE nothing (id int PRIMARY KEY, s text, d date, b bool);
CREATE VIEW w AS SELECT a.id, a.s, count(c.k) AS n, bool_or(c.f) AS f FROM a LEFT JOIN c ON c.a_id = a.id GROUP BY a.id, a.s;
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    Int,
    Text,
    Bool,
    Date,
}

const TYPES: [Ty; 4] = [Ty::Int, Ty::Text, Ty::Bool, Ty::Date];

/// Relations with their columns.
const RELATIONS: [(&str, &[(&str, Ty)]); 4] = [
    (
        "a",
        &[
            ("id", Ty::Int),
            ("n", Ty::Int),
            ("s", Ty::Text),
            ("d", Ty::Date),
            ("b", Ty::Bool),
        ],
    ),
    (
        "c",
        &[
            ("k", Ty::Int),
            ("a_id", Ty::Int),
            ("v", Ty::Int),
            ("t", Ty::Text),
            ("e", Ty::Date),
            ("f", Ty::Bool),
        ],
    ),
    (
        "nothing",
        &[
            ("id", Ty::Int),
            ("s", Ty::Text),
            ("d", Ty::Date),
            ("b", Ty::Bool),
        ],
    ),
    (
        "w",
        &[
            ("id", Ty::Int),
            ("s", Ty::Text),
            ("n", Ty::Int),
            ("f", Ty::Bool),
        ],
    ),
];

/// A column that may be named, and its type.
type Scope = Vec<(String, Ty)>;

pub struct Make {
    state: u64,
    aliases: usize,
}

impl Make {
    pub fn new(seed: u64) -> Make {
        Make {
            // Not zero, and far from that of the next seed.
            state: seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            aliases: 0,
        }
    }

    /// xorshift64*.
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn ty(&mut self) -> Ty {
        TYPES[self.below(TYPES.len())]
    }

    /// A whole statement.
    pub fn statement(&mut self) -> String {
        self.aliases = 0;
        let types: Vec<Ty> = (0..1 + self.below(3)).map(|_| self.ty()).collect();
        self.query(&types, 3, &Vec::new())
    }

    /// FROM and what it brings, and a condition over it.
    pub fn partition(&mut self) -> (String, String) {
        self.aliases = 0;
        let (from, scope) = self.from(2, &Vec::new());
        let condition = self.bool(2, &scope);
        (from, condition)
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("r{}", self.aliases)
    }

    /// A query of columns c0, c1 … of these types.
    fn query(&mut self, types: &[Ty], depth: usize, outer: &Scope) -> String {
        let all: Vec<String> = (1..=types.len()).map(|i| i.to_string()).collect();
        let body = match self.below(if depth == 0 { 6 } else { 10 }) {
            0..=4 => self.plain(types, depth, outer),
            5 => self.grouped(types, depth, outer),
            6 => self.windowed(types, depth, outer),
            7 => {
                let operator = self.one(&[
                    "UNION",
                    "UNION ALL",
                    "INTERSECT",
                    "EXCEPT",
                    "EXCEPT ALL",
                    "INTERSECT ALL",
                ]);
                let (left, right) = (
                    self.plain(types, depth - 1, outer),
                    self.plain(types, depth - 1, outer),
                );
                format!("({left}) {operator} ({right})")
            }
            8 => {
                let (name, inner) = (self.alias(), self.query(types, depth - 1, outer));
                let columns: Scope = (0..types.len())
                    .map(|i| (format!("{name}.c{i}"), types[i]))
                    .collect();
                let list = self.list(types, depth - 1, &columns);
                let condition = self.bool(depth - 1, &columns);
                let how = self.one(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
                format!("WITH {name} AS {how}({inner}) SELECT {list} FROM {name} WHERE {condition}")
            }
            _ => self
                .plain(types, depth, outer)
                .replacen("SELECT", "SELECT DISTINCT", 1),
        };
        match self.below(4) {
            0 => {
                let (limit, offset) = (self.below(9), self.below(4));
                format!(
                    "{body} ORDER BY {} LIMIT {limit} OFFSET {offset}",
                    all.join(", ")
                )
            }
            _ => body,
        }
    }

    fn list(&mut self, types: &[Ty], depth: usize, scope: &Scope) -> String {
        let columns: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| format!("{} AS c{i}", self.expr(*ty, depth, scope)))
            .collect();
        columns.join(", ")
    }

    fn plain(&mut self, types: &[Ty], depth: usize, outer: &Scope) -> String {
        let (from, scope) = self.from(depth, outer);
        let list = self.list(types, depth, &scope);
        match self.below(5) {
            0 => format!("SELECT {list} FROM {from}"),
            _ => format!(
                "SELECT {list} FROM {from} WHERE {}",
                self.bool(depth, &scope)
            ),
        }
    }

    fn grouped(&mut self, types: &[Ty], depth: usize, outer: &Scope) -> String {
        let (from, mut scope) = self.from(depth, outer);
        // An aggregate of what is outside alone would belong there.
        scope.truncate(scope.len() - outer.len());
        let (key_type, key) = match self.below(scope.len() + 1) {
            i if i < scope.len() => (scope[i].1, scope[i].0.clone()),
            _ => (Ty::Int, format!("({}) % 3", self.int(1, &scope))),
        };
        let columns: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                let value = match *ty == key_type && self.below(2) == 0 {
                    true => key.clone(),
                    false => self.aggregate(*ty, depth, &scope),
                };
                format!("{value} AS c{i}")
            })
            .collect();
        let having = match self.below(3) {
            0 => format!(" HAVING {}", self.aggregate(Ty::Bool, depth, &scope)),
            _ => String::new(),
        };
        let by = match self.below(6) {
            0 => format!("ROLLUP ({key})"),
            1 => format!("GROUPING SETS (({key}), ())"),
            _ => key,
        };
        let condition = self.bool(depth.min(1), &scope);
        format!(
            "SELECT {} FROM {from} WHERE {condition} GROUP BY {by}{having}",
            columns.join(", ")
        )
    }

    fn aggregate(&mut self, ty: Ty, depth: usize, scope: &Scope) -> String {
        let depth = depth.min(1);
        let filter = match self.below(4) {
            0 => format!(" FILTER (WHERE {})", self.bool(0, scope)),
            _ => String::new(),
        };
        match ty {
            Ty::Int => {
                let (any, int) = (self.ty(), self.expr(Ty::Int, depth, scope));
                match self.below(5) {
                    0 => format!("count(*){filter}"),
                    1 => format!("count({}){filter}", self.expr(any, depth, scope)),
                    2 => format!("count(DISTINCT {int}){filter}"),
                    3 => format!("(sum({int}){filter})::bigint"),
                    _ => format!("{}({int}){filter}", self.one(&["min", "max"])),
                }
            }
            Ty::Text => {
                let text = self.expr(Ty::Text, depth, scope);
                match self.below(2) {
                    0 => format!("string_agg({text}, '-' ORDER BY {text}){filter}"),
                    _ => format!("{}({text}){filter}", self.one(&["min", "max"])),
                }
            }
            Ty::Bool => {
                let of = self.bool(depth, scope);
                match self.below(3) {
                    0 => format!("(count(*){filter} > {})", self.below(4)),
                    _ => format!(
                        "{}({of}){filter}",
                        self.one(&["bool_and", "bool_or", "every"])
                    ),
                }
            }
            Ty::Date => {
                let date = self.expr(Ty::Date, depth, scope);
                format!("{}({date}){filter}", self.one(&["min", "max"]))
            }
        }
    }

    fn windowed(&mut self, types: &[Ty], depth: usize, outer: &Scope) -> String {
        let (from, scope) = self.from(depth, outer);
        let columns: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                let (by, order) = (self.ty(), self.ty());
                let (by, order) = (self.expr(by, 1, &scope), self.expr(order, 1, &scope));
                let window = match self.below(3) {
                    0 => format!("PARTITION BY {by}"),
                    1 => format!(
                        "ORDER BY {order}{}",
                        self.one(&["", " DESC", " NULLS FIRST"])
                    ),
                    _ => format!("PARTITION BY {by} ORDER BY {order}"),
                };
                let inner = self.expr(*ty, 1, &scope);
                let call = match ty {
                    Ty::Int => match self.below(4) {
                        0 => "rank()".to_owned(),
                        1 => "dense_rank()".to_owned(),
                        2 => "count(*)".to_owned(),
                        _ => format!("max({inner})"),
                    },
                    Ty::Bool => format!("bool_or({inner})"),
                    Ty::Text | Ty::Date => format!("min({inner})"),
                };
                format!("{call} OVER ({window}) AS c{i}")
            })
            .collect();
        format!("SELECT {} FROM {from}", columns.join(", "))
    }

    /// Relations joined in one of the ways, and their columns beside those from outside.
    fn from(&mut self, depth: usize, outer: &Scope) -> (String, Scope) {
        let (mut text, mut scope) = self.relation(depth, outer);
        for _ in 0..self.below(3.min(depth + 1)) {
            let (other, columns) = self.relation(depth.saturating_sub(1), outer);
            scope.extend(columns);
            let join = self.one(&[
                "JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "CROSS JOIN",
                "JOIN",
            ]);
            text = match join {
                "CROSS JOIN" => format!("{text} CROSS JOIN {other}"),
                // What a FULL JOIN takes in PostgreSQL is an equality.
                "FULL JOIN" => format!("{text} FULL JOIN {other} ON {}", self.equality(&scope)),
                join if self.below(3) > 0 => {
                    format!("{text} {join} {other} ON {}", self.equality(&scope))
                }
                join => format!("{text} {join} {other} ON {}", self.bool(0, &scope)),
            };
        }
        scope.extend(outer.iter().cloned());
        (text, scope)
    }

    /// Between the integers of the first and of the last relation.
    fn equality(&mut self, scope: &Scope) -> String {
        let ints: Vec<&str> = scope
            .iter()
            .filter(|(_, ty)| *ty == Ty::Int)
            .map(|(name, _)| name.as_str())
            .collect();
        match (ints.first(), ints.last()) {
            (Some(first), Some(last)) => {
                let relation = |name: &str| name.split('.').next().map(str::to_owned);
                let (a, b) = (relation(first), relation(last));
                match a == b {
                    true => "true = true AND 1 = 1".to_owned(),
                    false => format!("{first} = {last}"),
                }
            }
            _ => "1 = 1".to_owned(),
        }
    }

    fn relation(&mut self, depth: usize, outer: &Scope) -> (String, Scope) {
        let alias = self.alias();
        if depth > 0 && self.below(4) == 0 {
            let types: Vec<Ty> = [Ty::Int]
                .into_iter()
                .chain((0..self.below(3)).map(|_| self.ty()))
                .collect();
            // Without LATERAL a subquery sees nothing of its neighbours, and what is outside of all of them.
            let inner = self.query(&types, depth - 1, outer);
            let columns = types
                .iter()
                .enumerate()
                .map(|(i, ty)| (format!("{alias}.c{i}"), *ty));
            return (format!("({inner}) AS {alias}"), columns.collect());
        }
        // Seldom the empty one.
        let (name, columns) = match self.below(12) {
            0 => RELATIONS[2],
            1 => RELATIONS[3],
            n => RELATIONS[n % 2],
        };
        let columns = columns
            .iter()
            .map(|(column, ty)| (format!("{alias}.{column}"), *ty));
        (format!("{name} AS {alias}"), columns.collect())
    }

    fn expr(&mut self, ty: Ty, depth: usize, scope: &Scope) -> String {
        if depth > 0 {
            match self.below(12) {
                0 => {
                    let (condition, then, other) = (
                        self.bool(depth - 1, scope),
                        self.expr(ty, depth - 1, scope),
                        self.expr(ty, depth - 1, scope),
                    );
                    return format!("CASE WHEN {condition} THEN {then} ELSE {other} END");
                }
                1 => {
                    let (a, b) = (
                        self.expr(ty, depth - 1, scope),
                        self.expr(ty, depth - 1, scope),
                    );
                    return format!(
                        "{}({a}, {b})",
                        self.one(&["coalesce", "nullif", "greatest", "least"])
                    );
                }
                2 => {
                    let (from, inner) = self.from(0, scope);
                    let value = self.aggregate(ty, 0, &inner[..inner.len() - scope.len()].to_vec());
                    let condition = self.bool(0, &inner);
                    return format!("(SELECT {value} FROM {from} WHERE {condition})");
                }
                _ => {}
            }
        }
        match ty {
            Ty::Int => self.int(depth, scope),
            Ty::Text => self.text(depth, scope),
            Ty::Bool => self.bool(depth, scope),
            Ty::Date => self.date(depth, scope),
        }
    }

    /// A column of the type, or else a literal.
    fn leaf(&mut self, ty: Ty, scope: &Scope) -> String {
        let columns: Vec<&String> = scope
            .iter()
            .filter(|(_, of)| *of == ty)
            .map(|(name, _)| name)
            .collect();
        if !columns.is_empty() && self.below(4) > 0 {
            return columns[self.below(columns.len())].clone();
        }
        match ty {
            Ty::Int => self
                .one(&["0", "1", "2", "3", "-1", "17", "NULL::int"])
                .to_owned(),
            Ty::Text => self
                .one(&["''", "'a'", "'b1'", "'A_%'", "NULL::text"])
                .to_owned(),
            Ty::Bool => self.one(&["true", "false", "NULL::bool"]).to_owned(),
            Ty::Date => self
                .one(&[
                    "date '2024-02-29'",
                    "date '2024-03-01'",
                    "'2023-12-31'::date",
                    "NULL::date",
                ])
                .to_owned(),
        }
    }

    fn int(&mut self, depth: usize, scope: &Scope) -> String {
        if depth == 0 {
            return self.leaf(Ty::Int, scope);
        }
        let (a, b) = (
            self.expr(Ty::Int, depth - 1, scope),
            self.leaf(Ty::Int, scope),
        );
        match self.below(10) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("(({a} * {b}) % 97)"),
            3 => format!("({a} / 3)"),
            4 => format!("abs({a})"),
            5 => format!("length({})", self.expr(Ty::Text, depth - 1, scope)),
            6 => format!(
                "extract(day FROM {})::int",
                self.expr(Ty::Date, depth - 1, scope)
            ),
            7 => format!(
                "({} - date '2024-01-01')",
                self.expr(Ty::Date, depth - 1, scope)
            ),
            _ => self.leaf(Ty::Int, scope),
        }
    }

    fn text(&mut self, depth: usize, scope: &Scope) -> String {
        if depth == 0 {
            return self.leaf(Ty::Text, scope);
        }
        let a = self.expr(Ty::Text, depth - 1, scope);
        match self.below(9) {
            0 => format!("upper({a})"),
            1 => format!("({a} || {})", self.leaf(Ty::Text, scope)),
            2 => format!("substr({a}, {}, 2)", self.below(4)),
            3 => format!("replace({a}, 'a', 'bb')"),
            4 => format!("({})::text", self.int(depth - 1, scope)),
            5 => format!(
                "to_char({}, 'YYYY-MM')",
                self.expr(Ty::Date, depth - 1, scope)
            ),
            _ => self.leaf(Ty::Text, scope),
        }
    }

    fn date(&mut self, depth: usize, scope: &Scope) -> String {
        if depth == 0 {
            return self.leaf(Ty::Date, scope);
        }
        match self.below(5) {
            0 => format!(
                "({} + {})",
                self.expr(Ty::Date, depth - 1, scope),
                self.below(40)
            ),
            1 => format!(
                "date_trunc('month', {})::date",
                self.expr(Ty::Date, depth - 1, scope)
            ),
            _ => self.leaf(Ty::Date, scope),
        }
    }

    fn bool(&mut self, depth: usize, scope: &Scope) -> String {
        let ty = self.ty();
        if depth == 0 {
            let (a, b) = (self.leaf(ty, scope), self.leaf(ty, scope));
            return format!(
                "({a} {} {b})",
                self.one(&["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"])
            );
        }
        let (a, b) = (
            self.expr(ty, depth - 1, scope),
            self.expr(ty, depth - 1, scope),
        );
        match self.below(15) {
            0..=2 => format!("({a} {} {b})", self.one(&["=", "<>", "<", ">="])),
            3 => format!("(({a}) IS {}NULL)", self.one(&["", "NOT "])),
            4 => format!(
                "({} AND {})",
                self.bool(depth - 1, scope),
                self.bool(depth - 1, scope)
            ),
            5 => format!(
                "({} OR {})",
                self.bool(depth - 1, scope),
                self.bool(depth - 1, scope)
            ),
            6 => format!("(NOT ({}))", self.bool(depth - 1, scope)),
            7 => format!("({a} BETWEEN {b} AND {})", self.leaf(ty, scope)),
            8 => format!(
                "({a} {}IN ({}, {b}))",
                self.one(&["", "NOT "]),
                self.leaf(ty, scope)
            ),
            9 => {
                let not = self.one(&["", "NOT "]);
                let inner = self.query(&[ty], 0, scope);
                format!("({a} {not}IN ({inner}))")
            }
            10 => {
                let not = self.one(&["", "NOT "]);
                let inner = self.query(&[Ty::Int], 0, scope);
                format!("({not}EXISTS ({inner}))")
            }
            11 => {
                let text = self.expr(Ty::Text, depth - 1, scope);
                let pattern = self.one(&["'a%'", "'%1'", "'_'", "''", "'%'"]);
                format!(
                    "({text} {} {pattern})",
                    self.one(&["LIKE", "NOT LIKE", "ILIKE"])
                )
            }
            12 => format!(
                "({} IS {})",
                self.bool(depth - 1, scope),
                self.one(&["TRUE", "NOT TRUE", "UNKNOWN", "NOT FALSE"])
            ),
            13 => format!(
                "({a} {} ({}))",
                self.one(&["= ANY", "<> ALL", "< ANY"]),
                self.query(&[ty], 0, scope)
            ),
            _ => self.leaf(Ty::Bool, scope),
        }
    }
}
