//! GRANT, REVOKE and ALTER DEFAULT PRIVILEGES as text: the dialect knows only a part of them.
//!
//! ```text
//! GRANT privileges ON objects TO roles [WITH GRANT OPTION] [GRANTED BY role]
//! REVOKE [GRANT OPTION FOR] privileges ON objects FROM roles [GRANTED BY role] [CASCADE | RESTRICT]
//! GRANT roles TO roles [WITH ADMIN OPTION] [GRANTED BY role]
//! REVOKE [ADMIN OPTION FOR] roles FROM roles [GRANTED BY role] [CASCADE | RESTRICT]
//! ALTER DEFAULT PRIVILEGES [FOR ROLE roles] [IN SCHEMA schemas] GRANT … | REVOKE …
//! ```

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use crate::ddl::routine::syntax::{NamedAs, RoutineName, routine};
use crate::names::fold;

type Result<T> = std::result::Result<T, ParserError>;

/// One of the statements.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    Privileges(GrantPrivileges),
    Roles(GrantRoles),
    Default(GrantDefault),
}

/// What GRANT and REVOKE have in common.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub grant: bool,
    /// WITH GRANT (or ADMIN) OPTION, or the option alone is revoked.
    pub option: bool,
    pub roles: Vec<RoleName>,
    pub granted_by: Option<RoleName>,
    pub cascade: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct GrantPrivileges {
    pub privileges: Vec<Named>,
    pub objects: Objects,
    pub terms: Terms,
}

#[derive(Clone, Debug)]
pub(crate) struct GrantRoles {
    pub granted: Vec<RoleName>,
    pub terms: Terms,
}

#[derive(Clone, Debug)]
pub(crate) struct GrantDefault {
    /// Of whom; the current role when none is named.
    pub of: Vec<RoleName>,
    pub schemas: Vec<Ident>,
    pub privileges: Vec<Named>,
    /// TABLES, SEQUENCES …
    pub kind: Kind,
    pub terms: Terms,
}

/// A privilege, on columns or on the whole.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// `None` for ALL.
    pub name: Option<String>,
    pub columns: Vec<Ident>,
}

