//! The operator's own text on the home page.

use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Parser, Tag, TagEnd, html};

use crate::feed::sanitize::sanitize_operators;

/// Sanitized HTML, made from the operator's Markdown.
#[derive(Clone, Debug)]
pub struct HomeText(String);

impl HomeText {
    /// Converts a text in Markdown to sanitized HTML. Headings are one level lower, below the page's own. Pictures become links,
    /// because pages load nothing from elsewhere.
    #[must_use]
    pub fn from_markdown(text: &str) -> Self {
        let (mut out, mut n_links) = (String::new(), 0_usize);
        let events = Parser::new(text).map(|event| {
            match &event {
                Event::Start(Tag::Link { .. }) => n_links += 1,
                Event::End(TagEnd::Link) => n_links -= 1,
                _ => {}
            }
            adapted(event, n_links > 0)
        });
        html::push_html(&mut out, events);
        Self(sanitize_operators(&out))
    }

    /// Returns the text as sanitized HTML.
    pub(super) fn html(&self) -> &str {
        &self.0
    }
}

/// Adapts an event to the home page: lowers headings, and turns pictures into links, or into text inside of links.
fn adapted(event: Event<'_>, is_in_link: bool) -> Event<'_> {
    match event {
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            Event::Start(Tag::Heading { level: lower(level), id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) if is_in_link => {
            Event::Text(CowStr::Borrowed(""))
        }
        Event::Start(Tag::Image { dest_url, title, id, .. }) => {
            Event::Start(Tag::Link { link_type: LinkType::Inline, dest_url, title, id })
        }
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        event => event,
    }
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    HeadingLevel::try_from(level as usize + 1).unwrap_or(HeadingLevel::H6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_operator_becomes_html_that_fits_the_page() {
        const REL: &str = "rel=\"noopener noreferrer\"";
        for (text, expected) in [
            ("Ask **us**. <script>alert(1)</script>", "<p>Ask <strong>us</strong>. </p>\n".to_owned()),
            ("# Rules\n\n###### Small", "<h2>Rules</h2>\n<h6>Small</h6>\n".to_owned()),
            ("<h1>Rules</h1>", "Rules".to_owned()),
            ("[a](durov) [b](/durov/rss?limit=5) [c](/)", {
                let link = |href: &str, text: &str| format!("<a href=\"{href}\" {REL}>{text}</a>");
                let links = [link("durov", "a"), link("./durov/rss?limit=5", "b"), link("./", "c")];
                format!("<p>{}</p>\n", links.join(" "))
            }),
            ("[x](javascript:alert(1))", format!("<p><a {REL}>x</a></p>\n")),
            (
                "![Map](https://example.org/map.png)<img src=\"x.png\">",
                format!("<p><a href=\"https://example.org/map.png\" {REL}>Map</a></p>\n"),
            ),
            ("[![Map](map.png)](about)", format!("<p><a href=\"about\" {REL}>Map</a></p>\n")),
        ] {
            assert_eq!(HomeText::from_markdown(text).html(), expected, "{text}");
        }
    }
}
