//! The syntax of `match=` and the other options that search texts: words, `"phrases"` and `/regular expressions/`.

use std::collections::BTreeSet;
use std::fmt;

use super::choices::Case;

/// The longest value in its canonical form, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;

/// One value: a text matches if it contains all of these terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(pub(crate) BTreeSet<Term>);

/// A part of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    /// A word or a phrase, with single spaces: it also matches inside of longer words.
    Text(String),
    /// A regular expression.
    Regex(String),
}

impl Pattern {
    /// Parses a value; `None` if it is too long, has no term, or is a regular expression without an end.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let terms = match text.strip_prefix('/') {
            Some(rest) => {
                let expression = rest.strip_suffix('/').filter(|expression| !expression.is_empty())?;
                BTreeSet::from([Term::Regex(expression.to_owned())])
            }
            None => words_and_phrases(text),
        };
        let pattern = Self(terms);
        // The canonical form may have more quotation marks, and some letters are longer in lower case.
        let is_short = || {
            text.len() <= MAX_PATTERN_BYTES / 4
                || [&pattern, &pattern.folded()]
                    .iter()
                    .all(|form| form.to_string().len() <= MAX_PATTERN_BYTES)
        };
        (!pattern.0.is_empty() && is_short()).then_some(pattern)
    }

    /// Returns the pattern for a search that ignores case: texts are in lower case. Regular expressions are unchanged,
    /// because `\W` and `\w` differ.
    pub(super) fn folded(&self) -> Self {
        let folded = |term: &Term| match term {
            Term::Text(text) => Term::Text(searchable(text, Case::Insensitive)),
            regex @ Term::Regex(_) => regex.clone(),
        };
        Self(self.0.iter().map(folded).collect())
    }
}

/// Splits a value at white space outside of quotation marks. A phrase without a second quotation mark ends with the value.
fn words_and_phrases(text: &str) -> BTreeSet<Term> {
    let mut terms = BTreeSet::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (term, after) = match rest.strip_prefix('"') {
            Some(phrase) => phrase.split_once('"').unwrap_or((phrase, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        let term = searchable(term, Case::Sensitive);
        if !term.is_empty() {
            terms.insert(Term::Text(term));
        }
        rest = after.trim_start();
    }
    terms
}

/// Returns the text as it is searched: each run of white space is one space, and there is none at the ends. Without case, it
/// is in lower case, character by character, so that a part of a word is changed like the whole word.
pub(crate) fn searchable(text: &str, case: Case) -> String {
    let mut line = String::with_capacity(text.len());
    let mut is_after_space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            is_after_space = true;
            continue;
        }
        if is_after_space && !line.is_empty() {
            line.push(' ');
        }
        is_after_space = false;
        if case == Case::Sensitive {
            line.push(c);
        } else if c.is_ascii() {
            line.push(c.to_ascii_lowercase());
        } else {
            line.extend(c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c }));
        }
    }
    line
}

impl fmt::Display for Pattern {
    /// Writes the canonical form, which is parsed to the same pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, term) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            match term {
                Term::Regex(expression) => write!(f, "/{expression}/")?,
                Term::Text(text) if text.contains(' ') => write!(f, "\"{text}\"")?,
                // Behind an empty phrase, a slash does not begin a regular expression.
                Term::Text(text) if n == 0 && text.starts_with('/') => write!(f, "\"\" {text}")?,
                Term::Text(text) => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

/// Splits a search into words, as they are compared; `None` if it is too long or has no word.
pub(super) fn words(text: &str) -> Option<BTreeSet<String>> {
    let words: BTreeSet<String> = searchable(text, Case::Insensitive)
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    (text.len() <= MAX_PATTERN_BYTES && !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Pattern::parse(text).map(|pattern| pattern.to_string())
    }

    #[test]
    fn words_phrases_and_regular_expressions_are_told_apart() {
        for (text, expected) in [
            ("rust", "rust"),
            (" tide  rope tide ", "rope tide"),
            ("\"low   tide\" rope", "\"low tide\" rope"),
            ("\"rope\"", "rope"),
            ("rope \"low tide", "\"low tide\" rope"),
            ("24\" screen", "24\" screen"),
            ("/low\\s+tide|rope/", "/low\\s+tide|rope/"),
            ("/a/b/", "/a/b/"),
            ("x /etc", "\"\" /etc x"),
            ("\"/etc\"", "\"\" /etc"),
            ("\"\"/\"", "\"\" /\""),
            ("a \"b", "a b"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
            assert_eq!(canonical(expected).as_deref(), Some(expected), "canonicalizing twice changes {text}");
        }
        let long = "a".repeat(513);
        for invalid in ["", "  ", "\"\"", "/", "//", "/a", &long] {
            assert_eq!(canonical(invalid), None, "{invalid}");
        }
    }
}
