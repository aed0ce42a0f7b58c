//! The grammar of types that users make:
//!
//! ```text
//! CREATE TYPE name AS ENUM ( [ 'label' [, …] ] )
//! ALTER TYPE name { ADD VALUE [ IF NOT EXISTS ] 'label' [ { BEFORE | AFTER } 'label' ]
//!                 | RENAME VALUE 'label' TO 'label' | RENAME TO name | SET SCHEMA name | OWNER TO role }
//! CREATE DOMAIN name [ AS ] type [ COLLATE name ] [ DEFAULT expression ]
//!               [ [ CONSTRAINT name ] { NOT NULL | NULL | CHECK ( expression ) } [ … ] ]
//! ALTER DOMAIN name { SET DEFAULT expression | DROP DEFAULT | { SET | DROP } NOT NULL
//!                   | ADD [ CONSTRAINT name ] CHECK ( expression ) [ NOT VALID ]
//!                   | DROP CONSTRAINT [ IF EXISTS ] name [ RESTRICT | CASCADE ]
//!                   | RENAME CONSTRAINT name TO name | VALIDATE CONSTRAINT name
//!                   | RENAME TO name | SET SCHEMA name | OWNER TO role }
//! DROP { TYPE | DOMAIN } [ IF EXISTS ] name [, …] [ CASCADE | RESTRICT ]
//! ```

use sqlparser::ast::{DataType, Expr, Ident, ObjectName, Owner};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// A statement about a type.
#[derive(Clone, Debug)]
pub(crate) enum TypeStatement {
    CreateEnum {
        name: ObjectName,
        labels: Vec<String>,
    },
    CreateDomain(CreateDomain),
    Alter {
        kind: TypeKind,
        name: ObjectName,
        action: AlterType,
    },
    Drop {
        kind: TypeKind,
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
    /// A form that is not supported.
    Unsupported(&'static str),
}

/// What a statement calls a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypeKind {
    Type,
    Domain,
}

#[derive(Clone, Debug)]
pub(crate) enum AlterType {
    AddValue {
        if_not_exists: bool,
        label: String,
        place: Option<LabelPlace>,
    },
    RenameValue {
        from: String,
        to: String,
    },
    Rename(Ident),
    SetSchema(Ident),
    Owner(Owner),
    SetDefault(Option<Expr>),
    SetNotNull(bool),
    AddConstraint {
        constraint: DomainCheck,
        not_valid: bool,
    },
    DropConstraint {
        if_exists: bool,
        name: Ident,
    },
    RenameConstraint {
        from: Ident,
        to: Ident,
    },
    ValidateConstraint(Ident),
}

/// The label that a new one is put beside.
#[derive(Clone, Debug)]
pub(crate) struct LabelPlace {
    pub neighbour: String,
    pub before: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct CreateDomain {
    pub name: ObjectName,
    pub base: DataType,
    pub default: Option<Expr>,
    /// Whether NOT NULL or NULL was said.
    pub nulls: Vec<bool>,
    pub checks: Vec<DomainCheck>,
    /// A collation, which only text has.
    pub collation: Option<ObjectName>,
}

#[derive(Clone, Debug)]
pub(crate) struct DomainCheck {
    pub name: Option<Ident>,
    pub expr: Expr,
}

type Parsed<T> = Result<T, ParserError>;

/// Parses CREATE, ALTER or DROP of a TYPE or DOMAIN, from the first word to the end.
pub(super) fn parse(p: &mut Parser<'_>) -> Parsed<TypeStatement> {
    let verbs = [Keyword::CREATE, Keyword::ALTER, Keyword::DROP];
    let verb = p.expect_one_of_keywords(&verbs)?;
    let kind = match p.expect_one_of_keywords(&[Keyword::TYPE, Keyword::DOMAIN])? {
        Keyword::TYPE => TypeKind::Type,
        _ => TypeKind::Domain,
    };
    let statement = match (verb, kind) {
        (Keyword::CREATE, TypeKind::Type) => create_type(p)?,
        (Keyword::CREATE, TypeKind::Domain) => TypeStatement::CreateDomain(create_domain(p)?),
        (Keyword::ALTER, kind) => alter(p, kind)?,
        (_, kind) => drop(p, kind)?,
    };
    match (&statement, &p.peek_token_ref().token) {
        (TypeStatement::Unsupported(_), _) | (_, Token::EOF) => Ok(statement),
        _ => p.expected_ref("end of statement", p.peek_token_ref()),
    }
}

fn label(p: &mut Parser<'_>) -> Parsed<String> {
    let token = p.next_token();
    match token.token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Ok(text),
        Token::DollarQuotedString(text) => Ok(text.value),
        _ => p.expected("a label", token),
    }
}

fn create_type(p: &mut Parser<'_>) -> Parsed<TypeStatement> {
    let name = p.parse_object_name(false)?;
    if !p.parse_keyword(Keyword::AS) {
        return Ok(TypeStatement::Unsupported("CREATE TYPE of a base type"));
    }
    if p.parse_keyword(Keyword::RANGE) {
        return Ok(TypeStatement::Unsupported("CREATE TYPE … AS RANGE"));
    }
    if !p.parse_keyword(Keyword::ENUM) {
        p.expect_token(&Token::LParen)?;
        return Ok(TypeStatement::Unsupported(
            "CREATE TYPE of a composite type",
        ));
    }
    p.expect_token(&Token::LParen)?;
    let labels = match p.peek_token_ref().token {
        Token::RParen => Vec::new(),
        _ => p.parse_comma_separated(label)?,
    };
    p.expect_token(&Token::RParen)?;
    Ok(TypeStatement::CreateEnum { name, labels })
}

/// The default of a column or domain, which ends before NOT NULL.
fn default(p: &mut Parser<'_>) -> Parsed<Expr> {
    p.parse_subexpr(PostgreSqlDialect {}.prec_value(Precedence::Between))
}

fn check(p: &mut Parser<'_>) -> Parsed<Expr> {
    p.expect_token(&Token::LParen)?;
    let expr = p.parse_expr()?;
    p.expect_token(&Token::RParen)?;
    Ok(expr)
}

fn create_domain(p: &mut Parser<'_>) -> Parsed<CreateDomain> {
    let name = p.parse_object_name(false)?;
    let _ = p.parse_keyword(Keyword::AS);
    let mut domain = CreateDomain {
        name,
        base: p.parse_data_type()?,
        default: None,
        nulls: Vec::new(),
        checks: Vec::new(),
        collation: None,
    };
    loop {
        if p.parse_keyword(Keyword::COLLATE) {
            domain.collation = Some(p.parse_object_name(false)?);
        } else if domain.default.is_none() && p.parse_keyword(Keyword::DEFAULT) {
            domain.default = Some(default(p)?);
        } else {
            let name = match p.parse_keyword(Keyword::CONSTRAINT) {
                true => Some(p.parse_identifier()?),
                false => None,
            };
            if p.parse_keyword(Keyword::CHECK) {
                let expr = check(p)?;
                domain.checks.push(DomainCheck { name, expr });
            } else if p.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
                domain.nulls.push(false);
            } else if p.parse_keyword(Keyword::NULL) {
                domain.nulls.push(true);
            } else if name.is_some() {
                return p.expected_ref("a constraint", p.peek_token_ref());
            } else {
                return Ok(domain);
            }
        }
    }
}

