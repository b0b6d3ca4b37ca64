//! The parameters of an old URL, and how the table turns them into options.

use std::borrow::Cow;

use super::moved::{Filter, Moved, escaped};
use super::table::{Becomes, RULES, UrlPart};

/// Parameters that are read; URLs of bridges have fewer.
const MAX_PARAMETERS: usize = 100;

/// Words that become one filter each; more become one regular expression, because a feed has a limited number of filters.
const MAX_WORDS: usize = 10;

/// The decoded parameters of a query, in its order.
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS).collect())
    }

    /// Parses the route parameters of RSSHub. Without one of its keys they are a search, as in its older URLs.
    pub(super) fn of_route(route: &'a str) -> Self {
        let parameters = Self::parse(route);
        if parameters.have_any_of(UrlPart::RouteParams) {
            return parameters;
        }
        let search = percent_encoding::percent_decode_str(route).decode_utf8_lossy();
        Self(vec![("searchQuery".into(), search)])
    }

    /// Returns the first value of a parameter.
    pub(super) fn get(&self, parameter: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == parameter).map(|(_, value)| &**value)
    }

    pub(super) fn have_any(&self, parameters: &[&str]) -> bool {
        parameters.iter().any(|parameter| self.get(parameter).is_some())
    }

    /// Returns whether there is a parameter that the table has in this part of a URL.
    pub(super) fn have_any_of(&self, part: UrlPart) -> bool {
        RULES.iter().any(|rule| rule.part == part && self.get(rule.parameter).is_some())
    }

    /// Applies the table's rules for these parts. Parameters without a rule are lost.
    pub(super) fn apply(&self, moved: &mut Moved, parts: &[UrlPart]) {
        for (n, (key, value)) in self.0.iter().enumerate() {
            let is_repeated = self.0[..n].iter().any(|(earlier, _)| earlier == key);
            let rule = RULES.iter().find(|rule| rule.parameter == key && parts.contains(&rule.part));
            match rule {
                _ if is_repeated => {}
                Some(rule) => self.apply_rule(moved, rule.becomes, key, value),
                None if parts.contains(&UrlPart::Merge) && key.starts_with("feed_") => {}
                None => moved.lose(key),
            }
        }
    }

    fn apply_rule(&self, moved: &mut Moved, becomes: Becomes, key: &str, value: &str) {
        let is_false = is_false(value);
        let text = Some(value.trim()).filter(|text| !text.is_empty());
        let number = value.trim().parse::<u32>().ok().filter(|number| *number > 0);
        let option = match becomes {
            Becomes::IfFalse(option, becomes) => is_false.then(|| (option, becomes.to_owned())),
            Becomes::IfTrue(option, becomes) => (!is_false).then(|| (option, becomes.to_owned())),
            Becomes::Text(option) => text.map(|text| (option, text.to_owned())),
            Becomes::Number(option) => number.map(|number| (option, number.to_string())),
            Becomes::NumberPlusOne(option) => {
                number.and_then(|number| number.checked_add(1)).map(|next| (option, next.to_string()))
            }
            Becomes::Seconds(option) => number.map(|number| (option, format!("{number}s"))),
            _ => return self.apply_other_rule(moved, becomes, key, value),
        };
        if let Some((option, value)) = option {
            moved.set(option, value);
        }
    }

    fn apply_other_rule(&self, moved: &mut Moved, becomes: Becomes, key: &str, value: &str) {
        let all_present = |winners: &[&str]| winners.iter().all(|winner| self.get(winner).is_some());
        let has_winner = |winners: &[&str]| !winners.is_empty() && all_present(winners);
        match becomes {
            Becomes::Regex(option, winners) if !value.is_empty() && !has_winner(winners) => {
                let (text, is_case_sensitive) = (value.to_owned(), self.is_case_sensitive());
                moved.filter(key, Filter { option, text, is_regex: true, is_case_sensitive });
            }
            Becomes::Tags(winner) if !value.is_empty() && self.get(winner).is_none() => {
                let is_word =
                    |tag: &str| !tag.is_empty() && tag.chars().all(|c| c.is_alphanumeric() || c == '_');
                if value.split('|').all(is_word) {
                    value.split('|').for_each(|tag| moved.set("tag", tag.to_owned()));
                } else {
                    moved.lose(key);
                }
            }
            Becomes::Words(option, separator) => {
                let (words, is_case_sensitive) = (words(value, separator), self.is_case_sensitive());
                if words.len() > MAX_WORDS {
                    let text = words.iter().map(|word| escaped(word)).collect::<Vec<_>>().join("|");
                    moved.filter(key, Filter { option, text, is_regex: true, is_case_sensitive });
                } else {
                    for text in words {
                        moved.filter(key, Filter { option, text, is_regex: false, is_case_sensitive });
                    }
                }
            }
            Becomes::Flags(flags) => {
                for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    match flags.iter().find(|(flag, _, _)| *flag == word) {
                        Some((_, option, becomes)) => moved.set(option, (*becomes).to_owned()),
                        None => moved.lose(&format!("{key}.{word}")),
                    }
                }
            }
            Becomes::LostUnless(harmless) if value != harmless => moved.lose(key),
            Becomes::LostIfFalse if is_false(value) => moved.lose(key),
            Becomes::Lost => moved.lose(key),
            Becomes::Token if !value.is_empty() => moved.token = Some(value.to_owned()),
            _ => {}
        }
    }

    /// Returns whether filters distinguish case. At RSSHub they do unless it says otherwise, at tgfeed and tg2rss they do
    /// if it says so.
    fn is_case_sensitive(&self) -> bool {
        let is_true = |value: &str| matches!(value, "1" | "true");
        match (self.get("exclude_case_sensitive"), self.get("filter_case_sensitive")) {
            (Some(value), _) => is_true(value),
            (None, Some(value)) => !value.eq_ignore_ascii_case("false"),
            (None, None) => !self.have_any(&["exclude", "exclude_text"]),
        }
    }

    /// Adds the filter of RSS-Bridge's FilterBridge. The title is always one of its targets.
    pub(super) fn apply_filter_bridge(&self, moved: &mut Moved) {
        let is_on = |parameter| self.get(parameter).is_some_and(|value| !matches!(value, "" | "off" | "0"));
        let has_more_targets = is_on("target_content") || is_on("target_author");
        let is_block = self.get("filter_type") == Some("block");
        let option = match (is_block, has_more_targets) {
            (true, true) => "exclude",
            (true, false) => "exclude-title",
            (false, true) => "match",
            (false, false) => "match-title",
        };
        if let Some(text) = self.get("filter").filter(|filter| !filter.is_empty()) {
            let is_case_sensitive = !is_on("case_insensitive");
            moved.filter(
                "filter",
                Filter { option, text: text.to_owned(), is_regex: true, is_case_sensitive },
            );
        }
    }
}

/// Returns whether RSSHub takes a value for false.
fn is_false(value: &str) -> bool {
    value == "0" || value.eq_ignore_ascii_case("false")
}

/// Splits at a separator. Words that commas separate may stand in quotation marks.
fn words(text: &str, separator: char) -> Vec<String> {
    let may_be_quoted = separator == ',';
    let mut is_quoted = false;
    let is_end = |c: char| {
        is_quoted ^= may_be_quoted && c == '"';
        c == separator && !is_quoted
    };
    let unquoted = |word: &str| {
        if may_be_quoted { word.trim().trim_matches('"').trim() } else { word.trim() }.to_owned()
    };
    text.split(is_end).map(unquoted).filter(|word| !word.is_empty()).collect()
}
