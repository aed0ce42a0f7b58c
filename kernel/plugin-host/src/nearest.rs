//! The name that a misspelt one was meant to be.

/// The candidate with the least edit distance (insertions, deletions, substitutions and swaps of
/// neighbours), the first of several; `None` only when there are no candidates.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .min_by_key(|candidate| strsim::osa_distance(name, candidate))
}

/// `; did you mean "listen"?`, or nothing when there is nothing to mean.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(name, candidates)
        .map(|near| format!("; did you mean \"{near}\"?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_with_one_slip() {
        let names = ["listen", "auth", "max_connections"];
        assert_eq!(nearest("lisetn", names), Some("listen"));
        assert_eq!(nearest("max_conections", names), Some("max_connections"));
        assert_eq!(nearest("x", []), None);
        assert_eq!(did_you_mean("x", []), "");
    }
}
