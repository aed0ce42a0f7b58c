//! From SQL text to statements that know their own text.
//!
//! The parser is sqlparser's PostgreSQL dialect. Text is cut at semicolons first, so that each
//! statement carries its own text for messages and positions. A syntax error anywhere refuses the
//! whole text before any of it runs, as in PostgreSQL. A few statements that the dialect lacks are
//! parsed here ([`StatementKind`]) or spelled the way it knows (`ABORT`, `CREATE USER`). Plugins have
//! the first look: their commands stay text, and their clauses are taken out before the parser sees
//! the rest ([`crate::plugin::grammar`]). So is `AS OF` ([`crate::plan::as_of::syntax`]).

use std::sync::Arc;

use sqlparser::ast::{self, Expr, Ident, ObjectName};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::alter_setting::{self, AlterSetting};
use super::cluster::{self, Cluster};
use super::comment::{self, CommentOnConstraint};
use super::cursor::Fetch;
use super::deferred::{self, SetConstraints};
use super::grammar::Grammar;
use super::known::KnownStatement;
use super::reindex::{self, Reindex};
use super::taken_out::{count_locks, drop_key_lock_words, take_deferrable};
use super::upkeep::{self, Upkeep};
use super::user_type::{self, TypeStatement};
use super::{depth, fetch, precedence, spelling, spread, synonym};
use crate::copy::syntax::{self as copy, CopyStatement};
use crate::ddl::grant::syntax::{self as grant, Grant};
use crate::ddl::owner::{self, Owner};
use crate::ddl::policy::{self, PolicyStatement};
use crate::ddl::routine::syntax::{self as routine, RoutineStatement};
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::as_of::syntax::{self as as_of, Clause};
use crate::plugin::grammar::{self, PlacedClause, Unexpected};
use crate::plugin::operators;
use crate::plugin::syntax::{CommandSyntax, Syntax};
use crate::transfer::backup;
use crate::transfer::export::{self, ExportOption};

/// Expressions nested deeper than this are refused with 54001's neighbour, 54000.
const RECURSION_DEPTH_MAX: usize = 128;

/// One parsed statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The statement's own text, without the semicolon.
    pub text: String,
    /// Where `text` begins in what was given to `parse`, in characters.
    pub offset: usize,
    pub(crate) kind: StatementKind,
    /// At most how deep its tree is.
    pub(super) depth: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum StatementKind {
    Sql(Box<ast::Statement>),
    /// SELECT, or DECLARE, … FOR NO KEY UPDATE or FOR KEY SHARE, which the dialect spells without the key.
    SqlWithKeyLock(Box<ast::Statement>),
    /// BEGIN or SET TRANSACTION with DEFERRABLE (`true`) or NOT DEFERRABLE, which the dialect lacks.
    SqlWithDeferrable(Box<ast::Statement>, bool),
    /// CREATE USER: CREATE ROLE that logs in.
    CreateUser(Box<ast::CreateRole>),
    CreateSequence(CreateSequence),
    AlterSequence(AlterSequence),
    AlterExtension(AlterExtension),
    /// EXPORT DATABASE TO STDOUT.
    Export(Vec<ExportOption>),
    /// BACKUP DATABASE TO a directory.
    Backup(String),
    /// ARCHIVE LOG.
    ArchiveLog,
    Copy(Box<CopyStatement>),
    /// CREATE TABLE or ALTER TABLE with clauses of plugins, in the order they were written.
    SqlWithClauses(Box<ast::Statement>, Vec<PlacedClause>),
    /// A statement that a plugin runs.
    Plugin(Arc<CommandSyntax>),
    /// FETCH or MOVE.
    Fetch(Fetch),
    Checkpoint,
    Cluster(Cluster),
    Reindex(Reindex),
    /// VACUUM or ANALYZE.
    Upkeep(Box<Upkeep>),
    CommentOnConstraint(CommentOnConstraint),
    SetConstraints(SetConstraints),
    /// CREATE, ALTER or DROP of a TYPE or DOMAIN.
    Type(Box<TypeStatement>),
    Grant(Box<Grant>),
    /// OWNER TO, REASSIGN OWNED, DROP OWNED.
    Owner(Owner),
    Policy(Box<PolicyStatement>),
    /// ALTER ROLE … SET, ALTER DATABASE … SET, and RESET of both.
    AlterSetting(AlterSetting),
    /// CREATE, ALTER or DROP of a FUNCTION or PROCEDURE.
    Routine(Box<RoutineStatement>),
    Empty,
    /// One whose plan was found by its text.
    Known(KnownStatement),
}

/// ALTER EXTENSION name UPDATE [TO version].
#[derive(Clone, Debug)]
pub(crate) struct AlterExtension {
    pub name: Ident,
    pub version: Option<String>,
}