fn alter(p: &mut Parser<'_>, kind: TypeKind) -> Parsed<TypeStatement> {
    let name = p.parse_object_name(false)?;
    let is_domain = kind == TypeKind::Domain;
    let action = if p.parse_keywords(&[Keyword::RENAME, Keyword::TO]) {
        AlterType::Rename(p.parse_identifier()?)
    } else if p.parse_keywords(&[Keyword::SET, Keyword::SCHEMA]) {
        AlterType::SetSchema(p.parse_identifier()?)
    } else if p.parse_keywords(&[Keyword::OWNER, Keyword::TO]) {
        AlterType::Owner(p.parse_owner()?)
    } else if is_domain {
        alter_domain(p)?
    } else if p.parse_keywords(&[Keyword::ADD, Keyword::VALUE]) {
        let if_not_exists = p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let new = label(p)?;
        let place = match p.parse_one_of_keywords(&[Keyword::BEFORE, Keyword::AFTER]) {
            Some(word) => Some(LabelPlace {
                neighbour: label(p)?,
                before: word == Keyword::BEFORE,
            }),
            None => None,
        };
        AlterType::AddValue {
            if_not_exists,
            label: new,
            place,
        }
    } else if p.parse_keywords(&[Keyword::RENAME, Keyword::VALUE]) {
        let from = label(p)?;
        p.expect_keyword(Keyword::TO)?;
        AlterType::RenameValue {
            from,
            to: label(p)?,
        }
    } else {
        let actions = [
            Keyword::ADD,
            Keyword::ALTER,
            Keyword::DROP,
            Keyword::RENAME,
            Keyword::SET,
        ];
        p.expect_one_of_keywords(&actions)?;
        return Ok(TypeStatement::Unsupported("this form of ALTER TYPE"));
    };
    Ok(TypeStatement::Alter { kind, name, action })
}

