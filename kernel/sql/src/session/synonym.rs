//! What PostgreSQL spells in more ways than the dialect does, spelled the one way that it knows.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Rewrites the tokens of a statement in place; what they mean stays.
pub(super) fn spell(tokens: &mut Vec<TokenWithSpan>) {
    spell_fetch_first(tokens);
    spell_identity_options(tokens);
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

/// `FETCH FIRST (expression) ROWS ONLY` is `LIMIT (expression)`; the dialect has it of plain numbers alone.
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
            let ends = matches!(word(close + 1), Some(Keyword::ROW | Keyword::ROWS))
                && word(close + 2) == Some(Keyword::ONLY);
            if ends {
                found = Some([at[i], at[i + 1], at[close + 1], at[close + 2]]);
                break;
            }
        }
        let Some([fetch, first, rows, only]) = found else {
            return;
        };
        tokens[fetch].token = Token::Word(Word {
            value: "LIMIT".to_owned(),
            quote_style: None,
            keyword: Keyword::LIMIT,
        });
        for place in [only, rows, first] {
            tokens.remove(place);
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
        for same in [
            "FETCH FIRST FROM c",
            "SELECT 1 FETCH FIRST 2 ROWS ONLY",
            "SELECT 1 FETCH FIRST ( 2 ) ROWS WITH TIES",
        ] {
            assert_eq!(spelled(same), same);
        }
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