impl StatementKind {
    /// The syntax tree of what is plain SQL, or would be without clauses of plugins.
    pub fn ast(&self) -> Option<&ast::Statement> {
        match self {
            StatementKind::Sql(s)
            | StatementKind::SqlWithKeyLock(s)
            | StatementKind::SqlWithDeferrable(s, _)
            | StatementKind::SqlWithClauses(s, _) => Some(s),
            StatementKind::Copy(copy) => Some(&copy.ast),
            _ => None,
        }
    }

    fn ast_mut(&mut self) -> Option<&mut ast::Statement> {
        match self {
            StatementKind::Sql(s)
            | StatementKind::SqlWithKeyLock(s)
            | StatementKind::SqlWithDeferrable(s, _)
            | StatementKind::SqlWithClauses(s, _) => Some(s),
            StatementKind::Copy(copy) => Some(&mut copy.ast),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CreateSequence {
    pub name: ObjectName,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub options: Vec<SequenceOption>,
}

#[derive(Clone, Debug)]
pub(crate) struct AlterSequence {
    pub name: ObjectName,
    pub if_exists: bool,
    pub options: Vec<SequenceOption>,
}

/// An option of a sequence; `None` is NO MINVALUE, RESTART alone, OWNED BY NONE.
#[derive(Clone, Debug)]
pub(crate) enum SequenceOption {
    As(ast::DataType),
    Increment(Expr),
    Min(Option<Expr>),
    Max(Option<Expr>),
    Start(Expr),
    Cache(Expr),
    Cycle(bool),
    Restart(Option<Expr>),
    OwnedBy(Option<ObjectName>),
    RenameTo(Ident),
}

impl Statement {
    /// The syntax tree, for those who look for shapes only this layer does not know.
    pub fn ast(&self) -> Option<&ast::Statement> {
        self.kind.ast()
    }

    pub(crate) fn ast_mut(&mut self) -> Option<&mut ast::Statement> {
        self.kind.ast_mut()
    }

    /// The cursor that it declares.
    pub fn declared_cursor(&self) -> Option<String> {
        match self.ast()? {
            ast::Statement::Declare { stmts } => match stmts.as_slice() {
                [declare] => declare.names.first().map(fold),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.kind, StatementKind::Empty)
    }
}

/// Cuts at semicolons and parses each piece. Empty pieces vanish, unless all are: then the one
/// statement is empty.
pub(crate) fn parse(sql: &str, syntax: &Syntax) -> Result<Vec<Statement>> {
    // Names of our own have one, which no text may have therefore.
    if sql.contains('\0') {
        return Err(SqlError::new(
            state::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|e| tokenizer_error(sql, e.message, e.location))?;
    let lines = LineStarts::new(sql);
    let mut statements = Vec::new();
    let mut piece: Vec<TokenWithSpan> = Vec::new();
    for token in tokens {
        if token.token == Token::SemiColon {
            let piece = std::mem::take(&mut piece);
            push_statement(&mut statements, sql, syntax, &lines, piece)?;
        } else {
            piece.push(token);
        }
    }
    push_statement(&mut statements, sql, syntax, &lines, piece)?;
    if statements.is_empty() {
        statements.push(Statement {
            text: String::new(),
            offset: 0,
            kind: StatementKind::Empty,
            depth: 0,
        });
    }
    Ok(statements)
}

/// Parses exactly one statement, as the extended protocol's Parse message demands.
pub(crate) fn parse_one(sql: &str, syntax: &Syntax) -> Result<Statement> {
    let mut statements = parse(sql, syntax)?;
    if statements.len() > 1 {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "cannot insert multiple commands into a prepared statement",
        ));
    }
    statements
        .pop()
        .ok_or_else(|| SqlError::internal("parsing gave no statement"))
}

/// Parses one expression, such as a stored default or CHECK condition.
pub(crate) fn parse_expression(sql: &str) -> Result<Expr> {
    parse_stored(sql, |p| p.parse_expr())
}

/// Parses a stored query, such as a view's definition.
pub(crate) fn parse_query(sql: &str) -> Result<Box<ast::Query>> {
    parse_stored(sql, |p| p.parse_query())
}

/// Takes the clauses AS OF out of the tokens.
fn extract_times(lines: &LineStarts<'_>, tokens: &mut Vec<TokenWithSpan>) -> Result<Vec<Clause>> {
    let clauses = as_of::extract(&Grammar::new(tokens.len()), RECURSION_DEPTH_MAX, tokens);
    clauses.map_err(|failure| match failure {
        as_of::Failure::Syntax(e) => parser_error(lines, e),
        as_of::Failure::Refused(e, at) => e.with_position(lines.position(at)),
    })
}

/// Puts them into the tree; all of them have to find their table there.
fn attach_times(
    lines: &LineStarts<'_>,
    tree: Option<&mut impl ast::VisitMut>,
    clauses: Vec<Clause>,
) -> Result<()> {
    let left = match tree {
        Some(tree) => as_of::attach(tree, clauses),
        None => clauses.into_iter().next(),
    };
    match left {
        Some(clause) => Err(as_of::misplaced().with_position(lines.position(clause.at))),
        None => Ok(()),
    }
}

/// Parses SQL that was printed from a syntax tree.
fn parse_stored<T: ast::VisitMut>(
    sql: &str,
    parse: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    let dialect = PostgreSqlDialect {};
    let lines = LineStarts::new(sql);
    let mut tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|e| tokenizer_error(sql, e.message, e.location))?;
    operators::join_printed(&mut tokens);
    let times = extract_times(&lines, &mut tokens)?;
    spread::mark_calls(&mut tokens);
    let grammar = Grammar::new(tokens.len());
    let mut parser = Parser::new(&grammar)
        .with_recursion_limit(RECURSION_DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let mut tree = parse(&mut parser).map_err(|e| parser_error(&lines, e))?;
    precedence::mend(&mut tree);
    attach_times(&lines, Some(&mut tree), times)?;
    Ok(tree)
}

fn push_statement(
    statements: &mut Vec<Statement>,
    sql: &str,
    syntax: &Syntax,
    lines: &LineStarts<'_>,
    tokens: Vec<TokenWithSpan>,
) -> Result<()> {
    let is_space = |t: &TokenWithSpan| matches!(t.token, Token::Whitespace(_));
    let Some(first) = tokens.iter().position(|t| !is_space(t)) else {
        return Ok(());
    };
    let last = tokens.iter().rposition(|t| !is_space(t)).unwrap_or(first);
    let mut tokens = tokens[first..=last].to_vec();
    let start = tokens[0].span.start;
    let from = lines.byte(start);
    let to = lines.byte(tokens[tokens.len() - 1].span.end);
    let text = sql.get(from..to).unwrap_or_default().to_owned();
    let offset = sql.get(..from).map_or(0, |s| s.chars().count());
    // Places in the tree count from the statement's own start.
    for token in &mut tokens {
        token.span.start = relative(token.span.start, start);
        token.span.end = relative(token.span.end, start);
    }
    let depth = depth::check(&tokens)?;
    spread::mark(&mut tokens);
    let kind = parse_tokens(&LineStarts::new(&text), syntax, tokens).map_err(|mut e| {
        e.position = e.position.map(|p| p + offset);
        e
    })?;
    statements.push(Statement {
        text,
        offset,
        kind,
        depth,
    });
    Ok(())
}

/// A location counted from `start` instead of from the beginning of the text.
fn relative(at: Location, start: Location) -> Location {
    let first_line = at.line == start.line;
    Location {
        line: (at.line + 1).saturating_sub(start.line),
        column: if first_line {
            (at.column + 1).saturating_sub(start.column)
        } else {
            at.column
        },
    }
}

pub(super) fn is_word(token: Option<&&TokenWithSpan>, keyword: Keyword) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.keyword == keyword)
}

pub(super) fn word_is(token: Option<&&TokenWithSpan>, word: &str) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn keyword_token(like: &TokenWithSpan, keyword: Keyword, value: &str) -> TokenWithSpan {
    TokenWithSpan {
        token: Token::Word(Word {
            value: value.to_owned(),
            quote_style: None,
            keyword,
        }),
        span: like.span,
    }
}

fn parse_tokens(
    lines: &LineStarts<'_>,
    syntax: &Syntax,
    mut tokens: Vec<TokenWithSpan>,
) -> Result<StatementKind> {
    if let Some(command) = syntax.command(&tokens) {
        return Ok(StatementKind::Plugin(command));
    }
    let extracted =
        grammar::extract(syntax, &mut tokens).map_err(|Unexpected(token)| match token {
            Some(t) => near(lines, &t.token.to_string(), Some(t.span.start)),
            None => near(lines, "EOF", None),
        })?;
    if extracted.only_clauses {
        let table = parse_bare_alter(lines, tokens)?;
        return Ok(StatementKind::SqlWithClauses(
            Box::new(table),
            extracted.clauses,
        ));
    }
    operators::join(&mut tokens, syntax.operators());
    let times = extract_times(lines, &mut tokens)?;
    let compares_distinct = [Keyword::IS, Keyword::DISTINCT]
        .into_iter()
        .all(|word| tokens.iter().any(|token| is_word(Some(&token), word)));
    let comparisons: Vec<(String, Location)> = tokens
        .iter()
        .filter(|t| precedence::is_comparison(&t.token))
        .map(|t| (t.token.to_string(), t.span.start))
        .collect();
    let mut kind = parse_known(lines, extracted.clauses, tokens)?;
    if comparisons.len() > 1
        && let Some(tree) = kind.ast()
        && let Some(before) = precedence::chained(tree)
    {
        let mut behind = comparisons.iter().filter(|(_, at)| *at >= before);
        let found = behind.next().or(comparisons.last());
        if let Some((operator, at)) = found {
            return Err(near(lines, operator, Some(*at)));
        }
    }
    if compares_distinct && let Some(tree) = kind.ast_mut() {
        precedence::mend(tree);
    }
    attach_times(lines, kind.ast_mut(), times)?;
    Ok(kind)
}

/// Parses what holds nothing any more that only plugins or this crate know.
fn parse_known(
    lines: &LineStarts<'_>,
    clauses: Vec<PlacedClause>,
    mut tokens: Vec<TokenWithSpan>,
) -> Result<StatementKind> {
    let grammar = Grammar::new(tokens.len());
    spell_out_table(&mut tokens);
    spell_extension_options(&mut tokens);
    synonym::spell(&mut tokens);
    spelling::spell(&mut tokens);
    let significant: Vec<&TokenWithSpan> = tokens
        .iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .collect();
    let (first, second, third) = (significant.first(), significant.get(1), significant.get(2));

    if let Some(moves) = first.and_then(|first| fetch::begins(&first.token)) {
        return own(lines, tokens, |p| fetch::parse(p, moves)).map(StatementKind::Fetch);
    }
    if word_is(first, "checkpoint") && significant.len() == 1 {
        return Ok(StatementKind::Checkpoint);
    }
    if word_is(first, "cluster") {
        return own(lines, tokens, cluster::parse).map(StatementKind::Cluster);
    }
    if word_is(first, "reindex") {
        return own(lines, tokens, reindex::parse).map(StatementKind::Reindex);
    }
    if let Some(command) = upkeep::begins(first) {
        let upkeep = own(lines, tokens, |p| upkeep::parse(p, command))?;
        return Ok(StatementKind::Upkeep(Box::new(upkeep)));
    }
    if is_word(first, Keyword::COMMENT)
        && is_word(second, Keyword::ON)
        && is_word(third, Keyword::CONSTRAINT)
    {
        return own(lines, tokens, comment::parse).map(StatementKind::CommentOnConstraint);
    }
    if is_word(first, Keyword::SET) && word_is(second, "constraints") {
        let mut p = Parser::new(&grammar).with_tokens_with_locations(tokens);
        let set = deferred::parse(&mut p).map_err(|e| parser_error(lines, e))?;
        return match p.next_token() {
            end if end.token == Token::EOF => Ok(StatementKind::SetConstraints(set)),
            next => Err(near(lines, &next.token.to_string(), Some(next.span.start))),
        };
    }
    let of_type = is_word(second, Keyword::TYPE) || is_word(second, Keyword::DOMAIN);
    let verbs = [Keyword::CREATE, Keyword::ALTER, Keyword::DROP];
    if of_type && verbs.iter().any(|verb| is_word(first, *verb)) {
        let mut p = Parser::new(&grammar)
            .with_recursion_limit(RECURSION_DEPTH_MAX)
            .with_tokens_with_locations(tokens);
        let statement = user_type::parse(&mut p).map_err(|e| parser_error(lines, e))?;
        return Ok(StatementKind::Type(Box::new(statement)));
    }
    if grant::begins([first, second, third].map(|token| token.map(|t| &t.token))) {
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
        let grant = own(lines, tokens, grant::parse)?;
        return Ok(StatementKind::Grant(Box::new(grant)));
    }
    let plain: Vec<&Token> = significant.iter().map(|t| &t.token).collect();
    if routine::begins(&plain) {
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
        let mut p = Parser::new(&grammar)
            .with_recursion_limit(RECURSION_DEPTH_MAX)
            .with_tokens_with_locations(tokens);
        let routine = routine::parse(&mut p).map_err(|e| parser_error(lines, e))?;
        return Ok(StatementKind::Routine(Box::new(routine)));
    }
    if alter_setting::begins(&plain) {
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
        return own(lines, tokens, alter_setting::parse).map(StatementKind::AlterSetting);
    }
    if owner::is_one(&plain) {
        tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
        return own(lines, tokens, owner::parse).map(StatementKind::Owner);
    }
    if policy::begins(&plain) {
        let mut p = Parser::new(&grammar)
            .with_recursion_limit(RECURSION_DEPTH_MAX)
            .with_tokens_with_locations(tokens);
        let policy = policy::parse(&mut p).map_err(|e| parser_error(lines, e))?;
        return Ok(StatementKind::Policy(Box::new(policy)));
    }
    let sequence = is_word(second, Keyword::SEQUENCE)
        || (is_word(third, Keyword::SEQUENCE)
            && (is_word(second, Keyword::TEMP) || is_word(second, Keyword::TEMPORARY)));
    if sequence && (is_word(first, Keyword::ALTER) || is_word(first, Keyword::CREATE)) {
        return parse_sequence(lines, tokens);
    }
    if is_word(first, Keyword::ALTER) && is_word(second, Keyword::EXTENSION) {
        return parse_alter_extension(lines, tokens);
    }
    if word_is(first, "archive") && word_is(second, "log") && significant.len() == 2 {
        return Ok(StatementKind::ArchiveLog);
    }
    if word_is(first, "backup") && is_word(second, Keyword::DATABASE) {
        return own(lines, tokens, backup::parse).map(StatementKind::Backup);
    }
    if word_is(first, "export") && is_word(second, Keyword::DATABASE) {
        return own(lines, tokens, export::parse).map(StatementKind::Export);
    }
    if is_word(first, Keyword::COPY) {
        return parse_copy(lines, tokens);
    }
    let mut create_user = false;
    let mut key_lock = false;
    let mut deferrable = None;
    let modes = is_word(first, Keyword::BEGIN)
        || is_word(first, Keyword::START)
        || (is_word(first, Keyword::SET)
            && (is_word(second, Keyword::TRANSACTION) || is_word(second, Keyword::SESSION)));
    if modes {
        deferrable = take_deferrable(&mut tokens);
    } else if is_word(first, Keyword::ABORT) {
        if let Some(at) = tokens
            .iter()
            .position(|t| !matches!(t.token, Token::Whitespace(_)))
        {
            tokens[at] = keyword_token(&tokens[at], Keyword::ROLLBACK, "ROLLBACK");
        }
    } else if (is_word(first, Keyword::CREATE)
        || is_word(first, Keyword::ALTER)
        || is_word(first, Keyword::DROP))
        && is_word(second, Keyword::USER)
    {
        create_user = is_word(first, Keyword::CREATE);
        replace_word(&mut tokens, Keyword::USER, Keyword::ROLE, "ROLE");
        remove_word(&mut tokens, "encrypted");
    } else if (is_word(first, Keyword::CREATE) || is_word(first, Keyword::ALTER))
        && is_word(second, Keyword::ROLE)
    {
        remove_word(&mut tokens, "encrypted");
    } else if is_word(first, Keyword::SELECT)
        || is_word(first, Keyword::WITH)
        || is_word(first, Keyword::DECLARE)
    {
        let dropped = drop_key_lock_words(&mut tokens);
        if dropped != 0 && dropped != count_locks(&tokens) {
            return Err(SqlError::unsupported(
                "FOR NO KEY UPDATE or FOR KEY SHARE beside other locks",
            ));
        }
        key_lock = dropped != 0;
    } else if word_is(first, "reset") && is_word(second, Keyword::SESSION) {
        // RESET SESSION AUTHORIZATION is that of a parameter.
        let place = tokens
            .iter()
            .position(|t| is_word(Some(&t), Keyword::SESSION));
        if let (Some(at), true) = (place, is_word(third, Keyword::AUTHORIZATION)) {
            remove_word(&mut tokens, "authorization");
            let name = "session_authorization";
            tokens[at] = keyword_token(&tokens[at], Keyword::NoKeyword, name);
        }
    }

    let dialect = Grammar::new(tokens.len());
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let statement = parser
        .parse_statement()
        .map_err(|e| parser_error(lines, e))?;
    let next = parser.next_token();
    if next.token != Token::EOF {
        return Err(near(lines, &next.token.to_string(), Some(next.span.start)));
    }
    Ok(match statement {
        ast::Statement::CreateRole(role) if create_user => {
            StatementKind::CreateUser(Box::new(role))
        }
        statement if key_lock => StatementKind::SqlWithKeyLock(Box::new(statement)),
        statement if deferrable.is_some() => {
            StatementKind::SqlWithDeferrable(Box::new(statement), deferrable == Some(true))
        }
        statement if !clauses.is_empty() => {
            StatementKind::SqlWithClauses(Box::new(statement), clauses)
        }
        statement => StatementKind::Sql(Box::new(statement)),
    })
}

/// Parses by a grammar of our own.
fn own<T>(
    lines: &LineStarts<'_>,
    tokens: Vec<TokenWithSpan>,
    parse: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    let grammar = Grammar::new(tokens.len());
    let mut p = Parser::new(&grammar).with_tokens_with_locations(tokens);
    parse(&mut p).map_err(|e| parser_error(lines, e))
}

/// Writes the command `TABLE name` as `SELECT * FROM name`, wherever a query may stand. Elsewhere the
/// word follows another (CREATE, DROP, ON …) and means something else.
fn spell_out_table(tokens: &mut Vec<TokenWithSpan>) {
    let at: Vec<usize> = (0..tokens.len())
        .filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_)))
        .collect();
    let token = |i: usize| at.get(i).map(|p| &tokens[*p]);
    // REINDEX (VERBOSE) TABLE.
    if word_is(token(0).as_ref(), "reindex") {
        return;
    }
    let insert = is_word(token(0).as_ref(), Keyword::INSERT);
    let explain = is_word(token(0).as_ref(), Keyword::EXPLAIN);
    let mut found = Vec::new();
    for (i, place) in at.iter().enumerate() {
        if !is_word(Some(&&tokens[*place]), Keyword::TABLE) {
            continue;
        }
        let before = match i.checked_sub(1).and_then(token).map(|t| &t.token) {
            None | Some(Token::LParen) => true,
            Some(Token::RParen) => i > 1,
            Some(Token::Word(w)) if w.quote_style.is_some() => insert,
            Some(Token::Word(w)) => match w.keyword {
                Keyword::AS
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::ALL
                | Keyword::DISTINCT => true,
                Keyword::EXPLAIN | Keyword::ANALYZE | Keyword::VERBOSE => explain,
                Keyword::INTO => false,
                _ => insert,
            },
            Some(_) => false,
        };
        // The name, and what may follow it: no WHERE, no second table.
        let mut next = i + 1;
        while matches!(token(next).map(|t| &t.token), Some(Token::Word(_)))
            && matches!(token(next + 1).map(|t| &t.token), Some(Token::Period))
        {
            next += 2;
        }
        let named = matches!(token(next).map(|t| &t.token), Some(Token::Word(_)));
        let after = match token(next + 1).map(|t| &t.token) {
            None | Some(Token::RParen) => true,
            Some(Token::Word(w)) => matches!(
                w.keyword,
                Keyword::ORDER
                    | Keyword::LIMIT
                    | Keyword::OFFSET
                    | Keyword::FETCH
                    | Keyword::FOR
                    | Keyword::UNION
                    | Keyword::EXCEPT
                    | Keyword::INTERSECT
                    | Keyword::RETURNING
                    | Keyword::ON
                    | Keyword::WITH
            ),
            Some(_) => false,
        };
        if before && named && after {
            found.push(at[i]);
        }
    }
    for at in found.into_iter().rev() {
        let span = tokens[at].span;
        let star = TokenWithSpan {
            token: Token::Mul,
            span,
        };
        let from = keyword_token(&tokens[at], Keyword::FROM, "FROM");
        tokens[at] = keyword_token(&tokens[at], Keyword::SELECT, "SELECT");
        tokens.splice(at + 1..at + 1, [star, from]);
    }
}

