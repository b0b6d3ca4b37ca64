//! Plain text on one line, for titles, names and summaries.
//!
//! Readers decode HTML entities in these texts once, twice or not at all, so the texts must not contain anything that
//! could be parsed as HTML.

use unicode_segmentation::UnicodeSegmentation;

use super::xml;
use crate::model::rich_text::OBJECT;

/// The characters behind a beginning that are converted too: whether it ends with a word, an entity or a grapheme cluster
/// depends on what follows.
const LOOKAHEAD: usize = 100;

/// The length up to which the beginning of a sentence says too little to be kept at the end of a cut line.
const MAX_STUB_CHARS: usize = 20;

/// Returns the text on one line: white space is collapsed, invisible characters and direction overrides are removed,
/// and literal markup and entities are replaced by lookalike characters.
pub(super) fn line(text: &str) -> String {
    line_of(text, usize::MAX)
}

/// Returns the beginning of [`line()`] of a text from about `max` characters.
fn line_of(text: &str, max: usize) -> String {
    let (mut line, mut n_chars) = (String::with_capacity(text.len().min(max)), 0);
    for c in xml::legal(text).chars() {
        if c.is_whitespace() || is_filler(c) {
            if line.is_empty() || line.ends_with(' ') {
                continue;
            }
            line.push(' ');
        } else if is_dropped(c) {
            continue;
        } else {
            line.push(c);
        }
        n_chars += 1;
        if n_chars == max {
            break;
        }
    }
    line.truncate(line.trim_end().len());
    without_markup(line)
}

/// Returns [`line()`], or `None` if the line is blank.
pub(super) fn visible_line(text: &str) -> Option<String> {
    Some(line(text)).filter(|line| !is_blank(line))
}

/// Returns [`visible_line()`] [`cut`] to at most `max` characters. Of a long text, only the beginning is converted.
pub(super) fn visible_beginning(text: &str, max: usize) -> Option<String> {
    let beginning = Some(line_of(text, max + LOOKAHEAD)).filter(|line| !is_blank(line));
    beginning.or_else(|| visible_line(text)).map(|line| cut(line, max))
}

/// Returns whether the text has no visible character.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| shows_nothing(c) || is_joined(c) || is_format(c))
}

/// Returns whether the character is invisible and does not affect how its neighbours are displayed.
pub(super) fn shows_nothing(c: char) -> bool {
    c.is_whitespace() || is_filler(c) || is_dropped(c)
}

/// Truncates a line to at most `max` characters including a final `…`: at the end of a sentence if only a few words follow
/// it, else at a word boundary or behind a mark of Chinese or Japanese if there is one. A sentence that ends there gets no
/// `…`.
pub(super) fn cut(mut line: String, max: usize) -> String {
    if line.chars().nth(max).is_none() {
        return line;
    }
    let limit = line.char_indices().nth(max.saturating_sub(1)).map_or(0, |(at, _)| at);
    let at = if line[limit..].starts_with(' ') {
        limit
    } else {
        // Without a boundary in the second half of the line, cut anywhere: Chinese and Japanese are written without
        // spaces.
        let boundary = line[..limit].char_indices().rfind(|&(_, c)| c == ' ' || is_wide_mark(c));
        boundary
            .map(|(at, c)| if c == ' ' { at } else { at + c.len_utf8() })
            .filter(|&at| at >= limit / 2)
            .unwrap_or_else(|| cluster_boundary(&line, limit))
    };
    if let Some(end) = sentence_end(&line, at).filter(|&end| end >= limit / 2) {
        line.truncate(end);
        return line;
    }
    line.truncate(at);
    line.truncate(line.trim_end_matches(|c| c == ' ' || is_clause_mark(c) || is_separator(c)).len());
    // A dot that ends a sentence was found above. This one is that of an abbreviation, or in an open quote.
    line.truncate(line.trim_end_matches('.').len());
    if !line.ends_with(is_sentence_mark) {
        line.push('…');
    }
    line
}

