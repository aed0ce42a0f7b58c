//! The names that plugins claim in SQL, and when two claims clash.
//!
//! Functions and operators may be overloaded, so their argument types belong to the claim. Commands
//! and clauses are told apart by their leading keywords: one whose keywords begin with another's
//! could be meant by the same text, so that is a clash too.

use std::fmt;

use heliosdb_plugin_api::manifest::{ClausePlace, Manifest};

/// What a name is a name of. Names of different kinds never clash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    Function,
    Type,
    Operator,
    OperatorClass,
    Clause,
    Command,
    Constraint,
    Codec,
    IndexMethod,
}

impl NameKind {
    pub const ALL: [NameKind; 9] = [
        NameKind::Function,
        NameKind::Type,
        NameKind::Operator,
        NameKind::OperatorClass,
        NameKind::Clause,
        NameKind::Command,
        NameKind::Constraint,
        NameKind::Codec,
        NameKind::IndexMethod,
    ];
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameKind::Function => "function",
            NameKind::Type => "type",
            NameKind::Operator => "operator",
            NameKind::OperatorClass => "operator class",
            NameKind::Clause => "clause",
            NameKind::Command => "command",
            NameKind::Constraint => "constraint",
            NameKind::Codec => "codec",
            NameKind::IndexMethod => "index method",
        })
    }
}

/// One name of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub kind: NameKind,
    /// Without argument types: what a client writes, or a command's or clause's leading keywords.
    pub name: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// The only thing of its kind with its name.
    Name,
    /// Told apart from others of its name by these.
    Types(Vec<String>),
    /// Told apart by keywords, within one place of the grammar.
    Words(Option<ClausePlace>),
}

