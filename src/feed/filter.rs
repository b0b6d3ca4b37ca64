//! The filters of a feed: which posts have what the reader asked for.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::options::{Case, FeedOptions, Kind, OptionsError, Pattern, Term, searchable};
use super::{kinds, shape, title};
use crate::model::post::{Media, NamedLink, Post};
use crate::model::rich_text::{EntityKind, RichText};

/// The largest compiled regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 256 << 10;

/// The compiled filters of [`FeedOptions`], except for the age of posts.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Vec<Matcher>,
    exclude: Vec<Matcher>,
    include_title: Vec<Matcher>,
    exclude_title: Vec<Matcher>,
    options: FeedOptions,
}

/// A compiled [`Pattern`].
#[derive(Clone, Debug)]
struct Matcher {
    texts: Vec<String>,
    regexes: Vec<Regex>,
}

impl Filter {
    /// Compiles the filters.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Regex`] if an expression is invalid or too large.
    pub fn new(options: &FeedOptions) -> Result<Self, OptionsError> {
        let mut places_left = MAX_PLACES;
        let mut compile = |patterns: &BTreeSet<Pattern>| -> Result<Vec<Matcher>, OptionsError> {
            patterns.iter().map(|pattern| Matcher::new(pattern, options.case, &mut places_left)).collect()
        };
        Ok(Self {
            include: compile(&options.include)?,
            exclude: compile(&options.exclude)?,
            include_title: compile(&options.include_title)?,
            exclude_title: compile(&options.exclude_title)?,
            options: options.clone(),
        })
    }

    /// Returns whether a post passes all filters. The channel's signature lines are not used as titles.
    #[must_use]
    pub fn passes(&self, post: &Post, signature_lines: &[String]) -> bool {
        self.passes_if_found(post, signature_lines) && self.passes_search(post)
    }

    /// Returns whether a post passes all filters except for the search.
    pub(super) fn passes_if_found(&self, post: &Post, signature_lines: &[String]) -> bool {
        let is_of = |kinds: &BTreeSet<Kind>| kinds.iter().any(|kind| kinds::is_of(post, *kind));
        let FeedOptions { only, without, tags, .. } = &self.options;
        (only.is_empty() || is_of(only))
            && !is_of(without)
            && (tags.is_empty() || self.has_tag(post))
            && self
                .passes_text(&self.include_title, &self.exclude_title, || self.title(post, signature_lines))
            && self.passes_text(&self.include, &self.exclude, || shown_text(post))
    }

    /// Returns the title of the post's entry; the default one if the reader wants none.
    fn title(&self, post: &Post, signature_lines: &[String]) -> String {
        let post = shape::with_spoilers(post, &self.options);
        shape::title(&post, &self.options, signature_lines)
            .unwrap_or_else(|| title::title(&post, signature_lines, self.options.language))
    }

    fn passes_search(&self, post: &Post) -> bool {
        if self.options.search.is_empty() {
            return true;
        }
        let line = searchable(&shown_text(post), Case::Insensitive);
        self.options.search.iter().all(|word| line.contains(word.as_str()))
    }

    fn has_tag(&self, post: &Post) -> bool {
        post.full_text().hashtags().into_iter().any(|tag| self.options.tags.contains(&tag.to_lowercase()))
    }

    fn passes_text(&self, include: &[Matcher], exclude: &[Matcher], text: impl FnOnce() -> String) -> bool {
        if include.is_empty() && exclude.is_empty() {
            return true;
        }
        let text = text();
        let line = searchable(&text, self.options.case);
        let matches = |matcher: &Matcher| matcher.matches(&text, &line);
        (include.is_empty() || include.iter().any(matches)) && !exclude.iter().any(matches)
    }
}

impl Matcher {
    fn new(pattern: &Pattern, case: Case, places_left: &mut usize) -> Result<Self, OptionsError> {
        let (mut texts, mut regexes) = (Vec::new(), Vec::new());
        for term in &pattern.0 {
            match term {
                Term::Text(text) => texts.push(text.clone()),
                Term::Regex(expression) => regexes.push(regex(expression, case, places_left)?),
            }
        }
        Ok(Self { texts, regexes })
    }

    /// Returns whether all terms are found. `line` is the text on one line, in lower case unless case matters.
    fn matches(&self, text: &str, line: &str) -> bool {
        self.texts.iter().all(|term| line.contains(term.as_str()))
            && self.regexes.iter().all(|regex| regex.is_match(text))
    }
}

/// The most places of all expressions at which a search may be at once; see [`n_places`]. With more, a search can take ten
/// times as long as the rest of the answer.
const MAX_PLACES: usize = 40;

/// A class of so few characters is like a letter, such as `[Aa]`.
const MAX_LETTER_CASES: usize = 4;

/// Returns how many places of an expression match many characters or are optional or repeated, with each repetition counted.
/// A search may have to follow all of them at each character, so its time grows with their number.
fn n_places(hir: &Hir, is_repeated: bool) -> usize {
    let is_letter = |class: &Class| match class {
        Class::Unicode(class) => {
            class.iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum::<usize>() <= MAX_LETTER_CASES
        }
        Class::Bytes(class) => {
            class.iter().map(regex_syntax::hir::ClassBytesRange::len).sum::<usize>() <= MAX_LETTER_CASES
        }
    };
    match hir.kind() {
        HirKind::Literal(literal) if is_repeated => literal.0.len(),
        HirKind::Literal(_) | HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Class(class) => usize::from(is_repeated || !is_letter(class)),
        HirKind::Capture(capture) => n_places(&capture.sub, is_repeated),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            n_places(&repetition.sub, true).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum, part| n_places(part, is_repeated).saturating_add(sum))
        }
    }
}

