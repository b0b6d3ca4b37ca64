//! The languages of the service's own words, in feeds and on pages. Each language is one file, with its words for
//! problems beside it, which the compiler holds to be complete.

mod en;
mod fa;
mod ru;
mod words;
mod zh;

pub use words::{CountedNoun, FeedWords, PageWords, Problem, ProblemWords, Problems, StatusWords, Words};

/// A language of the service's own words. Posts stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Russian.
    Russian,
    /// Persian, which is written from right to left.
    Persian,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 4] = [Self::English, Self::Russian, Self::Persian, Self::Chinese];

    /// Returns the primary subtag (RFC 5646), as in `lang=ru`.
    #[must_use]
    pub const fn subtag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
            Self::Persian => "fa",
            Self::Chinese => "zh",
        }
    }

    /// Returns the language with a primary subtag, in any case.
    #[must_use]
    pub fn from_subtag(subtag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.subtag().eq_ignore_ascii_case(subtag))
    }

    /// Returns the language tag (RFC 5646), which names the script where the subtag is not enough.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-Hans",
            language => language.subtag(),
        }
    }

    /// Returns whether the language is written from right to left.
    #[must_use]
    pub const fn is_right_to_left(self) -> bool {
        matches!(self, Self::Persian)
    }

    /// Returns the words of the language.
    #[must_use]
    pub const fn words(self) -> &'static Words {
        match self {
            Self::English => &en::WORDS,
            Self::Russian => &ru::WORDS,
            Self::Persian => &fa::WORDS,
            Self::Chinese => &zh::WORDS,
        }
    }

    /// Returns a number with its noun, as in "3 posts".
    #[must_use]
    pub fn counted(self, n: u64, noun: &CountedNoun) -> String {
        fill(self.form(n, noun), &[&n.to_string()])
    }

    /// Returns a [`brief`] number with its noun, as in "12.3K views".
    #[must_use]
    pub fn briefly_counted(self, n: u64, noun: &CountedNoun) -> String {
        // Of a thousand or a million, nouns have the form of those.
        fill(self.form(n.min(1000), noun), &[&brief(n)])
    }

    fn form(self, n: u64, noun: &CountedNoun) -> &'static str {
        match self {
            Self::English if n == 1 => noun.one,
            Self::Russian => match (n % 10, n % 100) {
                (1, tens) if tens != 11 => noun.one,
                (2..=4, tens) if !(12..=14).contains(&tens) => noun.few,
                _ => noun.many,
            },
            _ => noun.many,
        }
    }
}

/// Returns a number with three digits, as Telegram writes counts: `12.3K`, `6.51M`.
#[must_use]
pub fn brief(n: u64) -> String {
    let (unit, suffix) = match n {
        0..1_000 => return n.to_string(),
        1_000..1_000_000 => (1_000, "K"),
        _ => (1_000_000, "M"),
    };
    let whole = n / unit;
    let n_digits = if whole < 10 { 2 } else { usize::from(whole < 100) };
    let hundredths = format!("{:02}", n % unit * 100 / unit);
    let number = format!("{whole}.{}", &hundredths[..n_digits]);
    format!("{}{suffix}", number.trim_end_matches('0').trim_end_matches('.'))
}

/// Returns a text with its `{}` replaced by values, in this order.
#[must_use]
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut parts = text.split("{}");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (part, value) in parts.zip(values) {
        filled.push_str(value);
        filled.push_str(part);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_have_the_form_of_their_number() {
        let noun = CountedNoun { one: "{} пост", few: "{} поста", many: "{} постов" };
        for (n, text) in [
            (1, "1 пост"),
            (2, "2 поста"),
            (5, "5 постов"),
            (11, "11 постов"),
            (12, "12 постов"),
            (21, "21 пост"),
            (111, "111 постов"),
            (0, "0 постов"),
        ] {
            assert_eq!(Language::Russian.counted(n, &noun), text);
        }
        let noun = CountedNoun { one: "{} post", few: "", many: "{} posts" };
        assert_eq!(Language::English.counted(1, &noun), "1 post");
        assert_eq!(Language::English.counted(2, &noun), "2 posts");
    }

    #[test]
    fn values_are_filled_in_order() {
        assert_eq!(fill("{} of {} posts", &["3", "20"]), "3 of 20 posts");
        assert_eq!(fill("no place", &["3"]), "no place");
    }

    #[test]
    fn large_numbers_have_three_digits() {
        for (n, text) in [
            (0, "0 просмотров"),
            (1, "1 просмотр"),
            (999, "999 просмотров"),
            (1_001, "1K просмотров"),
            (2_490, "2.49K просмотров"),
            (17_900, "17.9K просмотров"),
            (100_000, "100K просмотров"),
            (6_510_000, "6.51M просмотров"),
            (20_050_000, "20M просмотров"),
        ] {
            let views = &Language::Russian.words().feed.views;
            assert_eq!(Language::Russian.briefly_counted(n, views), text);
        }
    }

    #[test]
    fn problems_have_their_own_words_in_every_language() {
        let english = &Language::English.words().page.problems;
        let n_quoted = |text: &str| text.matches("{}").count();
        for problem in Problem::ALL {
            let original = english.get(problem);
            assert!(!original.advice.is_empty(), "{problem:?}");
            for language in [Language::Russian, Language::Persian, Language::Chinese] {
                let words = language.words().page.problems.get(problem);
                assert_eq!(n_quoted(words.why), n_quoted(original.why), "{language:?} {problem:?}");
                assert_eq!(words.advice.len(), original.advice.len(), "{language:?} {problem:?}");
                assert!(
                    words.title != original.title && words.why != original.why,
                    "{language:?} {problem:?}"
                );
                assert!(words.advice.iter().all(|line| !original.advice.contains(line)), "{problem:?}");
            }
        }
    }

    #[test]
    fn languages_are_found_by_their_subtag() {
        assert_eq!(Language::from_subtag("RU"), Some(Language::Russian));
        assert_eq!(Language::from_subtag("de"), None);
    }
}