/// Returns the end of the last sentence that ends at most [`MAX_STUB_CHARS`] before `at`, outside of quotes and brackets.
fn sentence_end(line: &str, at: usize) -> Option<usize> {
    let last = line[..at].char_indices().rev().take(MAX_STUB_CHARS + 1);
    let mut marks = last.filter(|&(_, c)| is_sentence_mark(c));
    let end = |(mark, c): (usize, char)| {
        let sentence = &line[..mark];
        let behind = &line[mark + c.len_utf8()..];
        let next = behind.trim_start_matches(is_closing);
        let word = sentence.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        // The dot of "St." or "21." does not end a sentence.
        let is_abbreviation =
            c == '.' && (matches!(word.chars().count(), 1..=3) || word.ends_with(char::is_numeric));
        let continues = !next.starts_with(' ') && !is_wide_mark(c)
            || next.trim_start().starts_with(|c: char| c.is_lowercase() || is_sentence_mark(c));
        let end = line.len() - next.len();
        (!is_abbreviation && !continues && end <= at && !is_in_quote(&line[..end])).then_some(end)
    };
    marks.find_map(end)
}

/// Returns whether a quote or bracket is open at the end of the text.
fn is_in_quote(text: &str) -> bool {
    let n = |mark| text.matches(mark).count();
    [('«', '»'), ('“', '”'), ('(', ')'), ('「', '」'), ('《', '》'), ('（', '）')]
        .into_iter()
        .any(|(open, close)| n(open) > n(close))
}

/// Returns whether the character ends a sentence.
fn is_sentence_mark(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '؟' | '。' | '！' | '？')
}

/// Returns whether the character separates or announces parts of a sentence.
pub(super) fn is_clause_mark(c: char) -> bool {
    matches!(c, ',' | ';' | ':' | '،' | '؛' | '，' | '、' | '；' | '：')
}

/// Returns whether no space follows this mark, because the mark is as wide as a Chinese character.
pub(super) fn is_wide_mark(c: char) -> bool {
    matches!(c, '，' | '、' | '；' | '：' | '。' | '！' | '？')
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '”' | '’' | '»' | ')' | ']' | '」' | '』' | '》' | '）')
}

/// Returns whether the character separates or decorates parts of a line: dashes, bullets, arrows, slashes and the like.
pub(super) fn is_separator(c: char) -> bool {
    matches!(
        c,
        '-' | '/' | '|' | '\\' | '=' | '_' | '*' | '~' | '·' | '‐'..='―' | '−' | '•' | '‣' | '◦' | '←'..='↓' | '─'..='╿'
    )
}

/// Returns the last grapheme cluster boundary up to `limit`. A cluster that is longer than the line is cut at `limit`.
fn cluster_boundary(line: &str, limit: usize) -> usize {
    let boundaries = line.grapheme_indices(true).map(|(at, _)| at);
    boundaries.take_while(|&at| at <= limit).last().filter(|&at| at > 0).unwrap_or(limit)
}

/// Returns whether the character forms one grapheme cluster with a base letter before it, as combining marks, variation
/// selectors and skin tones do.
fn is_joined(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let mut buffer = [b'a'; 5];
    let len = c.encode_utf8(&mut buffer[1..]).len();
    str::from_utf8(&buffer[..=len]).is_ok_and(|pair| pair.graphemes(true).count() == 1)
}

/// Returns whether the character is a blank letter. Authors use these for blank lines, which Telegram would remove
/// otherwise.
fn is_filler(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

/// Returns the characters of a blank beginning of a line that indent the line or set its direction: HTML collapses other
/// spaces.
pub(super) fn indentation(blank: &str) -> impl Iterator<Item = char> {
    let has_width = |c: char| is_filler(c) || c.is_whitespace() && !c.is_ascii() && !c.is_control();
    let sets_direction = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    blank.chars().filter(move |&c| has_width(c) || sets_direction(c))
}

/// Returns whether the character is removed: it is invisible, stands for something else than text, or overrides the
/// direction of the text around it.
fn is_dropped(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        || c.is_control()
        || c == OBJECT
}

/// Returns whether the character is invisible but affects its neighbours; Persian and Hebrew need such characters.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2061}'..='\u{2064}')
}