fn regex(expression: &str, case: Case, places_left: &mut usize) -> Result<Regex, OptionsError> {
    let n_places = regex_syntax::parse(expression).map_or(0, |hir| n_places(&hir, false));
    let Some(left) = places_left.checked_sub(n_places) else {
        let reason =
            format!("it is too slow; use fewer or smaller repetitions, at most {MAX_PLACES} in one URL");
        return Err(OptionsError::Regex { expression: expression.to_owned(), reason });
    };
    *places_left = left;
    let regex = RegexBuilder::new(expression)
        .case_insensitive(case == Case::Insensitive)
        .size_limit(MAX_REGEX_BYTES)
        .build();
    regex.map_err(|err| {
        let reason = match &err {
            regex::Error::CompiledTooBig(_) => "it is too large; use fewer or smaller repetitions".to_owned(),
            // The last line is the cause, after lines that quote the expression.
            err => {
                err.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        };
        OptionsError::Regex { expression: expression.to_owned(), reason }
    })
}

/// Returns every text that the body of a post shows, and the URLs of its links, one per line.
fn shown_text(post: &Post) -> String {
    let text = post.full_text();
    let mut shown = vec![text.text()];
    for entity in text.entities() {
        if let EntityKind::Link(url) = &entity.kind {
            shown.push(url);
        }
    }
    for medium in &post.media {
        match medium {
            Media::Location { title, address, .. } => {
                shown.extend([title, address].into_iter().flatten().map(String::as_str));
            }
            Media::Contact { name, phone } => {
                shown.push(name);
                shown.extend(phone.as_deref());
            }
            Media::Game(offer) | Media::Invoice(offer) => {
                shown.push(&offer.title);
                shown.extend([&offer.description, &offer.note].into_iter().flatten().map(String::as_str));
            }
            Media::Photo { .. } | Media::Video(_) | Media::Voice { .. } | Media::Sticker { .. } => {}
        }
    }
    if let Some(poll) = &post.poll {
        shown.push(&poll.question);
        shown.extend(poll.options.iter().map(|option| option.text.as_str()));
    }
    for document in &post.documents {
        shown.push(&document.name);
        shown.extend(document.note.as_deref());
    }
    if let Some(preview) = &post.preview {
        shown.push(&preview.url);
        shown.extend([&preview.site, &preview.title].into_iter().flatten().map(String::as_str));
        shown.extend(preview.description.as_ref().map(RichText::text));
    }
    let links = post.forward.iter().map(|forward| &forward.from);
    let links =
        links.chain(post.reply.iter().map(|reply| &reply.to)).chain(&post.via_bot).chain(&post.buttons);
    for NamedLink { name, url } in links {
        shown.push(name);
        shown.extend(url.as_deref());
    }
    shown.extend(post.forward.iter().filter_map(|forward| forward.author.as_deref()));
    shown.extend(post.reply.iter().map(|reply| reply.text.as_str()));
    shown.extend(post.signature.as_deref());
    shown.extend(post.unknown.iter().map(|part| part.text.as_str()));
    shown.extend(post.only_in_telegram.as_deref());
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;

    fn passes(query: &str, post: &Post) -> bool {
        Filter::new(&FeedOptions::parse(query).unwrap()).unwrap().passes(post, &[])
    }

    #[test]
    fn patterns_find_words_phrases_and_expressions() {
        let post = Post {
            text: "Low tide at six in the morning.\nThe ROPE is new: ΟΔΟΣ, Straße, Весна".into(),
            signature: Some("Ada".into()),
            ..fixtures::post()
        };
        for (query, expected) in [
            ("match=rope+tide", true),
            ("match=rope+sand", false),
            ("match=sand&match=rope", true),
            ("match=%22morning.+the+rope%22", true),
            ("match=%22rope+tide%22", false),
            ("match=οδο", true),
            ("match=ВЕСН", true),
            ("match=ada", true),
            ("match=/^low.*six/", true),
            ("match=/\\bвесна\\b/", true),
            ("match=/tide.*rope/", false),
            ("match=/(?s)tide.*rope/", true),
            ("match=Rope&case=sensitive", false),
            ("match=ROPE&case=sensitive", true),
            ("match=/rope/&case=sensitive", false),
            ("exclude=sand", true),
            ("exclude=sand&exclude=rope", false),
            ("exclude=rope+sand", true),
            ("match-title=tide", true),
            ("match-title=rope", false),
            ("exclude-title=tide", false),
            ("match=rope&exclude-title=tide", false),
            ("title=none&match-title=tide", true),
        ] {
            assert_eq!(passes(query, &post), expected, "{query}");
        }
    }

    #[test]
    fn invalid_and_large_expressions_are_errors() {
        for (expression, reason) in [
            ("(a", "unclosed group"),
            ("(?=a)", "look-around"),
            ("(a)\\1", "backreferences are not supported"),
            ("(?:\\w{100}){100}", "too slow"),
            ("a{41}", "too slow"),
            ("\\b(?:.{1,200})\\bq", "too slow"),
            ("(?:[^x]{2,5}y*){11}", "too slow"),
            ("\\p{Greek}{64}(?i)\\p{Cyrillic}", "too slow"),
            ("\\w{64}\\b\\w", "too slow"),
            ("(?:\\w\\W){20}", "too large"),
        ] {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("match", &format!("/{expression}/"))
                .finish();
            let err = Filter::new(&FeedOptions::parse(&query).unwrap()).unwrap_err().to_string();
            assert!(err.contains(reason), "{expression}: {err}");
        }
    }
}
