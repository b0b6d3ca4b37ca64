//! The operator's own text on the home page.

use pulldown_cmark::{Parser, html};

use crate::feed::sanitize::sanitize;

/// The operator's text on the home page.
#[derive(Clone, Debug)]
pub struct HomeText(String);

impl HomeText {
    /// Converts a text in Markdown to sanitized HTML.
    #[must_use]
    pub fn from_markdown(text: &str) -> Self {
        let mut out = String::new();
        html::push_html(&mut out, Parser::new(text));
        Self(sanitize(&out))
    }

    /// Returns the text as sanitized HTML.
    pub(super) fn html(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_operator_is_markdown_without_scripts() {
        let HomeText(html) = HomeText::from_markdown("# Rules\n\nAsk **us**. <script>alert(1)</script>");
        assert_eq!(html, "<h1>Rules</h1>\n<p>Ask <strong>us</strong>. </p>\n");
    }
}