/// CREATE EXTENSION's options after WITH, which the dialect demands and PostgreSQL does not.
fn spell_extension_options(tokens: &mut Vec<TokenWithSpan>) {
    let words: Vec<usize> = (0..tokens.len())
        .filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_)))
        .collect();
    let is = |word: usize, keyword| {
        let token = words.get(word).map(|i| &tokens[*i]);
        is_word(token.as_ref(), keyword)
    };
    if !is(0, Keyword::CREATE) || !is(1, Keyword::EXTENSION) {
        return;
    }
    // CREATE EXTENSION [IF NOT EXISTS] name, and the name may be any word.
    let first = if is(2, Keyword::IF) { 6 } else { 3 };
    let options = [Keyword::SCHEMA, Keyword::VERSION, Keyword::CASCADE];
    if options.iter().any(|option| is(first, *option)) {
        let at = words[first];
        let with = keyword_token(&tokens[at], Keyword::WITH, "WITH");
        tokens.insert(at, with);
    }
}

fn replace_word(tokens: &mut [TokenWithSpan], from: Keyword, to: Keyword, value: &str) {
    if let Some(t) = tokens
        .iter_mut()
        .find(|t| matches!(&t.token, Token::Word(w) if w.keyword == from))
    {
        *t = keyword_token(t, to, value);
    }
}