/// Replaces each `<`, `>` and `&` that an HTML parser would take for markup.
fn without_markup(line: String) -> String {
    if !line.contains(['<', '&']) {
        return line;
    }
    let mut in_tag = false;
    let replace = |(at, c): (usize, char)| match c {
        '<' if opens_tag(&line[at + 1..]) => {
            in_tag = true;
            '‹'
        }
        '>' if in_tag => {
            in_tag = false;
            '›'
        }
        '&' if opens_entity(&line[at + 1..]) => '＆',
        _ => c,
    };
    line.char_indices().map(replace).collect()
}

/// Returns whether a `<` before `rest` starts a tag or comment.
fn opens_tag(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
}

/// The entities that HTML parses without `;`, in lower case (HTML standard, section 13.5).
const LEGACY_ENTITIES: &[&str] = &[
    "aacute", "acirc", "acute", "aelig", "agrave", "amp", "aring", "atilde", "auml", "brvbar", "ccedil",
    "cedil", "cent", "copy", "curren", "deg", "divide", "eacute", "ecirc", "egrave", "eth", "euml", "frac12",
    "frac14", "frac34", "gt", "iacute", "icirc", "iexcl", "igrave", "iquest", "iuml", "laquo", "lt", "macr",
    "micro", "middot", "nbsp", "not", "ntilde", "oacute", "ocirc", "ograve", "ordf", "ordm", "oslash",
    "otilde", "ouml", "para", "plusmn", "pound", "quot", "raquo", "reg", "sect", "shy", "sup1", "sup2",
    "sup3", "szlig", "thorn", "times", "uacute", "ucirc", "ugrave", "uml", "uuml", "yacute", "yen", "yuml",
];

