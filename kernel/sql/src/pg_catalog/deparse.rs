//! Stored expressions as PostgreSQL prints them: with the casts it would have made.
//!
//! A CHECK condition or a default is stored as the text the parser prints. PostgreSQL stores a typed
//! tree and prints that, so a literal gets its type (`'x'::text`), an operand its implicit cast
//! (`(0)::numeric`) and every operator its parentheses, unless pretty. The types come from the columns,
//! the literals and PostgreSQL's operator rules as far as they go here; an expression outside
//! these is printed as it is stored, which is valid SQL for the same thing.

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, UnaryOperator, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::SystemContext;
use super::names;
use crate::catalog::model::{Oid, Table};
use crate::ddl::stored_text::shown_expression;
use crate::dml::domain::VALUE;
use crate::names::fold;
use crate::session::precedence;

const BOOL: Oid = 16;
const INT8: Oid = 20;
const INT2: Oid = 21;
const INT4: Oid = 23;
const TEXT: Oid = 25;
const FLOAT4: Oid = 700;
const FLOAT8: Oid = 701;
const BPCHAR: Oid = 1042;
const VARCHAR: Oid = 1043;
const DATE: Oid = 1082;
const NUMERIC: Oid = 1700;
const REGCLASS: Oid = 2205;

const TREE: &str = "{EXPR :column ";

/// A stored expression as `pg_node_tree` holds it: opaque to clients, and all that
/// `pg_get_expr` needs. `column` is the attribute number of the column it is a default of.
pub fn node_tree(column: Option<i16>, text: &str) -> String {
    format!("{TREE}{} :text {text}}}", column.unwrap_or_default())
}

/// The column and the text of a [`node_tree`].
pub fn read_node_tree(tree: &str) -> Option<(Option<u16>, &str)> {
    let (column, text) = tree.strip_prefix(TREE)?.split_once(" :text ")?;
    let column: u16 = column.parse().ok()?;
    Some(((column != 0).then_some(column), text.strip_suffix('}')?))
}

/// An expression of a table's columns, or a default of a column of type `target`.
pub fn expression(
    ctx: &SystemContext,
    text: &str,
    table: Option<&Table>,
    target: Option<(Oid, i32)>,
    pretty: bool,
) -> String {
    let text = shown_expression(text);
    let text = text.as_str();
    let parsed = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr());
    let Ok(mut expr) = parsed else {
        return text.to_owned();
    };
    precedence::mend(&mut expr);
    let printer = Printer::new(ctx, &table, pretty);
    match printer.print(&expr) {
        Some(printed) => match target {
            Some((ty, typmod)) => printer.literal_as(printed, ty, typmod).text,
            None => printed.text,
        },
        None => text.to_owned(),
    }
}

/// The value that a domain's check is about, by the base type's oid.
struct DomainValue(Oid);

impl Columns for DomainValue {
    fn find(&self, relation: Option<&str>, column: &str) -> Option<(String, Oid)> {
        (relation.is_none() && column == VALUE).then(|| ("VALUE".to_owned(), self.0))
    }
}

/// The condition of a check of a domain.
pub fn of_domain(ctx: &SystemContext, domain: Oid, text: &str, pretty: bool) -> String {
    let base = ctx.catalog.pg_type(domain).map_or(0, |ty| ty.oid());
    let text = shown_expression(text);
    let text = text.as_str();
    let Ok(expr) = crate::session::statement::parse_expression(text) else {
        return text.to_owned();
    };
    let value = DomainValue(base);
    let printed = Printer::new(ctx, &value, pretty).print(&expr);
    printed.map_or_else(|| text.to_owned(), |printed| printed.text)
}

/// A printed expression.
struct Printed {
    text: String,
    /// `None` for a string literal or NULL, whose type is what is wanted of it.
    ty: Option<Oid>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Needs no parentheses anywhere: a column, a call, a cast of a literal.
    Atom,
    /// A bare literal, to be given its type.
    Literal,
    /// An operator and its operands.
    Operator,
}

/// The columns that an expression may name.
pub trait Columns {
    /// How a column is printed, and its type.
    fn find(&self, relation: Option<&str>, column: &str) -> Option<(String, Oid)>;
}

impl Columns for Option<&Table> {
    fn find(&self, relation: Option<&str>, column: &str) -> Option<(String, Oid)> {
        let table = self.filter(|_| relation.is_none())?;
        let (_, found) = table.column(column)?;
        Some((names::quote_ident(column), found.type_oid))
    }
}

