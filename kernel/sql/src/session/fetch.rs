//! The syntax of FETCH and MOVE: the dialect has no MOVE, and wants a direction and FROM or IN, which
//! PostgreSQL does not. And what statements say of cursors to who has portals by the same names.

use sqlparser::ast::{CloseCursor, Ident, Statement as Ast};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::cursor::{Direction, Fetch};
use super::statement::{Statement, StatementKind};
use crate::names::{fold, quote};

type Result<T> = std::result::Result<T, ParserError>;

/// All behind the word FETCH or MOVE, which is `moves`.
pub(super) fn parse(p: &mut Parser<'_>, moves: bool) -> Result<Fetch> {
    p.next_token();
    let fetch = |cursor, direction| Fetch {
        cursor,
        direction,
        moves,
    };
    // One word alone is a name, whatever it is.
    if p.peek_nth_token(1).token == Token::EOF {
        return Ok(fetch(p.parse_identifier()?, Direction::Forward(Some(1))));
    }
    let direction = direction(p)?;
    if !p.parse_keyword(Keyword::FROM) {
        let _ = p.parse_keyword(Keyword::IN);
    }
    let cursor = p.parse_identifier()?;
    end(p)?;
    Ok(fetch(cursor, direction))
}

fn direction(p: &mut Parser<'_>) -> Result<Direction> {
    let words = [
        (Keyword::NEXT, Direction::Forward(Some(1))),
        (Keyword::PRIOR, Direction::Backward(Some(1))),
        (Keyword::FIRST, Direction::Absolute(1)),
        (Keyword::LAST, Direction::Absolute(-1)),
        (Keyword::ALL, Direction::Forward(None)),
    ];
    for (word, direction) in words {
        if p.parse_keyword(word) {
            return Ok(direction);
        }
    }
    if p.parse_keyword(Keyword::ABSOLUTE) {
        return number(p).map(Direction::Absolute);
    }
    if p.parse_keyword(Keyword::RELATIVE) {
        return number(p).map(Direction::Relative);
    }
    let backward = p.parse_keyword(Keyword::BACKWARD);
    let forward = !backward && p.parse_keyword(Keyword::FORWARD);
    let turned = |count: Option<i64>| match (count, backward) {
        (None, true) => Direction::Backward(None),
        (None, false) => Direction::Forward(None),
        // A negative count is of the other direction.
        (Some(count), backward) => match backward == (count < 0) {
            true => Direction::Forward(Some(count.unsigned_abs())),
            false => Direction::Backward(Some(count.unsigned_abs())),
        },
    };
    if (forward || backward) && p.parse_keyword(Keyword::ALL) {
        return Ok(turned(None));
    }
    if matches!(
        p.peek_token().token,
        Token::Number(..) | Token::Minus | Token::Plus
    ) {
        return number(p).map(|count| turned(Some(count)));
    }
    Ok(turned(Some(1)))
}

fn number(p: &mut Parser<'_>) -> Result<i64> {
    let negative = p.consume_token(&Token::Minus);
    if !negative {
        let _ = p.consume_token(&Token::Plus);
    }
    let token = p.next_token();
    let number = match &token.token {
        Token::Number(digits, _) => digits.parse::<i32>().ok(),
        _ => None,
    };
    match number {
        Some(number) if negative => Ok(-i64::from(number)),
        Some(number) => Ok(i64::from(number)),
        None => p.expected("a number", token),
    }
}

fn end(p: &mut Parser<'_>) -> Result<()> {
    match p.peek_token() {
        token if token.token == Token::EOF => Ok(()),
        token => p.expected("the end", token),
    }
}

/// What a CLOSE closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    One(String),
    All,
}

impl Statement {
    /// FETCH of so many rows, or of all that are left, from the cursor of exactly that name.
    pub fn fetch_forward(cursor: &str, rows: Option<u64>) -> Statement {
        let count = rows.map_or_else(|| "ALL".to_owned(), |rows| rows.to_string());
        Statement {
            text: format!("FETCH FORWARD {count} FROM {}", quote(cursor)),
            offset: 0,
            kind: StatementKind::Fetch(Fetch {
                cursor: Ident::with_quote('"', cursor),
                direction: Direction::Forward(rows),
                moves: false,
            }),
            depth: 0,
        }
    }

