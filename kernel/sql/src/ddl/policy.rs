//! CREATE, ALTER and DROP POLICY, and whether a table's policies are in force.
//!
//! A policy is kept with its table, its expressions as SQL in which every relation has its schema. What they
//! mean for a statement is `crate::plan::policy`'s.

use sqlparser::ast::{Expr, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::grant::syntax::{RoleName, role_name};
use super::put;
use crate::catalog::Oid;
use crate::catalog::access::{PUBLIC, Policy, PolicyCommand, RowSecurity};
use crate::catalog::model::Table;
use crate::error::{Result, SqlError, state};
use crate::names::{self, fold, quoted_ident};
use crate::plan::compile::{named_table, select};
use crate::plan::query;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};
use crate::types::PgType;
use heliosdb_storage::TableLockMode;
use sqlparser::ast;

/// One of the statements.
#[derive(Clone, Debug)]
pub(crate) enum PolicyStatement {
    Create {
        name: Ident,
        table: ObjectName,
        permissive: bool,
        command: PolicyCommand,
        terms: Terms,
    },
    Alter {
        name: Ident,
        table: ObjectName,
        terms: Terms,
    },
    Rename {
        name: Ident,
        table: ObjectName,
        to: Ident,
    },
    Drop {
        name: Ident,
        table: ObjectName,
        if_exists: bool,
    },
}

/// What CREATE and ALTER say of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub roles: Option<Vec<RoleName>>,
    pub using: Option<Expr>,
    pub check: Option<Expr>,
}

pub(crate) fn begins(tokens: &[&Token]) -> bool {
    let word = |at: usize, word: &str| {
        matches!(tokens.get(at), Some(Token::Word(w))
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    };
    (word(0, "create") || word(0, "alter") || word(0, "drop")) && word(1, "policy")
}

type Parsed<T> = std::result::Result<T, ParserError>;

fn word(p: &mut Parser<'_>, word: &str) -> bool {
    let is = matches!(&p.peek_token_ref().token, Token::Word(w)
        if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
    if is {
        p.next_token();
    }
    is
}

pub(crate) fn parse(p: &mut Parser<'_>) -> Parsed<PolicyStatement> {
    let statement = parse_one(p)?;
    match p.peek_token() {
        end if end.token == Token::EOF => Ok(statement),
        next => p.expected("the end of the statement", next),
    }
}

fn parse_one(p: &mut Parser<'_>) -> Parsed<PolicyStatement> {
    let verb = p.next_token().token.to_string().to_ascii_lowercase();
    p.next_token();
    let if_exists = verb == "drop" && p.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = p.parse_identifier()?;
    p.expect_keyword(Keyword::ON)?;
    let table = p.parse_object_name(false)?;
    match verb.as_str() {
        "drop" => {
            if !p.parse_keyword(Keyword::CASCADE) {
                let _ = p.parse_keyword(Keyword::RESTRICT);
            }
            Ok(PolicyStatement::Drop {
                name,
                table,
                if_exists,
            })
        }
        "alter" if p.parse_keywords(&[Keyword::RENAME, Keyword::TO]) => {
            let to = p.parse_identifier()?;
            Ok(PolicyStatement::Rename { name, table, to })
        }
        "alter" => {
            let terms = terms(p)?;
            Ok(PolicyStatement::Alter { name, table, terms })
        }
        _ => {
            let permissive = match p.parse_keyword(Keyword::AS) {
                false => true,
                true if word(p, "permissive") => true,
                true if word(p, "restrictive") => false,
                true => {
                    let next = p.peek_token();
                    return p.expected("PERMISSIVE or RESTRICTIVE", next);
                }
            };
            let command = match p.parse_keyword(Keyword::FOR) {
                false => PolicyCommand::All,
                true => {
                    let commands = [
                        ("all", PolicyCommand::All),
                        ("select", PolicyCommand::Select),
                        ("insert", PolicyCommand::Insert),
                        ("update", PolicyCommand::Update),
                        ("delete", PolicyCommand::Delete),
                    ];
                    let command = commands.into_iter().find(|(name, _)| word(p, name));
                    match command {
                        Some((_, command)) => command,
                        None => {
                            let next = p.peek_token();
                            return p.expected("a command", next);
                        }
                    }
                }
            };
            let terms = terms(p)?;
            Ok(PolicyStatement::Create {
                name,
                table,
                permissive,
                command,
                terms,
            })
        }
    }
}

fn terms(p: &mut Parser<'_>) -> Parsed<Terms> {
    let mut terms = Terms::default();
    if p.parse_keyword(Keyword::TO) {
        terms.roles = Some(p.parse_comma_separated(role_name)?);
    }
    let parenthesised = |p: &mut Parser<'_>| {
        p.expect_token(&Token::LParen)?;
        let expr = p.parse_expr()?;
        p.expect_token(&Token::RParen)?;
        Ok::<_, ParserError>(expr)
    };
    if p.parse_keyword(Keyword::USING) {
        terms.using = Some(parenthesised(p)?);
    }
    if p.parse_keywords(&[Keyword::WITH, Keyword::CHECK]) {
        terms.check = Some(parenthesised(p)?);
    }
    Ok(terms)
}

fn missing(name: &str, table: &Table) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!(
            "policy \"{name}\" for table \"{}\" does not exist",
            table.name
        ),
    )
}