fn remove_word(tokens: &mut Vec<TokenWithSpan>, word: &str) {
    tokens.retain(|t| {
        !matches!(&t.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    });
}

/// ALTER TABLE whose every action was a clause of a plugin: what is left names the table.
fn parse_bare_alter(lines: &LineStarts<'_>, tokens: Vec<TokenWithSpan>) -> Result<ast::Statement> {
    let dialect = Grammar::new(tokens.len());
    let mut p = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let mut parse = || -> std::result::Result<ast::Statement, ParserError> {
        p.expect_keywords(&[Keyword::ALTER, Keyword::TABLE])?;
        let if_exists = p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let only = p.parse_keyword(Keyword::ONLY);
        let name = p.parse_object_name(false)?;
        let end = p.peek_token();
        if end.token != Token::EOF {
            return p.expected("an action", end);
        }
        Ok(ast::Statement::AlterTable(ast::AlterTable {
            name,
            if_exists,
            only,
            operations: Vec::new(),
            location: None,
            on_cluster: None,
            table_type: None,
            end_token: ast::helpers::attached_token::AttachedToken(end),
        }))
    };
    parse().map_err(|e| parser_error(lines, e))
}

/// ALTER EXTENSION, which the dialect does not know.
fn parse_alter_extension(
    lines: &LineStarts<'_>,
    tokens: Vec<TokenWithSpan>,
) -> Result<StatementKind> {
    let dialect = Grammar::new(tokens.len());
    let mut p = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let mut parse = || -> std::result::Result<Option<AlterExtension>, ParserError> {
        p.expect_keywords(&[Keyword::ALTER, Keyword::EXTENSION])?;
        let name = p.parse_identifier()?;
        if !p.parse_keyword(Keyword::UPDATE) {
            return Ok(None);
        }
        let version = match p.parse_keyword(Keyword::TO) {
            true => Some(p.parse_identifier()?.value),
            false => None,
        };
        let end = p.peek_token();
        if end.token != Token::EOF {
            return p.expected("the end of the statement", end);
        }
        Ok(Some(AlterExtension { name, version }))
    };
    match parse().map_err(|e| parser_error(lines, e))? {
        Some(alter) => Ok(StatementKind::AlterExtension(alter)),
        None => Err(SqlError::unsupported("this form of ALTER EXTENSION")),
    }
}

/// COPY, of whose options the dialect knows few.
fn parse_copy(lines: &LineStarts<'_>, tokens: Vec<TokenWithSpan>) -> Result<StatementKind> {
    let dialect = Grammar::new(tokens.len());
    let mut p = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let statement = copy::parse(&mut p).map_err(|failure| match failure {
        copy::Failure::Syntax(e) => parser_error(lines, e),
        copy::Failure::Refused(e, Some(at)) => e.with_position(lines.position(at)),
        copy::Failure::Refused(e, None) => *e,
    })?;
    let next = p.next_token();
    if next.token != Token::EOF {
        return Err(near(lines, &next.token.to_string(), Some(next.span.start)));
    }
    Ok(StatementKind::Copy(Box::new(statement)))
}

/// CREATE SEQUENCE and ALTER SEQUENCE: the dialect knows the options only in one order.
fn parse_sequence(lines: &LineStarts<'_>, tokens: Vec<TokenWithSpan>) -> Result<StatementKind> {
    let dialect = Grammar::new(tokens.len());
    let mut p = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_DEPTH_MAX)
        .with_tokens_with_locations(tokens);
    let mut parse = || -> std::result::Result<StatementKind, ParserError> {
        let create = p.parse_keyword(Keyword::CREATE);
        if !create {
            p.expect_keyword(Keyword::ALTER)?;
        }
        let temporary = p
            .parse_one_of_keywords(&[Keyword::TEMPORARY, Keyword::TEMP])
            .is_some();
        p.expect_keyword(Keyword::SEQUENCE)?;
        let conditional = if create {
            p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
        } else {
            p.parse_keywords(&[Keyword::IF, Keyword::EXISTS])
        };
        let name = p.parse_object_name(false)?;
        let options = parse_sequence_options(&mut p)?;
        let end = p.peek_token();
        if end.token != Token::EOF || (!create && options.is_empty()) {
            return p.expected("a sequence option", end);
        }
        Ok(if create {
            StatementKind::CreateSequence(CreateSequence {
                name,
                temporary,
                if_not_exists: conditional,
                options,
            })
        } else {
            StatementKind::AlterSequence(AlterSequence {
                name,
                if_exists: conditional,
                options,
            })
        })
    };
    parse().map_err(|e| parser_error(lines, e))
}

