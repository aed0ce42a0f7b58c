//! Words that the dialect lacks, taken out of a statement's tokens: what they say is told beside its tree.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::statement::{is_word, word_is};

/// Turns FOR NO KEY UPDATE into FOR UPDATE and FOR KEY SHARE into FOR SHARE; how many of them.
pub(super) fn drop_key_lock_words(tokens: &mut Vec<TokenWithSpan>) -> usize {
    let at: Vec<usize> = (0..tokens.len())
        .filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_)))
        .collect();
    let word = |i: usize, w: &str| at.get(i).is_some_and(|p| word_is(Some(&&tokens[*p]), w));
    let (mut drop, mut count) = (Vec::new(), 0);
    for i in 0..at.len() {
        if word(i, "for") && word(i + 1, "no") && word(i + 2, "key") && word(i + 3, "update") {
            drop.extend([at[i + 1], at[i + 2]]);
            count += 1;
        } else if word(i, "for") && word(i + 1, "key") && word(i + 2, "share") {
            drop.push(at[i + 1]);
            count += 1;
        }
    }
    for p in drop.iter().rev() {
        tokens.remove(*p);
    }
    count
}

/// How often rows are locked.
pub(super) fn count_locks(tokens: &[TokenWithSpan]) -> usize {
    let words: Vec<&TokenWithSpan> = tokens
        .iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .collect();
    let lock = |pair: &&[&TokenWithSpan]| {
        let strength = |keyword| is_word(pair.get(1), keyword);
        is_word(pair.first(), Keyword::FOR)
            && (strength(Keyword::UPDATE) || strength(Keyword::SHARE))
    };
    words.windows(2).filter(lock).count()
}

/// Takes DEFERRABLE or NOT DEFERRABLE out of a list of transaction modes, with the comma beside it. Of
/// several the last counts.
pub(super) fn take_deferrable(tokens: &mut Vec<TokenWithSpan>) -> Option<bool> {
    let mut found = None;
    let mut from = 0;
    loop {
        let at: Vec<usize> = (from..tokens.len())
            .filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_)))
            .collect();
        let word = |i: usize, w: &str| at.get(i).is_some_and(|p| word_is(Some(&&tokens[*p]), w));
        let comma = |i: usize| at.get(i).is_some_and(|p| tokens[*p].token == Token::Comma);
        let Some(place) = (0..at.len()).find(|i| word(*i, "deferrable")) else {
            return found;
        };
        let not = place > 0 && word(place - 1, "not");
        found = Some(!not);
        let first = if not { place - 1 } else { place };
        let (mut drop_from, mut drop_to) = (at[first], at[place]);
        if first > 0 && comma(first - 1) {
            drop_from = at[first - 1];
        } else if comma(place + 1) {
            drop_to = at[place + 1];
        }
        tokens.drain(drop_from..=drop_to);
        from = drop_from;
    }
}