fn alter_domain(p: &mut Parser<'_>) -> Parsed<AlterType> {
    let not_null = [Keyword::NOT, Keyword::NULL];
    if p.parse_keyword(Keyword::SET) {
        if p.parse_keyword(Keyword::DEFAULT) {
            return Ok(AlterType::SetDefault(Some(p.parse_expr()?)));
        }
        p.expect_keywords(&not_null)?;
        return Ok(AlterType::SetNotNull(true));
    }
    if p.parse_keyword(Keyword::ADD) {
        let name = match p.parse_keyword(Keyword::CONSTRAINT) {
            true => Some(p.parse_identifier()?),
            false => None,
        };
        p.expect_keyword(Keyword::CHECK)?;
        let expr = check(p)?;
        return Ok(AlterType::AddConstraint {
            constraint: DomainCheck { name, expr },
            not_valid: p.parse_keywords(&[Keyword::NOT, Keyword::VALID]),
        });
    }
    if p.parse_keywords(&[Keyword::RENAME, Keyword::CONSTRAINT]) {
        let from = p.parse_identifier()?;
        p.expect_keyword(Keyword::TO)?;
        return Ok(AlterType::RenameConstraint {
            from,
            to: p.parse_identifier()?,
        });
    }
    if p.parse_keywords(&[Keyword::VALIDATE, Keyword::CONSTRAINT]) {
        return Ok(AlterType::ValidateConstraint(p.parse_identifier()?));
    }
    p.expect_keyword(Keyword::DROP)?;
    if p.parse_keyword(Keyword::DEFAULT) {
        return Ok(AlterType::SetDefault(None));
    }
    if p.parse_keyword(Keyword::CONSTRAINT) {
        let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let name = p.parse_identifier()?;
        // Nothing depends on a check of a domain.
        let _ = p.parse_one_of_keywords(&[Keyword::CASCADE, Keyword::RESTRICT]);
        return Ok(AlterType::DropConstraint { if_exists, name });
    }
    p.expect_keywords(&not_null)?;
    Ok(AlterType::SetNotNull(false))
}

fn drop(p: &mut Parser<'_>, kind: TypeKind) -> Parsed<TypeStatement> {
    let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = p.parse_comma_separated(|p| p.parse_object_name(false))?;
    let behaviour = p.parse_one_of_keywords(&[Keyword::CASCADE, Keyword::RESTRICT]);
    Ok(TypeStatement::Drop {
        kind,
        names,
        if_exists,
        cascade: behaviour == Some(Keyword::CASCADE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(sql: &str) -> Parsed<TypeStatement> {
        parse(&mut Parser::new(&PostgreSqlDialect {}).try_with_sql(sql)?)
    }

    #[test]
    fn a_default_ends_where_the_constraints_begin() {
        let sql = "CREATE DOMAIN d AS int DEFAULT 1 + 2 NOT NULL CONSTRAINT c CHECK (VALUE > 0)";
        let Ok(TypeStatement::CreateDomain(domain)) = parsed(sql) else {
            panic!("{sql} does not parse");
        };
        assert_eq!(domain.default.unwrap().to_string(), "1 + 2");
        assert_eq!(domain.nulls, [false]);
        assert_eq!(domain.checks.len(), 1);
        assert_eq!(domain.checks[0].expr.to_string(), "VALUE > 0");
    }

    #[test]
    fn what_is_no_statement_about_a_type_is_refused() {
        for sql in [
            "CREATE TYPE t AS ENUM ('a',)",
            "CREATE TYPE t AS ENUM (a)",
            "CREATE TYPE t AS ENUM ('a') x",
            "ALTER TYPE t ADD VALUE",
            "ALTER TYPE t ADD VALUE 'a' BEFORE",
            "ALTER TYPE t",
            "CREATE DOMAIN d AS int CONSTRAINT c",
            "ALTER DOMAIN d DROP",
            "DROP TYPE",
        ] {
            assert!(parsed(sql).is_err(), "{sql}");
        }
    }
}