fn parse_sequence_options(
    p: &mut Parser<'_>,
) -> std::result::Result<Vec<SequenceOption>, ParserError> {
    let mut options = Vec::new();
    loop {
        let option = if p.parse_keyword(Keyword::AS) {
            SequenceOption::As(p.parse_data_type()?)
        } else if p.parse_keyword(Keyword::INCREMENT) {
            let _ = p.parse_keyword(Keyword::BY);
            SequenceOption::Increment(p.parse_number()?)
        } else if p.parse_keyword(Keyword::MINVALUE) {
            SequenceOption::Min(Some(p.parse_number()?))
        } else if p.parse_keyword(Keyword::MAXVALUE) {
            SequenceOption::Max(Some(p.parse_number()?))
        } else if p.parse_keywords(&[Keyword::NO, Keyword::MINVALUE]) {
            SequenceOption::Min(None)
        } else if p.parse_keywords(&[Keyword::NO, Keyword::MAXVALUE]) {
            SequenceOption::Max(None)
        } else if p.parse_keywords(&[Keyword::NO, Keyword::CYCLE]) {
            SequenceOption::Cycle(false)
        } else if p.parse_keyword(Keyword::CYCLE) {
            SequenceOption::Cycle(true)
        } else if p.parse_keyword(Keyword::START) {
            let _ = p.parse_keyword(Keyword::WITH);
            SequenceOption::Start(p.parse_number()?)
        } else if p.parse_keyword(Keyword::CACHE) {
            SequenceOption::Cache(p.parse_number()?)
        } else if p.parse_keyword(Keyword::RESTART) {
            let with = p.parse_keyword(Keyword::WITH);
            let number = with
                || matches!(
                    p.peek_token().token,
                    Token::Number(..) | Token::Minus | Token::Plus
                );
            SequenceOption::Restart(if number {
                Some(p.parse_number()?)
            } else {
                None
            })
        } else if p.parse_keywords(&[Keyword::OWNED, Keyword::BY]) {
            SequenceOption::OwnedBy(if p.parse_keyword(Keyword::NONE) {
                None
            } else {
                Some(p.parse_object_name(false)?)
            })
        } else if p.parse_keywords(&[Keyword::RENAME, Keyword::TO]) {
            SequenceOption::RenameTo(p.parse_identifier()?)
        } else {
            return Ok(options);
        };
        options.push(option);
    }
}