impl Claim {
    pub fn clashes(&self, other: &Claim) -> bool {
        if self.kind != other.kind {
            return false;
        }
        match (&self.what, &other.what) {
            (What::Words(here), What::Words(there)) => {
                let words = self.name.split(' ').zip(other.name.split(' '));
                here == there && words.into_iter().all(|(a, b)| a == b)
            }
            (a, b) => self.name == other.name && a == b,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Types(types) if self.kind == NameKind::Operator => {
                write!(f, "operator {}", types.join(&format!(" {} ", self.name)))
            }
            What::Types(types) => write!(f, "{} {}({})", self.kind, self.name, types.join(", ")),
            What::Name | What::Words(_) => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// One spelling for each of PostgreSQL's types that have several: `int8` and `bigint` are one type.
fn type_name(spelled: &str) -> String {
    let spelled = spelled.trim().to_ascii_lowercase();
    let (element, array) = match spelled.find('[') {
        Some(place) => spelled.split_at(place),
        None => (&*spelled, ""),
    };
    let element = match element.trim_end() {
        "bool" => "boolean",
        "int2" => "smallint",
        "int" | "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "decimal" => "numeric",
        "character varying" => "varchar",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    };
    format!("{element}{array}")
}

/// All names that a plugin claims.
pub fn claims(manifest: &Manifest) -> Vec<Claim> {
    let p = &manifest.provides;
    let mut claims = Vec::new();
    let mut claim = |kind, name: &str, what| {
        let name = name.to_owned();
        claims.push(Claim { kind, name, what });
    };
    for f in &p.functions {
        claim(
            NameKind::Function,
            &f.name,
            What::Types(f.arguments.iter().map(|t| type_name(t)).collect()),
        );
    }
    for t in &p.types {
        claim(NameKind::Type, &t.name, What::Name);
    }
    for o in &p.operators {
        let types = vec![type_name(&o.left), type_name(&o.right)];
        claim(NameKind::Operator, &o.name, What::Types(types));
    }
    for c in &p.operator_classes {
        let method = vec![c.method.clone()];
        claim(NameKind::OperatorClass, &c.name, What::Types(method));
    }
    for c in &p.clauses {
        let words = leading_words(c.place, &c.grammar);
        claim(NameKind::Clause, &words, What::Words(Some(c.place)));
    }
    for c in &p.commands {
        claim(NameKind::Command, &c.prefix, What::Words(None));
    }
    for c in &p.constraints {
        claim(NameKind::Constraint, &c.name, What::Name);
    }
    for c in &p.codecs {
        claim(NameKind::Codec, &c.name, What::Name);
    }
    for i in &p.indexes {
        claim(NameKind::IndexMethod, &i.name, What::Name);
    }
    claims
}

/// The keywords before a clause's first argument; of a `WITH` clause, its key.
fn leading_words(place: ClausePlace, grammar: &str) -> String {
    let words = grammar.split_whitespace();
    let words: Vec<&str> = match place {
        ClausePlace::With => words.take(1).collect(),
        ClausePlace::Column | ClausePlace::Table => {
            words.take_while(|w| !w.starts_with('<')).collect()
        }
    };
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims_of(provides: &str) -> Vec<Claim> {
        let text = format!("id = \"a\"\nversion = \"1\"\nabi = 1\n{provides}");
        claims(&Manifest::parse(&text).unwrap())
    }

    fn clash(a: &str, b: &str) -> bool {
        claims_of(a)[0].clashes(&claims_of(b)[0])
    }

    #[test]
    fn functions_and_operators_clash_by_signature() {
        let f = |arguments: &str| {
            format!(
                "[[function]]\nname = \"f\"\nkind = \"scalar\"\narguments = {arguments}\nreturns = \"text\"\n"
            )
        };
        assert!(clash(&f("[\"text\"]"), &f("[\"text\"]")));
        assert!(!clash(&f("[\"text\"]"), &f("[\"text\", \"text\"]")));
        assert_eq!(
            claims_of(&f("[\"text\", \"int4\"]"))[0].to_string(),
            "function f(text, integer)"
        );
        // A type has one meaning, however it is spelled.
        assert!(clash(&f("[\"int8\"]"), &f("[\"bigint\"]")));
        assert!(clash(&f("[\"float8[]\"]"), &f("[\"double precision[]\"]")));
        assert!(!clash(&f("[\"int8\"]"), &f("[\"int8[]\"]")));
        let operator = |ty: &str| {
            let returns = "returns = \"boolean\"\n";
            let function =
                f(&format!("[\"{ty}\", \"{ty}\"]")).replace("returns = \"text\"\n", returns);
            format!(
                "{function}[[operator]]\nname = \"~~~\"\nleft = \"{ty}\"\nright = \"{ty}\"\n\
                 {returns}function = \"f\"\n"
            )
        };
        let (short, long) = (
            claims_of(&operator("int4")),
            claims_of(&operator("integer")),
        );
        assert!(short[1].clashes(&long[1]));
    }

    #[test]
    fn commands_and_clauses_clash_by_leading_keywords() {
        let command = |prefix: &str| format!("[[command]]\nprefix = \"{prefix}\"\n");
        assert!(clash(
            &command("CREATE JSON SCHEMA"),
            &command("CREATE JSON")
        ));
        assert!(!clash(
            &command("CREATE JSON SCHEMA"),
            &command("CREATE JSON INDEX")
        ));
        let clause = |place: &str, grammar: &str| {
            format!("[[clause]]\nname = \"c\"\nplace = \"{place}\"\ngrammar = \"{grammar}\"\n")
        };
        let using = clause("column", "VALIDATE USING SCHEMA <name>");
        assert!(clash(&using, &clause("column", "VALIDATE USING <name>")));
        assert!(!clash(
            &using,
            &clause("table", "VALIDATE USING SCHEMA <name>")
        ));
        assert!(!clash(&using, &clause("column", "VALIDATE BY <name>")));
        assert!(clash(
            &clause("with", "chunk = <literal>"),
            &clause("with", "chunk")
        ));
    }
}