/// Returns whether an `&` before `rest` starts an entity.
fn opens_entity(rest: &str) -> bool {
    if let Some(number) = rest.strip_prefix('#') {
        return number.starts_with(|c: char| c.is_ascii_digit() || matches!(c, 'x' | 'X'));
    }
    let name = &rest[..rest.bytes().take_while(u8::is_ascii_alphanumeric).count()];
    let starts_name =
        |known: &&str| name.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    LEGACY_ENTITIES.iter().any(starts_name) || !name.is_empty() && rest[name.len()..].starts_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_entities_are_not_decoded_and_other_ampersands_are_kept() {
        let url = "?from=quay&region=eu&section=2&copy=1&lang=en";
        assert_eq!(line(url), "?from=quay＆region=eu＆section=2＆copy=1&lang=en");
        for kept in ["S&P-500", "AT&T", "R&D & Co", "a && b"] {
            assert_eq!(line(kept), kept);
        }
    }

    #[test]
    fn invisible_characters_and_line_breaks_are_removed() {
        assert_eq!(line(" a\u{202e}b \n\t\u{200b} c\u{3164}\u{1}d\u{9f}\u{fffe}e\u{a0}"), "ab c de");
        assert_eq!(line("می\u{200c}خواهم 👨\u{200d}👩"), "می\u{200c}خواهم 👨\u{200d}👩");
        for blank in ["", " \n", "\u{200b}\u{2800}", "\u{3164}\u{fe0f}\u{200f}"] {
            assert_eq!(visible_line(blank), None, "{blank:?}");
        }
    }

    #[test]
    fn literal_markup_and_entities_are_replaced() {
        for (text, expected) in [
            ("use <b>bold</b> &lt;i&gt;", "use ‹b›bold‹/b› ＆lt;i＆gt;"),
            ("&amp;lt;b&amp;gt; &#60;b &ltb &AMP;", "＆amp;lt;b＆amp;gt; ＆#60;b ＆ltb ＆AMP;"),
            ("1 < 2 && 3 > 2, AT&T, I <3 R&D; <\u{202e}!--", "1 < 2 && 3 > 2, AT&T, I <3 R＆D; ‹!--"),
        ] {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn beginning_is_the_line_cut() {
        let text = "One  two, <b>three</b> &amp; 👨\u{200d}👩\u{200d}👧 four\n".repeat(20);
        for max in 1..text.chars().count() {
            assert_eq!(visible_beginning(&text, max), Some(cut(line(&text), max)), "{max}");
        }
        assert_eq!(visible_beginning(" \u{200b}\n", 5), None);
        let after_invisible = "\u{200c}".repeat(2 * LOOKAHEAD) + "x";
        assert_eq!(visible_beginning(&after_invisible, 5), Some(cut(line(&after_invisible), 5)));
    }

    #[test]
    fn cut_keeps_words_and_grapheme_clusters() {
        assert_eq!(cut("one two | three".into(), 12), "one two…");
        assert_eq!(cut("یک دو، سه".into(), 8), "یک دو…");
        assert_eq!(cut("one two".into(), 7), "one two");
        assert_eq!(cut("one two, three".into(), 12), "one two…");
        assert_eq!(cut("one two three".into(), 8), "one two…");
        assert_eq!(cut("一二三四五六".into(), 4), "一二三…");
        assert_eq!(cut("一e\u{301}\u{302}x".into(), 4), "一…");
        assert_eq!(cut("一👨\u{200d}👩\u{200d}👧x".into(), 5), "一…");
        assert_eq!(cut("一🇩🇪🇫🇷x".into(), 5), "一🇩🇪…");
        assert_eq!(cut("一ગુx".into(), 3), "一…");
        assert_eq!(cut("一क्षx".into(), 4), "一…");
        assert_eq!(cut("\u{301}".repeat(9), 4), "\u{301}\u{301}\u{301}…");
    }

    #[test]
    fn cut_prefers_the_end_of_a_sentence_to_a_few_words_of_the_next() {
        for (text, max, expected) in [
            ("The lamp of the pier is lit again. We went there", 40, "The lamp of the pier is lit again."),
            ("The lamp of the pier is lit again! 🔥 We went there", 42, "The lamp of the pier is lit again!"),
            ("He said “the lamp is lit up again.” We went there", 42, "He said “the lamp is lit up again.”"),
            (
                "He said “the lamp is lit up again. We went” there",
                42,
                "He said “the lamp is lit up again. We…",
            ),
            ("The lamp (of the pier. We went) is lit", 28, "The lamp (of the pier. We…"),
            (
                "The lamp of the pier. Everybody went there to see",
                45,
                "The lamp of the pier. Everybody went there…",
            ),
            ("Yesterday we had tea with St. George there", 37, "Yesterday we had tea with St. George…"),
            ("The lamp is lit since the 21. We went there", 36, "The lamp is lit since the 21. We…"),
            ("It costs about twelve thous. pounds to mend it", 36, "It costs about twelve thous. pounds…"),
            ("Yesterday we had our tea with St. Petersburg's mayor", 36, "Yesterday we had our tea with St…"),
            (
                "В новом году открыли мосты, пирсы и т. д. вместе",
                44,
                "В новом году открыли мосты, пирсы и т. д…",
            ),
            ("The lamp is at example.org now and then", 31, "The lamp is at example.org now…"),
            ("آیا چراغ اسکله دوباره روشن است؟ ما رفتیم", 38, "آیا چراغ اسکله دوباره روشن است؟"),
            ("码头上的灯又亮了。我们昨天去过", 13, "码头上的灯又亮了。"),
            ("码头上的灯，昨天晚上又亮了", 9, "码头上的灯…"),
            ("灯，码头上的昨天晚上又亮了", 9, "灯，码头上的昨天…"),
        ] {
            assert_eq!(cut(text.into(), max), expected, "{text}");
        }
    }
}