/// A role as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoleName {
    Public,
    /// CURRENT_ROLE, CURRENT_USER.
    Current,
    Session,
    Name(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    Sequence,
    Schema,
    Database,
    Branch,
    /// Procedures, too.
    Function,
    /// Domains, too.
    Type,
    /// Languages, tablespaces and others that are not there.
    Other(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) enum Objects {
    Named(Kind, Vec<ObjectName>),
    Functions(NamedAs, Vec<RoutineName>),
    /// ALL TABLES IN SCHEMA …
    AllIn(Kind, Vec<Ident>),
    /// The routines of schemas that are what they are called.
    AllRoutinesIn(NamedAs, Vec<Ident>),
}

/// Whether tokens begin one of the statements.
pub(crate) fn begins(words: [Option<&Token>; 3]) -> bool {
    let word = |at: usize, word: &str| {
        matches!(words[at], Some(Token::Word(w))
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    };
    word(0, "grant")
        || word(0, "revoke")
        || (word(0, "alter") && word(1, "default") && word(2, "privileges"))
}

pub(crate) fn parse(p: &mut Parser<'_>) -> Result<Grant> {
    let grant = match p.parse_keyword(Keyword::ALTER) {
        true => parse_default(p)?,
        false => parse_grant(p)?,
    };
    match p.peek_token() {
        end if end.token == Token::EOF => Ok(grant),
        next => p.expected("the end of the statement", next),
    }
}

fn word(p: &mut Parser<'_>, word: &str) -> bool {
    let is = matches!(&p.peek_token_ref().token, Token::Word(w)
        if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
    if is {
        p.next_token();
    }
    is
}

fn words(p: &mut Parser<'_>, expected: &[&str]) -> bool {
    let start = p.index();
    for expected in expected {
        if !word(p, expected) {
            while p.index() > start {
                p.prev_token();
            }
            return false;
        }
    }
    true
}

fn expect(p: &mut Parser<'_>, expected: &str) -> Result<()> {
    match word(p, expected) {
        true => Ok(()),
        false => {
            let next = p.peek_token();
            p.expected(expected, next)
        }
    }
}

/// GRANT or REVOKE, and whether it is of an option only.
fn verb(p: &mut Parser<'_>) -> Result<(bool, Option<bool>)> {
    if word(p, "grant") {
        return Ok((true, None));
    }
    expect(p, "revoke")?;
    let option = words(p, &["grant", "option", "for"]);
    let admin = !option && words(p, &["admin", "option", "for"]);
    Ok((false, (option || admin).then_some(admin)))
}

fn parse_grant(p: &mut Parser<'_>) -> Result<Grant> {
    let (grant, option) = verb(p)?;
    let start = p.index();
    // A list of roles and one of privileges are told apart by what follows.
    let roles = match option {
        Some(admin) => admin,
        None => {
            let list = privileges(p);
            let roles = list.is_ok() && !p.peek_keyword(Keyword::ON);
            while p.index() > start {
                p.prev_token();
            }
            roles
        }
    };
    if roles {
        let granted = p.parse_comma_separated(role_name)?;
        let terms = terms(p, grant, option.is_some(), "admin")?;
        return Ok(Grant::Roles(GrantRoles { granted, terms }));
    }
    let privileges = privileges(p)?;
    expect(p, "on")?;
    let objects = objects(p)?;
    let terms = terms(p, grant, option.is_some(), "grant")?;
    Ok(Grant::Privileges(GrantPrivileges {
        privileges,
        objects,
        terms,
    }))
}

fn parse_default(p: &mut Parser<'_>) -> Result<Grant> {
    expect(p, "default")?;
    expect(p, "privileges")?;
    let (mut of, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if words(p, &["for", "role"]) || words(p, &["for", "user"]) {
            of = p.parse_comma_separated(role_name)?;
        } else if words(p, &["in", "schema"]) {
            schemas = p.parse_comma_separated(Parser::parse_identifier)?;
        } else {
            break;
        }
    }
    let (grant, option) = verb(p)?;
    let privileges = privileges(p)?;
    expect(p, "on")?;
    let kinds = [
        ("tables", Kind::Table),
        ("sequences", Kind::Sequence),
        ("functions", Kind::Function),
        ("routines", Kind::Function),
        ("types", Kind::Type),
        ("schemas", Kind::Schema),
    ];
    let kind = kinds.into_iter().find(|(name, _)| word(p, name));
    let Some((_, kind)) = kind else {
        let next = p.peek_token();
        return p.expected("a kind of objects", next);
    };
    let terms = terms(p, grant, option.is_some(), "grant")?;
    Ok(Grant::Default(GrantDefault {
        of,
        schemas,
        privileges,
        kind,
        terms,
    }))
}

fn privileges(p: &mut Parser<'_>) -> Result<Vec<Named>> {
    if word(p, "all") {
        let _ = word(p, "privileges");
        let columns = columns(p)?;
        return Ok(vec![Named {
            name: None,
            columns,
        }]);
    }
    p.parse_comma_separated(parse_named)
}

fn parse_named(p: &mut Parser<'_>) -> Result<Named> {
    let name = p.parse_identifier()?;
    Ok(Named {
        name: Some(name.value),
        columns: columns(p)?,
    })
}

fn columns(p: &mut Parser<'_>) -> Result<Vec<Ident>> {
    if !p.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let columns = p.parse_comma_separated(Parser::parse_identifier)?;
    p.expect_token(&Token::RParen)?;
    Ok(columns)
}

fn objects(p: &mut Parser<'_>) -> Result<Objects> {
    type All = fn(Vec<Ident>) -> Objects;
    let all: [(&str, All); 5] = [
        ("tables", |s| Objects::AllIn(Kind::Table, s)),
        ("sequences", |s| Objects::AllIn(Kind::Sequence, s)),
        ("functions", |s| {
            Objects::AllRoutinesIn(NamedAs::Function, s)
        }),
        ("procedures", |s| {
            Objects::AllRoutinesIn(NamedAs::Procedure, s)
        }),
        ("routines", |s| Objects::AllRoutinesIn(NamedAs::Routine, s)),
    ];
    for (name, all) in all {
        if words(p, &["all", name, "in", "schema"]) {
            return Ok(all(p.parse_comma_separated(Parser::parse_identifier)?));
        }
    }
    let kinds: [(&[&str], Kind); 16] = [
        (&["table"], Kind::Table),
        (&["sequence"], Kind::Sequence),
        (&["schema"], Kind::Schema),
        (&["database", "branch"], Kind::Branch),
        (&["branch"], Kind::Branch),
        (&["database"], Kind::Database),
        (&["function"], Kind::Function),
        (&["procedure"], Kind::Function),
        (&["routine"], Kind::Function),
        (&["type"], Kind::Type),
        (&["domain"], Kind::Type),
        (&["language"], Kind::Other("LANGUAGE")),
        (&["tablespace"], Kind::Other("TABLESPACE")),
        (&["parameter"], Kind::Other("PARAMETER")),
        (&["large", "object"], Kind::Other("LARGE OBJECT")),
        (&["foreign"], Kind::Other("FOREIGN")),
    ];
    // A table may be called like a kind, and is then followed by what follows a name.
    let kind = kinds.into_iter().find(|(name, _)| {
        let start = p.index();
        let found = words(p, name);
        let end = matches!(&p.peek_token_ref().token, Token::Word(w)
            if w.quote_style.is_none() && matches!(w.keyword, Keyword::TO | Keyword::FROM));
        let is = found && !end && !matches!(p.peek_token_ref().token, Token::Comma | Token::Period);
        while !is && p.index() > start {
            p.prev_token();
        }
        is
    });
    let kind_word = kind.and_then(|(name, _)| name.first().copied());
    match kind.map_or(Kind::Table, |(_, kind)| kind) {
        Kind::Function => {
            let named = match kind_word {
                Some("procedure") => NamedAs::Procedure,
                Some("routine") => NamedAs::Routine,
                _ => NamedAs::Function,
            };
            let functions = p.parse_comma_separated(routine)?;
            Ok(Objects::Functions(named, functions))
        }
        kind @ Kind::Other(_) => {
            while !matches!(&p.peek_token_ref().token, Token::EOF)
                && !p.peek_keyword(Keyword::TO)
                && !p.peek_keyword(Keyword::FROM)
            {
                p.next_token();
            }
            Ok(Objects::Named(kind, Vec::new()))
        }
        kind => {
            let names = p.parse_comma_separated(|p| p.parse_object_name(false))?;
            Ok(Objects::Named(kind, names))
        }
    }
}

pub(crate) fn role_name(p: &mut Parser<'_>) -> Result<RoleName> {
    let _ = word(p, "group");
    let ident = p.parse_identifier()?;
    if ident.quote_style.is_none() {
        match ident.value.to_ascii_lowercase().as_str() {
            "public" => return Ok(RoleName::Public),
            "current_role" | "current_user" => return Ok(RoleName::Current),
            "session_user" => return Ok(RoleName::Session),
            _ => {}
        }
    }
    Ok(RoleName::Name(fold(&ident)))
}

fn terms(p: &mut Parser<'_>, grant: bool, option: bool, word_of_option: &str) -> Result<Terms> {
    expect(p, if grant { "to" } else { "from" })?;
    let roles = p.parse_comma_separated(role_name)?;
    let with = grant && words(p, &["with", word_of_option, "option"]);
    let granted_by = match words(p, &["granted", "by"]) {
        true => Some(role_name(p)?),
        false => None,
    };
    let cascade = !grant && word(p, "cascade");
    if !grant && !cascade {
        let _ = word(p, "restrict");
    }
    Ok(Terms {
        grant,
        option: option || with,
        roles,
        granted_by,
        cascade,
    })
}