/// 42601 for expressions that a command has no use for.
fn check_terms(command: PolicyCommand, using: bool, check: bool) -> Result<()> {
    let message = match command {
        PolicyCommand::Insert if using => "only WITH CHECK expression allowed for INSERT",
        PolicyCommand::Select | PolicyCommand::Delete if check => {
            "WITH CHECK cannot be applied to SELECT or DELETE"
        }
        _ => return Ok(()),
    };
    Err(SqlError::new(state::SYNTAX_ERROR, message))
}

impl Session {
    /// Changes whether a table's policies are in force.
    pub(super) fn secure(&mut self, oid: Oid, change: impl FnOnce(&mut RowSecurity)) -> Result<()> {
        let (_, mut table) = self.table_now(oid)?;
        change(&mut table.row_security);
        self.change_catalog(vec![put!(Table, table)])?;
        Ok(())
    }

    pub(crate) fn policy(&mut self, statement: &PolicyStatement) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.begin_ddl()?;
        match statement {
            PolicyStatement::Create {
                name,
                table,
                permissive,
                command,
                terms,
            } => {
                let name = fold(name);
                check_terms(*command, terms.using.is_some(), terms.check.is_some())?;
                let mut table = self.secured_table(table)?;
                if table.policies.iter().any(|p| p.name == name) {
                    return Err(SqlError::new(
                        state::DUPLICATE_OBJECT,
                        format!(
                            "policy \"{name}\" for table \"{}\" already exists",
                            table.name
                        ),
                    ));
                }
                let mut policy = Policy {
                    oid: self.instance.allocate_oid()?,
                    name,
                    permissive: *permissive,
                    command: *command,
                    roles: vec![PUBLIC],
                    using: None,
                    check: None,
                    columns: Vec::new(),
                    depends_on: Vec::new(),
                };
                self.change_terms(&table, &mut policy, terms)?;
                table.policies.push(policy);
                self.change_catalog(vec![put!(Table, table)])?;
                done("CREATE POLICY")
            }
            PolicyStatement::Alter { name, table, terms } => {
                let name = fold(name);
                let mut table = self.secured_table(table)?;
                let found = table.policies.iter().position(|p| p.name == name);
                let at = found.ok_or_else(|| missing(&name, &table))?;
                let mut policy = table.policies[at].clone();
                let (using, check) = (terms.using.is_some(), terms.check.is_some());
                check_terms(policy.command, using, check).map_err(|e| match policy.command {
                    PolicyCommand::Insert => e,
                    _ => SqlError::new(e.code, "only USING expression allowed for SELECT, DELETE"),
                })?;
                self.change_terms(&table, &mut policy, terms)?;
                table.policies[at] = policy;
                self.change_catalog(vec![put!(Table, table)])?;
                done("ALTER POLICY")
            }
            PolicyStatement::Rename { name, table, to } => {
                let (name, to) = (fold(name), fold(to));
                let mut table = self.secured_table(table)?;
                if table.policies.iter().any(|p| p.name == to) {
                    return Err(SqlError::new(
                        state::DUPLICATE_OBJECT,
                        format!(
                            "policy \"{to}\" for table \"{}\" already exists",
                            table.name
                        ),
                    ));
                }
                let found = table.policies.iter().position(|p| p.name == name);
                let at = found.ok_or_else(|| missing(&name, &table))?;
                table.policies[at].name = to;
                self.change_catalog(vec![put!(Table, table)])?;
                done("ALTER POLICY")
            }
            PolicyStatement::Drop {
                name,
                table,
                if_exists,
            } => {
                let shown = names::parts(table)?.join(".");
                let name = fold(name);
                let (_, catalog) = self.write_view()?;
                if *if_exists && self.find_relation(&catalog, table)?.is_none() {
                    self.notify_skipped(format!("relation \"{shown}\" does not exist, skipping"));
                    return done("DROP POLICY");
                }
                let mut table = self.secured_table(table)?;
                let before = table.policies.len();
                table.policies.retain(|p| p.name != name);
                if table.policies.len() == before {
                    if !*if_exists {
                        return Err(missing(&name, &table));
                    }
                    self.notify_skipped(format!(
                        "policy \"{name}\" for relation \"{}\" does not exist, skipping",
                        table.name
                    ));
                    return done("DROP POLICY");
                }
                self.change_catalog(vec![put!(Table, table)])?;
                done("DROP POLICY")
            }
        }
    }

    fn secured_table(&mut self, name: &ObjectName) -> Result<Table> {
        let table = self.ddl_table(name, TableLockMode::AccessExclusive)?;
        Ok(Table::clone(&table))
    }

    fn change_terms(&mut self, table: &Table, policy: &mut Policy, terms: &Terms) -> Result<()> {
        if let Some(roles) = &terms.roles {
            let (_, catalog) = self.write_view()?;
            let roles = self.role_oids(&catalog, roles)?;
            policy.roles = match roles.contains(&PUBLIC) {
                true => {
                    if roles.len() > 1 {
                        self.warn(state::WARNING, "ignoring specified roles other than PUBLIC");
                    }
                    vec![PUBLIC]
                }
                false => roles,
            };
        }
        if let Some(using) = &terms.using {
            policy.using = Some(self.policy_expression(table, policy, using)?);
        }
        if let Some(check) = &terms.check {
            policy.check = Some(self.policy_expression(table, policy, check)?);
        }
        Ok(())
    }

    /// An expression as it is stored. Notes in the policy what it reads.
    fn policy_expression(
        &mut self,
        table: &Table,
        policy: &mut Policy,
        expr: &Expr,
    ) -> Result<String> {
        let (_, catalog) = self.write_view()?;
        let schema = catalog.schema(table.schema).map_or("", |s| s.name.as_str());
        let from = named_table(vec![schema, &table.name], Some(&table.name));
        let item = ast::SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: quoted_ident("policy"),
        };
        let mut query = select(vec![item], vec![from]);
        let planned =
            self.with_state(|s, state| query::plan(state, &catalog, &s.info, query.clone(), &[]))?;
        if !planned.params.is_empty() {
            return Err(SqlError::new(
                state::UNDEFINED_PARAMETER,
                "there is no parameter $1",
            ));
        }
        let ty = &planned.columns[0].ty;
        if !matches!(ty, PgType::Bool | PgType::Unknown) {
            return Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "argument of POLICY must be type boolean, not type {}",
                    ty.name()
                ),
            ));
        }
        if planned.aggregates() {
            return Err(SqlError::new(
                state::GROUPING_ERROR,
                "aggregate functions are not allowed in policy expressions",
            ));
        }
        self.qualify_relations(&mut query, &planned.uses.times);
        self.qualify_types(&mut query);
        self.qualify_functions(&mut query, &planned.uses);
        let columns = table.live_columns();
        for (id, column) in columns {
            let name = &column.name;
            if super::drop::mentions(&names::text_of(expr), name) && !policy.columns.contains(&id.0)
            {
                policy.columns.push(id.0);
            }
        }
        let others = planned.uses.relations.iter();
        for oid in others.filter(|oid| **oid != table.oid) {
            if !policy.depends_on.contains(oid) {
                policy.depends_on.push(*oid);
            }
        }
        let ast::SetExpr::Select(select) = query.body.as_ref() else {
            return Err(SqlError::internal("a select that is none"));
        };
        match select.projection.as_slice() {
            [ast::SelectItem::ExprWithAlias { expr, .. }] => Ok(names::text_of(expr)),
            _ => Err(SqlError::internal("a policy that is no expression")),
        }
    }
}