/// Byte offsets of the lines of a text, because the parser speaks of lines and columns.
struct LineStarts<'a> {
    sql: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineStarts<'a> {
    fn new(sql: &'a str) -> LineStarts<'a> {
        let starts = std::iter::once(0).chain(sql.match_indices('\n').map(|(i, _)| i + 1));
        LineStarts {
            sql,
            starts: starts.collect(),
        }
    }

    /// The byte offset of a location, clamped to the text.
    fn byte(&self, at: Location) -> usize {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(line) else {
            return self.sql.len();
        };
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        self.sql[*start..]
            .char_indices()
            .nth(column)
            .map_or(self.sql.len(), |(i, _)| start + i)
    }

    /// PostgreSQL's position: characters from 1.
    fn position(&self, at: Location) -> usize {
        self.sql[..self.byte(at)].chars().count() + 1
    }
}

fn tokenizer_error(sql: &str, message: String, at: Location) -> SqlError {
    let lines = LineStarts::new(sql);
    let message = if message.starts_with("Unterminated string literal") {
        "unterminated quoted string".to_owned()
    } else if message.starts_with("Expected close delimiter '\"'") {
        "unterminated quoted identifier".to_owned()
    } else if message.starts_with("Unexpected EOF while in a multi-line comment") {
        "unterminated /* comment".to_owned()
    } else {
        message
    };
    SqlError::new(state::SYNTAX_ERROR, message).with_position(lines.position(at))
}