pub struct Printer<'a> {
    ctx: &'a SystemContext,
    columns: &'a dyn Columns,
    pretty: bool,
}

impl<'a> Printer<'a> {
    pub fn new(ctx: &'a SystemContext, columns: &'a dyn Columns, pretty: bool) -> Printer<'a> {
        Printer {
            ctx,
            columns,
            pretty,
        }
    }
}

impl Printer<'_> {
    pub fn is_pretty(&self) -> bool {
        self.pretty
    }

    /// An expression by itself; `None` where this has no words for it.
    pub fn text(&self, expr: &Expr) -> Option<String> {
        let printed = self.print(expr)?;
        Some(self.literal_as(printed, TEXT, -1).text)
    }

    fn atom(text: String, ty: Option<Oid>) -> Option<Printed> {
        Some(Printed {
            text,
            ty,
            kind: Kind::Atom,
        })
    }

    fn operator(&self, text: String, ty: Oid) -> Option<Printed> {
        let text = if self.pretty {
            text
        } else {
            format!("({text})")
        };
        Some(Printed {
            text,
            ty: Some(ty),
            kind: Kind::Operator,
        })
    }

    fn print(&self, expr: &Expr) -> Option<Printed> {
        match expr {
            Expr::Nested(inner) => self.print(inner),
            Expr::Identifier(name) => {
                let (text, ty) = self.columns.find(None, &fold(name))?;
                Self::atom(text, Some(ty))
            }
            Expr::CompoundIdentifier(parts) => {
                let [relation, name] = parts.as_slice() else {
                    return None;
                };
                let (text, ty) = self.columns.find(Some(&fold(relation)), &fold(name))?;
                Self::atom(text, Some(ty))
            }
            Expr::Value(value) => self.value(&value.value),
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => self.negative(expr),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => {
                let operand = self.print(expr)?;
                self.operator(format!("NOT {}", self.operand(operand).text), BOOL)
            }
            Expr::IsNull(inner) => {
                let text = self.operand(self.print(inner)?).text;
                self.operator(format!("{text} IS NULL"), BOOL)
            }
            Expr::IsNotNull(inner) => {
                let text = self.operand(self.print(inner)?).text;
                self.operator(format!("{text} IS NOT NULL"), BOOL)
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Between {
                expr,
                negated: false,
                low,
                high,
            } => {
                let low = self.binary(expr, &BinaryOperator::GtEq, low)?;
                let high = self.binary(expr, &BinaryOperator::LtEq, high)?;
                self.operator(format!("{} AND {}", low.text, high.text), BOOL)
            }
            Expr::InList {
                expr,
                list,
                negated,
            } => self.in_list(expr, list, *negated),
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => self.matching(expr, if *negated { "!~~" } else { "~~" }, pattern),
            Expr::ILike {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => self.matching(expr, if *negated { "!~~*" } else { "~~*" }, pattern),
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                ..
            } => self.cast(expr, data_type),
            Expr::Function(function) => self.function(function),
            _ => None,
        }
    }

    fn value(&self, value: &Value) -> Option<Printed> {
        match value {
            Value::Number(digits, _) => {
                let text = digits.to_string();
                let ty = if text.contains(['.', 'e', 'E']) {
                    NUMERIC
                } else if text.parse::<i32>().is_ok() {
                    INT4
                } else if text.parse::<i64>().is_ok() {
                    INT8
                } else {
                    NUMERIC
                };
                // Numbers too large to be read back as what they are carry their type.
                let text = if ty == INT8 {
                    format!("'{text}'::bigint")
                } else {
                    text
                };
                Self::atom(text, Some(ty))
            }
            Value::SingleQuotedString(s) | Value::EscapedStringLiteral(s) => Some(Printed {
                text: names::quote_literal(s),
                ty: None,
                kind: Kind::Literal,
            }),
            Value::Boolean(b) => Self::atom(b.to_string(), Some(BOOL)),
            Value::Null => Some(Printed {
                text: "NULL".to_owned(),
                ty: None,
                kind: Kind::Literal,
            }),
            _ => None,
        }
    }

    fn negative(&self, operand: &Expr) -> Option<Printed> {
        if let Expr::Value(value) = operand
            && let Value::Number(digits, _) = &value.value
        {
            let ty = self.print(operand)?.ty?;
            let name = names::format_type(self.ctx, ty, None);
            return Self::atom(format!("'-{digits}'::{name}"), Some(ty));
        }
        let operand = self.print(operand)?;
        let ty = operand.ty?;
        self.operator(format!("- {}", self.operand(operand).text), ty)
    }

    /// An operand of an operator: pretty output leaves parentheses to what needs them.
    fn operand(&self, printed: Printed) -> Printed {
        if self.pretty && printed.kind == Kind::Operator {
            return Printed {
                text: format!("({})", printed.text),
                ..printed
            };
        }
        printed
    }

    /// A literal of no type yet becomes one of type `ty`; anything else stays what it is.
    fn literal_as(&self, printed: Printed, ty: Oid, typmod: i32) -> Printed {
        if printed.kind != Kind::Literal {
            return printed;
        }
        let typmod = if matches!(ty, VARCHAR | BPCHAR | NUMERIC) {
            None
        } else {
            Some(typmod)
        };
        let name = match (ty, typmod) {
            (BPCHAR, _) => "bpchar".to_owned(),
            _ => names::format_type(self.ctx, ty, typmod.filter(|t| *t >= 0)),
        };
        Printed {
            text: format!("{}::{name}", printed.text),
            ty: Some(ty),
            kind: Kind::Atom,
        }
    }

    /// An implicit cast, which PostgreSQL shows.
    fn cast_to(&self, printed: Printed, ty: Oid) -> Printed {
        if printed.kind == Kind::Literal {
            return self.literal_as(printed, ty, -1);
        }
        if printed.ty == Some(ty) {
            return printed;
        }
        let name = names::format_type(self.ctx, ty, None);
        let text = if self.pretty && printed.kind == Kind::Atom {
            format!("{}::{name}", printed.text)
        } else if self.pretty || printed.kind == Kind::Atom {
            format!("({})::{name}", printed.text)
        } else {
            format!("{}::{name}", printed.text)
        };
        Printed {
            text,
            ty: Some(ty),
            kind: Kind::Atom,
        }
    }

    /// The types both sides take before a comparison or an arithmetic operator.
    fn common(&self, left: Option<Oid>, right: Option<Oid>) -> Option<(Oid, Oid)> {
        let side = |ty: Oid| if ty == VARCHAR { TEXT } else { ty };
        match (left, right) {
            (None, None) => Some((TEXT, TEXT)),
            (Some(one), None) => Some((side(one), side(one))),
            (None, Some(one)) => Some((side(one), side(one))),
            (Some(l), Some(r)) => {
                let (l, r) = (side(l), side(r));
                let integer = |ty| matches!(ty, INT2 | INT4 | INT8);
                let float = |ty| matches!(ty, FLOAT4 | FLOAT8);
                // The integers and the floats have operators across their widths.
                if l == r || (integer(l) && integer(r)) || (float(l) && float(r)) {
                    return Some((l, r));
                }
                let number = |ty| integer(ty) || float(ty) || ty == NUMERIC;
                if number(l) && number(r) {
                    let wide = if float(l) || float(r) {
                        FLOAT8
                    } else {
                        NUMERIC
                    };
                    return Some((wide, wide));
                }
                let string = |ty| matches!(ty, TEXT | BPCHAR);
                if string(l) && string(r) {
                    return Some((TEXT, TEXT));
                }
                // Operators of two different types that are no numbers: PostgreSQL has some, such as
                // date + integer, and they take their operands as they are.
                Some((l, r))
            }
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Printed> {
        if let BinaryOperator::And | BinaryOperator::Or = op {
            let mut parts = Vec::new();
            for side in [left, right] {
                // A chain of the same operator is one list.
                if let Expr::BinaryOp { op: inner, .. } = side
                    && inner == op
                {
                    let text = self.print(side)?.text;
                    let text = if self.pretty {
                        text
                    } else {
                        text.strip_prefix('(')?.strip_suffix(')')?.to_owned()
                    };
                    parts.push(text);
                } else {
                    let printed = self.print(side)?;
                    // AND binds tighter than OR, so only an OR under an AND needs them.
                    let needs_parentheses = self.pretty
                        && *op == BinaryOperator::And
                        && matches!(
                            peel(side),
                            Expr::BinaryOp {
                                op: BinaryOperator::Or,
                                ..
                            }
                        );
                    parts.push(if needs_parentheses {
                        format!("({})", printed.text)
                    } else {
                        printed.text
                    });
                }
            }
            return self.operator(parts.join(&format!(" {op} ")), BOOL);
        }
        let (left, right) = (self.print(left)?, self.print(right)?);
        let (to_left, to_right) = self.common(left.ty, right.ty)?;
        let (left, right) = (self.cast_to(left, to_left), self.cast_to(right, to_right));
        let ty = match op {
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch => BOOL,
            BinaryOperator::StringConcat => TEXT,
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => match (to_left, to_right) {
                (INT8, _) | (_, INT8) => INT8,
                (FLOAT8, _) | (_, FLOAT8) => FLOAT8,
                (INT4, _) | (_, INT4)
                    if to_left == to_right || to_left == INT2 || to_right == INT2 =>
                {
                    INT4
                }
                (l, r) if l == r && l != DATE => l,
                _ => return None,
            },
            _ => return None,
        };
        self.operator(
            format!(
                "{} {op} {}",
                self.operand(left).text,
                self.operand(right).text
            ),
            ty,
        )
    }

    fn matching(&self, left: &Expr, op: &str, right: &Expr) -> Option<Printed> {
        let left = self.print(left)?;
        let side = if left.ty == Some(BPCHAR) {
            BPCHAR
        } else {
            TEXT
        };
        let left = self.cast_to(left, side);
        let right = self.cast_to(self.print(right)?, TEXT);
        self.operator(
            format!(
                "{} {op} {}",
                self.operand(left).text,
                self.operand(right).text
            ),
            BOOL,
        )
    }

    fn in_list(&self, expr: &Expr, list: &[Expr], negated: bool) -> Option<Printed> {
        if let ([only], false) = (list, negated) {
            return self.binary(expr, &BinaryOperator::Eq, only);
        }
        let left = self.print(expr)?;
        let ty = left.ty?;
        let mut items = Vec::new();
        for item in list {
            let printed = self.print(item)?;
            if printed.ty.is_some_and(|t| t != ty) {
                return None;
            }
            items.push(self.literal_as(printed, ty, -1).text);
        }
        let array = format!("ARRAY[{}]", items.join(", "));
        let quantifier = if negated { "<> ALL" } else { "= ANY" };
        let left = self.cast_to(left, if ty == VARCHAR { TEXT } else { ty });
        // An array of varchar compares as text[], which PostgreSQL shows as a cast of the array.
        let array = match ty {
            VARCHAR if self.pretty => format!("{array}::text[]"),
            VARCHAR => format!("(({array})::text[])"),
            _ if self.pretty => array,
            _ => format!("({array})"),
        };
        let array = if self.pretty {
            format!("({array})")
        } else {
            array
        };
        self.operator(
            format!("{} {quantifier} {array}", self.operand(left).text),
            BOOL,
        )
    }

    fn cast(&self, expr: &Expr, to: &DataType) -> Option<Printed> {
        let name = to.to_string();
        let ty = names::find_type(self.ctx, &name).ok().flatten()?;
        let inner = self.print(expr)?;
        if inner.kind == Kind::Literal && ty == REGCLASS {
            return self.relation(expr);
        }
        if inner.kind == Kind::Literal {
            return Some(self.literal_as(inner, ty, -1));
        }
        Some(self.cast_to(inner, ty))
    }

    /// A relation named in a literal, as the search path lets it be named.
    fn relation(&self, expr: &Expr) -> Option<Printed> {
        let Expr::Value(value) = peel(expr) else {
            return None;
        };
        let Value::SingleQuotedString(name) = &value.value else {
            return None;
        };
        let oid = names::find_relation(self.ctx, name).ok().flatten();
        let name = oid
            .and_then(|oid| names::relation_name(self.ctx, oid))
            .unwrap_or_else(|| name.clone());
        Self::atom(
            format!("{}::regclass", names::quote_literal(&name)),
            Some(REGCLASS),
        )
    }

    fn function(&self, function: &Function) -> Option<Printed> {
        let name = function.name.to_string().to_lowercase();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name).to_owned();
        let arguments = match &function.args {
            FunctionArguments::None => {
                let ty = match name.as_str() {
                    "current_timestamp" => 1184,
                    "localtimestamp" => 1114,
                    "current_date" => DATE,
                    "localtime" => 1083,
                    "current_user" | "session_user" | "user" | "current_role"
                    | "current_catalog" => 19,
                    _ => return None,
                };
                return Self::atom(name.to_uppercase(), Some(ty));
            }
            FunctionArguments::List(list) if list.clauses.is_empty() => &list.args,
            _ => return None,
        };
        if function.over.is_some() || function.filter.is_some() {
            return None;
        }
        if name == "count"
            && let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = arguments.as_slice()
        {
            return Self::atom("count(*)".to_owned(), Some(INT8));
        }
        let takes_relation = matches!(name.as_str(), "nextval" | "currval" | "setval");
        let mut printed = Vec::new();
        for (i, argument) in arguments.iter().enumerate() {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else {
                return None;
            };
            let text = if takes_relation && i == 0 {
                match peel(expr) {
                    Expr::Cast { .. } => self.print(expr)?,
                    _ => self.relation(expr)?,
                }
            } else {
                let value = self.print(expr)?;
                // Which type a bare literal takes here is the function's own affair; most take text.
                self.literal_as(value, TEXT, -1)
            };
            printed.push(text);
        }
        let ty = match name.as_str() {
            "nextval" | "currval" | "setval" => Some(INT8),
            "now" | "statement_timestamp" | "clock_timestamp" | "transaction_timestamp" => {
                Some(1184)
            }
            "length" | "char_length" | "character_length" | "octet_length" | "position"
            | "strpos" => Some(INT4),
            "lower" | "upper" | "trim" | "btrim" | "ltrim" | "rtrim" | "substr" | "replace"
            | "md5" => Some(TEXT),
            "abs" | "round" | "floor" | "ceil" | "min" | "max" => {
                printed.first().and_then(|p| p.ty)
            }
            "count" => Some(INT8),
            "gen_random_uuid" => Some(2950),
            "random" => Some(FLOAT8),
            _ => return None,
        };
        let texts: Vec<String> = printed
            .into_iter()
            .map(|p| match (name.as_str(), p.ty) {
                // These take text; a varchar is cast to it.
                ("length" | "lower" | "upper" | "btrim" | "md5" | "replace", Some(VARCHAR)) => {
                    self.cast_to(p, TEXT).text
                }
                _ => p.text,
            })
            .collect();
        Self::atom(format!("{name}({})", texts.join(", ")), ty)
    }
}

fn peel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => peel(inner),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::model::Column;
    use crate::pg_catalog::tests::fixture;

    /// Columns named after their types.
    fn table() -> Table {
        let columns = [
            ("i", INT4),
            ("b", INT8),
            ("n", NUMERIC),
            ("f", FLOAT8),
            ("t", TEXT),
            ("v", VARCHAR),
            ("c", BPCHAR),
            ("d", DATE),
            ("o", BOOL),
        ];
        let columns = columns
            .into_iter()
            .map(|(name, type_oid)| Column {
                name: name.to_owned(),
                type_oid,
                extension_type: None,
                user_type: None,
                domain: None,
                typmod: -1,
                not_null: false,
                default: None,
                default_sequences: Vec::new(),
                identity: None,
                generated: None,
                dropped: false,
                free: false,
                missing: None,
                compression: None,
            })
            .collect();
        Table {
            oid: 1,
            schema: 1,
            name: "x".to_owned(),
            owner: 10,
            collection: 1,
            columns,
            retention: None,
            row_security: Default::default(),
            policies: Vec::new(),
        }
    }

    /// A condition, and what PostgreSQL 15 prints for it, plain and pretty.
    #[rustfmt::skip]
    const CHECKS: &[(&str, &str, &str)] = &[
        ("i > 0", "(i > 0)", "i > 0"),
        ("b > 0", "(b > 0)", "b > 0"),
        ("n > 0", "(n > (0)::numeric)", "n > 0::numeric"),
        ("f > 0", "(f > (0)::double precision)", "f > 0::double precision"),
        ("n > 1.5", "(n > 1.5)", "n > 1.5"),
        ("f > 1.5", "(f > (1.5)::double precision)", "f > 1.5::double precision"),
        ("i > 1.5", "((i)::numeric > 1.5)", "i::numeric > 1.5"),
        ("t = 'x'", "(t = 'x'::text)", "t = 'x'::text"),
        ("v = 'x'", "((v)::text = 'x'::text)", "v::text = 'x'::text"),
        ("c = 'x'", "(c = 'x'::bpchar)", "c = 'x'::bpchar"),
        ("d > '2020-01-01'", "(d > '2020-01-01'::date)", "d > '2020-01-01'::date"),
        ("i > 0 AND i < 10", "((i > 0) AND (i < 10))", "i > 0 AND i < 10"),
        ("i > 0 OR (t = 'x' AND n < 5)", "((i > 0) OR ((t = 'x'::text) AND (n < (5)::numeric)))", "i > 0 OR t = 'x'::text AND n < 5::numeric"),
        ("(i > 0 OR t = 'x') AND n < 5", "(((i > 0) OR (t = 'x'::text)) AND (n < (5)::numeric))", "(i > 0 OR t = 'x'::text) AND n < 5::numeric"),
        ("i BETWEEN 1 AND 5", "((i >= 1) AND (i <= 5))", "i >= 1 AND i <= 5"),
        ("t IN ('a', 'b')", "(t = ANY (ARRAY['a'::text, 'b'::text]))", "t = ANY (ARRAY['a'::text, 'b'::text])"),
        ("v IN ('a', 'b')", "((v)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))", "v::text = ANY (ARRAY['a'::character varying, 'b'::character varying]::text[])"),
        ("i IN (1, 2, 3)", "(i = ANY (ARRAY[1, 2, 3]))", "i = ANY (ARRAY[1, 2, 3])"),
        ("t IN ('a')", "(t = 'a'::text)", "t = 'a'::text"),
        ("t NOT IN ('a', 'b')", "(t <> ALL (ARRAY['a'::text, 'b'::text]))", "t <> ALL (ARRAY['a'::text, 'b'::text])"),
        ("t LIKE 'a%'", "(t ~~ 'a%'::text)", "t ~~ 'a%'::text"),
        ("v LIKE 'a%'", "((v)::text ~~ 'a%'::text)", "v::text ~~ 'a%'::text"),
        ("t ~ '^a'", "(t ~ '^a'::text)", "t ~ '^a'::text"),
        ("NOT o", "(NOT o)", "NOT o"),
        ("o", "o", "o"),
        ("t IS NOT NULL", "(t IS NOT NULL)", "t IS NOT NULL"),
        ("t IS NULL OR i IS NULL", "((t IS NULL) OR (i IS NULL))", "t IS NULL OR i IS NULL"),
        ("i + 1 > 2", "((i + 1) > 2)", "(i + 1) > 2"),
        ("i * b > 0", "((i * b) > 0)", "(i * b) > 0"),
        ("i + n > 0", "(((i)::numeric + n) > (0)::numeric)", "(i::numeric + n) > 0::numeric"),
        ("-i < 0", "((- i) < 0)", "(- i) < 0"),
        ("i > -1", "(i > '-1'::integer)", "i > '-1'::integer"),
        ("length(t) > 3", "(length(t) > 3)", "length(t) > 3"),
        ("length(v) > 3", "(length((v)::text) > 3)", "length(v::text) > 3"),
        ("lower(v) = v", "(lower((v)::text) = (v)::text)", "lower(v::text) = v::text"),
        ("t || 'x' = 'ax'", "((t || 'x'::text) = 'ax'::text)", "(t || 'x'::text) = 'ax'::text"),
        ("b > 3000000000", "(b > '3000000000'::bigint)", "b > '3000000000'::bigint"),
        ("v = t", "((v)::text = t)", "v::text = t"),
        ("d <= now()", "(d <= now())", "d <= now()"),
        ("d <= CURRENT_DATE", "(d <= CURRENT_DATE)", "d <= CURRENT_DATE"),
        ("i > 0 AND b > 0 AND n > 0", "((i > 0) AND (b > 0) AND (n > (0)::numeric))", "i > 0 AND b > 0 AND n > 0::numeric"),
        ("NOT (i > 0 AND b > 0)", "(NOT ((i > 0) AND (b > 0)))", "NOT (i > 0 AND b > 0)"),
        ("i % 2 = 0", "((i % 2) = 0)", "(i % 2) = 0"),
        ("t = 'it''s'", "(t = 'it''s'::text)", "t = 'it''s'::text"),
    ];

    #[test]
    fn checks_print_with_the_casts_postgresql_makes() {
        let session = fixture::Session::over(fixture::catalog());
        let ctx = SystemContext::new(&session);
        let table = table();
        for (stored, plain, pretty) in CHECKS {
            let print = |flag| expression(&ctx, stored, Some(&table), None, flag);
            assert_eq!(print(false), *plain, "of {stored}");
            assert_eq!(print(true), *pretty, "of {stored}");
        }
    }
}
