//! Where what a spec printed first differs from what PostgreSQL prints, and of what kind that is.

#[derive(Debug, PartialEq)]
pub struct Difference {
    /// Counted from 0.
    pub line: usize,
    pub expected: String,
    pub printed: String,
    /// The permutation it is in.
    pub permutation: String,
}

/// `None` when they are the same.
pub fn first(expected: &str, printed: &str) -> Option<Difference> {
    if expected == printed {
        return None;
    }
    let (mut theirs, mut ours) = (expected.lines(), printed.lines());
    let (mut line, mut permutation) = (0, "");
    loop {
        let (a, b) = (theirs.next(), ours.next());
        if a == b && a.is_none() {
            break;
        }
        if a != b {
            return Some(Difference {
                line,
                expected: a.unwrap_or_default().to_owned(),
                printed: b.unwrap_or("(no more)").to_owned(),
                permutation: permutation.to_owned(),
            });
        }
        if let Some(steps) = a.and_then(|a| a.strip_prefix("starting permutation: ")) {
            permutation = steps;
        }
        line += 1;
    }
    // They differ in the ends of lines.
    Some(Difference {
        line,
        expected: String::new(),
        printed: String::new(),
        permutation: permutation.to_owned(),
    })
}

impl Difference {
    /// The kind of it, without the names that are its own.
    pub fn reason(&self) -> String {
        let error = |line: &str| {
            let at = line.find("ERROR:").or_else(|| line.find("FATAL:"))?;
            Some(crate::sqlsmith::log::without_names(line[at..].trim_end()))
        };
        let waits = |line: &str| line.contains("<waiting ...>");
        match (error(&self.printed), error(&self.expected)) {
            (Some(printed), None) => printed,
            (Some(printed), Some(expected)) => format!("{printed} instead of {expected}"),
            (None, Some(expected)) => format!("not refused with {expected}"),
            (None, None) if waits(&self.printed) && !waits(&self.expected) => {
                "a step waits".to_owned()
            }
            (None, None) if !waits(&self.printed) && waits(&self.expected) => {
                "a step does not wait".to_owned()
            }
            (None, None) => "another result".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_and_named() {
        let expected = "Parsed test spec with 2 sessions\n\nstarting permutation: a b\nstep a: x\nstep b: y <waiting ...>\n";
        assert_eq!(first(expected, expected), None);
        let found = first(expected, &expected.replace(" <waiting ...>", "")).unwrap();
        assert_eq!(
            (found.line, found.permutation.as_str(), found.reason()),
            (4, "a b", "a step does not wait".to_owned())
        );
        let refused = expected.replace("step a: x\n", "setup failed: ERROR:  no \"t\"\n");
        let found = first(expected, &refused).unwrap();
        assert_eq!(found.reason(), "ERROR:  no \"…\"");
        let found = first(expected, "Parsed test spec with 2 sessions\n").unwrap();
        assert_eq!(
            (found.line, found.reason()),
            (1, "another result".to_owned())
        );
    }
}
