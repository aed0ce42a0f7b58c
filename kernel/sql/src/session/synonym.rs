//! What PostgreSQL spells in more ways than the dialect does, spelled the one way that it knows.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::semantics::WITH_TIES;

/// Rewrites the tokens of a statement in place; what they mean stays.
pub(super) fn spell(tokens: &mut Vec<TokenWithSpan>) {
    spell_fetch_first(tokens);
    spell_identity_options(tokens);
    spell_nested_joins(tokens);
    quote_called_keywords(tokens);
    spell_grouping_elements(tokens);
    split_locks(tokens);
    put_locks_last(tokens);
    drop_lock_of_nothing(tokens);
}

fn significant(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let is_space = |t: &TokenWithSpan| matches!(t.token, Token::Whitespace(_));
    (0..tokens.len())
        .filter(|i| !is_space(&tokens[*i]))
        .collect()
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

/// The place, among `at`, of the parenthesis that closes the one at `open`.
fn closing(tokens: &[TokenWithSpan], at: &[usize], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, place) in at.iter().enumerate().skip(open) {
        match tokens[*place].token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

/// `FETCH FIRST (expression) ROWS ONLY` is `LIMIT (expression)`; the dialect has it of plain numbers alone. That it is
/// `WITH TIES` is said by a call of [`WITH_TIES`] around the expression.
fn spell_fetch_first(tokens: &mut Vec<TokenWithSpan>) {
    loop {
        let at = significant(tokens);
        let word = |i: usize| at.get(i).and_then(|p| keyword(&tokens[*p]));
        let mut found = None;
        // The first word of a statement is the command FETCH.
        for i in 1..at.len() {
            let begins = word(i) == Some(Keyword::FETCH)
                && matches!(word(i + 1), Some(Keyword::FIRST | Keyword::NEXT))
                && at
                    .get(i + 2)
                    .is_some_and(|p| tokens[*p].token == Token::LParen);
            if !begins {
                continue;
            }
            let Some(close) = closing(tokens, &at, i + 2) else {
                continue;
            };
            if !matches!(word(close + 1), Some(Keyword::ROW | Keyword::ROWS)) {
                continue;
            }
            let ties = match (word(close + 2), word(close + 3)) {
                (Some(Keyword::ONLY), _) => false,
                (Some(Keyword::WITH), Some(Keyword::TIES)) => true,
                _ => continue,
            };
            let last = close + 2 + usize::from(ties);
            found = Some((at[i], at[i + 1], at[close + 1], at[last], ties));
            break;
        }
        let Some((fetch, first, rows, last, ties)) = found else {
            return;
        };
        tokens[fetch].token = Token::Word(Word {
            value: "LIMIT".to_owned(),
            quote_style: None,
            keyword: Keyword::LIMIT,
        });
        tokens.drain(rows..=last);
        if ties {
            tokens[first].token = Token::Word(Word {
                value: WITH_TIES.to_owned(),
                quote_style: Some('"'),
                keyword: Keyword::NoKeyword,
            });
        } else {
            tokens.remove(first);
        }
    }
}

/// `AS IDENTITY (options)` in any order; the dialect wants them in one.
fn spell_identity_options(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    for i in 1..at.len() {
        let word = |i: usize| at.get(i).and_then(|p| keyword(&tokens[*p]));
        let opens = word(i - 1) == Some(Keyword::AS)
            && word(i) == Some(Keyword::IDENTITY)
            && at
                .get(i + 1)
                .is_some_and(|p| tokens[*p].token == Token::LParen);
        let Some(close) = opens.then(|| closing(tokens, &at, i + 1)).flatten() else {
            continue;
        };
        let Some(ordered) = ordered_options(&tokens[at[i + 1] + 1..at[close]]) else {
            continue;
        };
        tokens.splice(at[i + 1] + 1..at[close], ordered);
    }
}

/// The options in the dialect's order, with as many tokens; `None` when one is unknown or said twice, which the
/// parser shall tell.
fn ordered_options(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    const ORDER: [Keyword; 6] = [
        Keyword::INCREMENT,
        Keyword::MINVALUE,
        Keyword::MAXVALUE,
        Keyword::START,
        Keyword::CACHE,
        Keyword::CYCLE,
    ];
    let mut options: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    let mut lead: Vec<TokenWithSpan> = Vec::new();
    let mut after_no: Option<Vec<TokenWithSpan>> = None;
    for token in tokens {
        let word = keyword(token);
        if word == Some(Keyword::NO) && after_no.is_none() {
            after_no = Some(vec![token.clone()]);
            continue;
        }
        let begins = word.and_then(|word| ORDER.iter().position(|known| *known == word));
        match (begins, &mut after_no) {
            (Some(rank), _) => {
                let mut option = after_no.take().unwrap_or_default();
                option.push(token.clone());
                options.push((rank, option));
            }
            (None, Some(no)) => no.push(token.clone()),
            (None, None) => match options.last_mut() {
                Some((_, option)) => option.push(token.clone()),
                None => lead.push(token.clone()),
            },
        }
    }
    let only_space = |t: &TokenWithSpan| matches!(t.token, Token::Whitespace(_));
    if after_no.is_some() || !lead.iter().all(only_space) {
        return None;
    }
    options.sort_by_key(|(rank, _)| *rank);
    if options.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let options = options.into_iter().flat_map(|(_, option)| option);
    Some(lead.into_iter().chain(options).collect())
}

/// A join whose right side is a join that was begun before its own ON.
struct OpenJoin {
    /// Where the right side begins.
    right: usize,
    /// Whether it holds a join itself.
    holds_join: bool,
}

/// `a JOIN b JOIN c ON x ON y` is `a JOIN (b JOIN c ON x) ON y`; the dialect wants the parentheses.
///
/// What is between JOIN and its ON stands at one depth of parentheses, so a list of joins without their ON at each
/// depth is enough.
fn spell_nested_joins(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize| at.get(i).and_then(|p| keyword(&tokens[*p]));
    let mut depths: Vec<Vec<OpenJoin>> = vec![Vec::new()];
    // The source of MERGE is joined with its target.
    let mut is_merging = false;
    // Places among all tokens, each before a token.
    let (mut opening, mut closing) = (Vec::new(), Vec::new());
    for i in 0..at.len() {
        match tokens[at[i]].token {
            Token::LParen => depths.push(Vec::new()),
            Token::RParen => {
                depths.pop();
                if depths.is_empty() {
                    return;
                }
            }
            _ => {}
        }
        let Some(open) = depths.last_mut() else {
            return;
        };
        match word(i) {
            Some(Keyword::JOIN) => {
                // Of a name, as in `t.join` and `AS join`.
                let before = i.checked_sub(1).map(|i| &tokens[at[i]].token);
                if before == Some(&Token::Period) || i == 0 || word(i - 1) == Some(Keyword::AS) {
                    continue;
                }
                if let Some(join) = open.last_mut() {
                    join.holds_join = true;
                }
                let kind_at = match word(i - 1) {
                    Some(Keyword::OUTER) => i.checked_sub(3),
                    Some(
                        Keyword::INNER
                        | Keyword::LEFT
                        | Keyword::RIGHT
                        | Keyword::FULL
                        | Keyword::CROSS,
                    ) => i.checked_sub(2),
                    _ => i.checked_sub(1),
                };
                let has_condition = word(i - 1) != Some(Keyword::CROSS)
                    && kind_at.and_then(word) != Some(Keyword::NATURAL);
                if has_condition && let Some(right) = at.get(i + 1) {
                    open.push(OpenJoin {
                        right: *right,
                        holds_join: false,
                    });
                }
            }
            Some(Keyword::MERGE) => is_merging = word(i + 1) == Some(Keyword::INTO),
            Some(Keyword::USING) if is_merging => {
                is_merging = false;
                open.extend(at.get(i + 1).map(|right| OpenJoin {
                    right: *right,
                    holds_join: false,
                }));
            }
            Some(Keyword::ON | Keyword::USING) => {
                if let Some(join) = open.pop()
                    && join.holds_join
                {
                    opening.push(join.right);
                    closing.push(at[i]);
                }
            }
            Some(Keyword::SELECT | Keyword::WHERE | Keyword::UNION) => open.clear(),
            _ => {}
        }
    }
    let mut places: Vec<(usize, Token)> = Vec::new();
    places.extend(opening.into_iter().map(|place| (place, Token::LParen)));
    places.extend(closing.into_iter().map(|place| (place, Token::RParen)));
    places.sort_by_key(|(place, _)| *place);
    for (place, token) in places.into_iter().rev() {
        let span = tokens[place].span;
        tokens.insert(place, TokenWithSpan { token, span });
    }
}

/// `ROLLUP ((a) % 3, b)` is `ROLLUP (((a) % 3), b)`: the dialect takes a parenthesis that begins an element for all of it.
fn spell_grouping_elements(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let mut places: Vec<(usize, Token)> = Vec::new();
    for i in 0..at.len() {
        let word = |i: usize| at.get(i).and_then(|p| keyword(&tokens[*p]));
        let is_grouping = match word(i) {
            Some(Keyword::ROLLUP | Keyword::CUBE) => true,
            Some(Keyword::SETS) => i > 0 && word(i - 1) == Some(Keyword::GROUPING),
            _ => false,
        };
        let opens = at.get(i + 1).map(|p| &tokens[*p].token) == Some(&Token::LParen);
        let Some(close) = (is_grouping && opens)
            .then(|| closing(tokens, &at, i + 1))
            .flatten()
        else {
            continue;
        };
        let mut first = i + 2;
        while first < close {
            let inner = match tokens[at[first]].token {
                Token::LParen => closing(tokens, &at, first),
                _ => None,
            };
            // The element ends at a comma outside of all parentheses.
            let mut end = first;
            while end < close && tokens[at[end]].token != Token::Comma {
                end = match tokens[at[end]].token {
                    Token::LParen => closing(tokens, &at, end).unwrap_or(close),
                    _ => end,
                } + 1;
            }
            let end = end.min(close);
            if inner.is_some_and(|inner| inner + 1 < end) {
                places.push((at[first], Token::LParen));
                places.push((at[end], Token::RParen));
            }
            first = end + 1;
        }
    }
    places.sort_by_key(|(place, _)| *place);
    for (place, token) in places.into_iter().rev() {
        let span = tokens[place].span;
        tokens.insert(place, TokenWithSpan { token, span });
    }
}

/// `pg_catalog.current_user()`, `pg_catalog.timestamp(x)`: after a schema it is a name, and no keyword as without.
fn quote_called_keywords(tokens: &mut [TokenWithSpan]) {
    let at = significant(tokens);
    for places in at.windows(3) {
        let [before, called, behind] = places else {
            continue;
        };
        let is_call =
            tokens[*before].token == Token::Period && tokens[*behind].token == Token::LParen;
        if let Token::Word(word) = &mut tokens[*called].token
            && is_call
            && word.quote_style.is_none()
            && matches!(
                word.keyword,
                Keyword::CURRENT_CATALOG
                    | Keyword::CURRENT_USER
                    | Keyword::SESSION_USER
                    | Keyword::USER
                    | Keyword::CHAR
                    | Keyword::INTERVAL
                    | Keyword::NUMERIC
                    | Keyword::TIME
                    | Keyword::TIMESTAMP
                    | Keyword::VARCHAR
            )
        {
            *word = Word {
                value: word.value.to_lowercase(),
                quote_style: Some('"'),
                keyword: Keyword::NoKeyword,
            };
        }
    }
}

/// `FOR UPDATE OF a, b` is `FOR UPDATE OF a FOR UPDATE OF b`; the dialect has one name.
fn split_locks(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let word = |i: usize| at.get(i).and_then(|p| keyword(&tokens[*p]));
    let is = |i: usize, what: &Token| at.get(i).is_some_and(|p| tokens[*p].token == *what);
    let mut found = Vec::new();
    for i in 0..at.len() {
        let strength = match (word(i + 1), word(i + 2), word(i + 3)) {
            _ if word(i) != Some(Keyword::FOR) => continue,
            (Some(Keyword::UPDATE | Keyword::SHARE), ..) => i + 1,
            (Some(Keyword::KEY), Some(Keyword::SHARE), _) => i + 2,
            (Some(Keyword::NO), Some(Keyword::KEY), Some(Keyword::UPDATE)) => i + 3,
            _ => continue,
        };
        if word(strength + 1) != Some(Keyword::OF) {
            continue;
        }
        let mut names = Vec::new();
        let mut next = strength + 2;
        loop {
            let begin = next;
            next += 1;
            while is(next, &Token::Period) {
                next += 2;
            }
            names.push(begin..next);
            if !is(next, &Token::Comma) {
                break;
            }
            next += 1;
        }
        let end = match (word(next), word(next + 1)) {
            (Some(Keyword::NOWAIT), _) => next + 1,
            (Some(Keyword::SKIP), Some(Keyword::LOCKED)) => next + 2,
            _ => next,
        };
        if names.len() > 1 && end <= at.len() {
            found.push((i..strength + 2, names, next..end));
        }
    }
    for (lock, names, wait) in found.into_iter().rev() {
        let copy = |range: std::ops::Range<usize>| {
            let tokens = range.map(|i| tokens[at[i]].clone());
            tokens.collect::<Vec<_>>()
        };
        let clauses = names.into_iter().flat_map(|name| {
            let parts = [copy(lock.clone()), copy(name), copy(wait.clone())];
            parts.into_iter().flatten()
        });
        let clauses: Vec<TokenWithSpan> = clauses.collect();
        tokens.splice(at[lock.start]..=at[wait.end - 1], clauses);
    }
}

/// `FOR UPDATE SKIP LOCKED LIMIT 1` is `LIMIT 1 FOR UPDATE SKIP LOCKED`; the dialect has them in this order alone.
fn put_locks_last(tokens: &mut [TokenWithSpan]) {
    let at = significant(tokens);
    let word = |i: usize| at.get(i).and_then(|p| keyword(&tokens[*p]));
    let mut moves: Vec<(usize, usize, Option<usize>)> = Vec::new();
    for i in 0..at.len() {
        let locks = word(i) == Some(Keyword::FOR)
            && matches!(
                (word(i + 1), word(i + 2)),
                (Some(Keyword::UPDATE | Keyword::SHARE), _)
                    | (Some(Keyword::NO), Some(Keyword::KEY))
                    | (Some(Keyword::KEY), Some(Keyword::SHARE))
            );
        if !locks {
            continue;
        }
        // Both end where the query does; a second lock comes behind the limit as it is.
        let (mut limit, mut end) = (None, i + 1);
        while end < at.len() {
            match &tokens[at[end]].token {
                Token::LParen => match closing(tokens, &at, end) {
                    Some(close) => end = close,
                    None => return,
                },
                Token::RParen => break,
                _ => {}
            }
            match word(end) {
                Some(Keyword::LIMIT | Keyword::OFFSET | Keyword::FETCH) if limit.is_none() => {
                    limit = Some(end);
                }
                Some(Keyword::FOR) if limit.is_some() => break,
                _ => {}
            }
            end += 1;
        }
        // Of several before one limit, all go behind it with the first.
        let moved = moves.last().map_or(0, |(_, limit, _)| *limit);
        if let Some(limit) = limit
            && at[i] >= moved
        {
            let last = at.get(end).copied();
            moves.push((at[i], at[limit], last));
        }
    }
    for (lock, limit, end) in moves {
        let end = end.unwrap_or(tokens.len());
        tokens[lock..end].rotate_left(limit - lock);
    }
}

/// `SELECT 1 FOR UPDATE` locks no rows, as it has no tables, and the dialect takes FOR for a name there.
fn drop_lock_of_nothing(tokens: &mut Vec<TokenWithSpan>) {
    let at = significant(tokens);
    let words: Vec<Option<Keyword>> = at.iter().map(|p| keyword(&tokens[*p])).collect();
    let [
        Some(Keyword::SELECT | Keyword::DECLARE),
        ..,
        Some(Keyword::FOR),
        Some(Keyword::UPDATE | Keyword::SHARE),
    ] = words.as_slice()
    else {
        return;
    };
    if !words.contains(&Some(Keyword::FROM)) {
        tokens.truncate(at[at.len() - 2]);
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn spelled(sql: &str) -> String {
        let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
            .tokenize_with_location()
            .unwrap();
        spell(&mut tokens);
        let words = tokens
            .iter()
            .filter(|t| !matches!(t.token, Token::Whitespace(_)))
            .map(|t| t.token.to_string());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn fetch_first_of_an_expression_is_a_limit() {
        assert_eq!(
            spelled("SELECT 1 OFFSET 2 ROWS FETCH FIRST (1 + (2)) ROWS ONLY"),
            "SELECT 1 OFFSET 2 ROWS LIMIT ( 1 + ( 2 ) )"
        );
        assert_eq!(
            spelled("SELECT * FROM (SELECT 1 FETCH NEXT ($1) ROW ONLY) t"),
            "SELECT * FROM ( SELECT 1 LIMIT ( $1 ) ) t"
        );
        for same in ["FETCH FIRST FROM c", "SELECT 1 FETCH FIRST 2 ROWS ONLY"] {
            assert_eq!(spelled(same), same);
        }
    }

    #[test]
    fn each_locked_table_gets_a_clause() {
        assert_eq!(
            spelled(
                "SELECT 1 FROM a, b FOR NO KEY UPDATE OF a, b SKIP LOCKED FOR SHARE OF c LIMIT 1"
            ),
            "SELECT 1 FROM a , b LIMIT 1 FOR NO KEY UPDATE OF a SKIP LOCKED FOR NO KEY UPDATE OF b SKIP LOCKED \
             FOR SHARE OF c"
        );
    }

    #[test]
    fn joins_in_joins_get_their_parentheses() {
        assert_eq!(
            spelled(
                "SELECT 1 FROM a JOIN b LEFT JOIN c ON x IS DISTINCT FROM z ON y LEFT JOIN d ON z"
            ),
            "SELECT 1 FROM a JOIN ( b LEFT JOIN c ON x IS DISTINCT FROM z ) ON y LEFT JOIN d ON z"
        );
        assert_eq!(
            spelled("SELECT 1 FROM a JOIN b JOIN c JOIN d USING (x) ON y ON (z)"),
            "SELECT 1 FROM a JOIN ( b JOIN ( c JOIN d USING ( x ) ) ON y ) ON ( z )"
        );
        assert_eq!(
            spelled("SELECT 1 FROM a JOIN b CROSS JOIN c ON x"),
            "SELECT 1 FROM a JOIN ( b CROSS JOIN c ) ON x"
        );
        assert_eq!(
            spelled("SELECT 1 FROM a JOIN (SELECT 1 FROM b JOIN c JOIN d ON x ON y) e ON z"),
            "SELECT 1 FROM a JOIN ( SELECT 1 FROM b JOIN ( c JOIN d ON x ) ON y ) e ON z"
        );
        assert_eq!(
            spelled("MERGE INTO t USING a JOIN b USING (x) ON y WHEN MATCHED THEN DELETE"),
            "MERGE INTO t USING ( a JOIN b USING ( x ) ) ON y WHEN MATCHED THEN DELETE"
        );
        for same in [
            "MERGE INTO t USING a ON y WHEN MATCHED THEN DO NOTHING",
            "SELECT 1 FROM a JOIN b ON x IS DISTINCT FROM y JOIN c ON y",
            "SELECT 1 FROM a NATURAL LEFT OUTER JOIN b JOIN c ON x",
            "SELECT DISTINCT ON ( a ) 1 AS join FROM a CROSS JOIN b JOIN c ON x",
        ] {
            assert_eq!(spelled(same), same);
        }
    }

    #[test]
    fn elements_of_grouping_may_begin_with_a_parenthesis() {
        assert_eq!(
            spelled(
                "SELECT 1 GROUP BY ROLLUP ((a) % 3, (b, c), (d), f((e)) + 1), CUBE (((a)) + (b))"
            ),
            "SELECT 1 GROUP BY ROLLUP ( ( ( a ) % 3 ) , ( b , c ) , ( d ) , f ( ( e ) ) + 1 ) , \
             CUBE ( ( ( ( a ) ) + ( b ) ) )"
        );
    }

    #[test]
    fn locks_may_stand_before_the_limit() {
        assert_eq!(
            spelled("SELECT * FROM t ORDER BY id FOR UPDATE OF t SKIP LOCKED LIMIT 1 OFFSET (2)"),
            "SELECT * FROM t ORDER BY id LIMIT 1 OFFSET ( 2 ) FOR UPDATE OF t SKIP LOCKED"
        );
        assert_eq!(
            spelled("SELECT * FROM (SELECT 1 FROM t FOR NO KEY UPDATE LIMIT 1) t FOR SHARE"),
            "SELECT * FROM ( SELECT 1 FROM t LIMIT 1 FOR NO KEY UPDATE ) t FOR SHARE"
        );
        for same in [
            "SELECT * FROM t LIMIT 1 FOR UPDATE FOR SHARE",
            "DECLARE c CURSOR FOR SELECT 1 FROM t LIMIT 1",
            "SELECT substring ( a FOR 3 ) FROM t LIMIT 1",
        ] {
            assert_eq!(spelled(same), same);
        }
    }

    #[test]
    fn keywords_behind_a_schema_are_names() {
        assert_eq!(
            spelled("SELECT pg_catalog.CURRENT_USER(), current_user"),
            "SELECT pg_catalog . \"current_user\" ( ) , current_user"
        );
    }

    #[test]
    fn what_has_no_tables_locks_no_rows() {
        assert_eq!(spelled("SELECT 1 FOR UPDATE"), "SELECT 1");
        assert_eq!(
            spelled("DECLARE c CURSOR FOR SELECT 1, 2 FOR SHARE"),
            "DECLARE c CURSOR FOR SELECT 1 , 2"
        );
        for same in ["SELECT * FROM t FOR UPDATE", "SELECT 1 AS update"] {
            assert_eq!(spelled(same), same);
        }
    }

    #[test]
    fn options_of_identity_columns_come_in_any_order() {
        assert_eq!(
            spelled(
                "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (NO CYCLE START WITH 42 NO MINVALUE INCREMENT BY -2))"
            ),
            "CREATE TABLE t ( a int GENERATED ALWAYS AS IDENTITY ( INCREMENT BY - 2 NO MINVALUE START WITH 42 NO CYCLE ) )"
        );
        let twice = "a int GENERATED ALWAYS AS IDENTITY ( START 1 CACHE 1 START 2 )";
        assert_eq!(spelled(twice), twice);
    }
}