    /// The cursor that a FETCH or a MOVE names, and whether rows of it are returned.
    pub fn fetched_cursor(&self) -> Option<(String, bool)> {
        match &self.kind {
            StatementKind::Fetch(fetch) => Some((fold(&fetch.cursor), !fetch.moves)),
            _ => None,
        }
    }

    /// Whether it is COMMIT or ROLLBACK, and not to a savepoint.
    pub fn ends_transaction(&self) -> bool {
        matches!(
            self.kind.ast(),
            Some(
                Ast::Commit { .. }
                    | Ast::Rollback {
                        savepoint: None,
                        ..
                    }
            )
        )
    }

    /// What it closes, if it is CLOSE.
    pub fn closed_cursors(&self) -> Option<Closed> {
        match self.kind.ast()? {
            Ast::Close { cursor } => Some(match cursor {
                CloseCursor::All => Closed::All,
                CloseCursor::Specific { name } => Closed::One(fold(name)),
            }),
            _ => None,
        }
    }
}

/// Whether a statement that begins with these words is one of them.
pub(super) fn begins(first: &Token) -> Option<bool> {
    match first {
        Token::Word(w) if w.quote_style.is_none() => match w.value.to_ascii_lowercase().as_str() {
            "fetch" => Some(false),
            "move" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    fn parsed(sql: &str) -> Option<(Direction, String, bool)> {
        let mut p = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).ok()?;
        let moves = begins(&p.peek_token().token)?;
        let fetch = parse(&mut p, moves).ok()?;
        Some((fetch.direction, fetch.cursor.value, fetch.moves))
    }

    #[test]
    fn all_spellings() {
        use Direction::*;
        for (sql, direction, cursor) in [
            ("FETCH c", Forward(Some(1)), "c"),
            ("fetch next", Forward(Some(1)), "next"),
            ("FETCH next c", Forward(Some(1)), "c"),
            ("FETCH FROM c", Forward(Some(1)), "c"),
            ("FETCH NEXT FROM c", Forward(Some(1)), "c"),
            ("FETCH PRIOR IN c", Backward(Some(1)), "c"),
            ("FETCH FIRST c", Absolute(1), "c"),
            ("FETCH LAST c", Absolute(-1), "c"),
            ("FETCH ABSOLUTE -7 c", Absolute(-7), "c"),
            ("FETCH RELATIVE 0 FROM c", Relative(0), "c"),
            ("FETCH 10 FROM \"My c\"", Forward(Some(10)), "My c"),
            ("FETCH -3 c", Backward(Some(3)), "c"),
            ("FETCH ALL IN c", Forward(None), "c"),
            ("FETCH FORWARD c", Forward(Some(1)), "c"),
            ("FETCH FORWARD 100 FROM c", Forward(Some(100)), "c"),
            ("FETCH FORWARD ALL c", Forward(None), "c"),
            ("FETCH BACKWARD c", Backward(Some(1)), "c"),
            ("FETCH BACKWARD -2 c", Forward(Some(2)), "c"),
            ("FETCH BACKWARD ALL FROM c", Backward(None), "c"),
        ] {
            let found = parsed(sql);
            assert_eq!(found, Some((direction, cursor.to_owned(), false)), "{sql}");
            let moves = sql.to_lowercase().replacen("fetch", "MOVE", 1);
            let found = parsed(&moves).map(|(direction, _, moves)| (direction, moves));
            assert_eq!(found, Some((direction, true)), "{moves}");
        }
        for sql in [
            "FETCH",
            "FETCH 1",
            "FETCH 1.5 c",
            "FETCH ABSOLUTE c",
            "FETCH 1 FROM",
            "FETCH 1 c d",
        ] {
            assert_eq!(parsed(sql), None, "{sql}");
        }
    }
}