fn near(lines: &LineStarts<'_>, token: &str, at: Option<Location>) -> SqlError {
    let error = if token == "EOF" {
        let end = lines.sql.trim_end().chars().count() + 1;
        return SqlError::new(state::SYNTAX_ERROR, "syntax error at end of input")
            .with_position(end);
    } else {
        SqlError::new(
            state::SYNTAX_ERROR,
            format!("syntax error at or near \"{token}\""),
        )
    };
    match at {
        Some(at) if at.line > 0 => error.with_position(lines.position(at)),
        _ => error,
    }
}

/// sqlparser says `Expected: X, found: Y at Line: 1, Column: 5`; PostgreSQL says what it stood at.
fn parser_error(lines: &LineStarts<'_>, error: ParserError) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "statement is too deeply nested",
            );
        }
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => m,
    };
    let (message, at) = match message.rfind(" at Line: ") {
        Some(i) => {
            let mut numbers = message[i + " at Line: ".len()..].split(", Column: ");
            let line = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            let column = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            (message[..i].to_owned(), Some(Location { line, column }))
        }
        None => (message, None),
    };
    if let Some(i) = message.rfind(", found: ") {
        return near(lines, &message[i + ", found: ".len()..], at);
    }
    let error = SqlError::new(state::SYNTAX_ERROR, format!("syntax error: {message}"));
    match at {
        Some(at) if at.line > 0 => error.with_position(lines.position(at)),
        _ => error,
    }
}

/// PostgreSQL's position of a place in a statement's own text: characters from 1.
pub(crate) fn position_in(text: &str, at: Location) -> usize {
    LineStarts::new(text).position(at)
}
