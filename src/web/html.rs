//! The frame of every HTML page, and the page of an error.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};

/// Returns the HTML page of an error.
pub(super) fn error_page(status: u16, sentence: &str) -> String {
    html_page(&format!("{status}"), "", &format!("<h1>{status}</h1>\n<p>{}</p>\n", escape(sentence)))
}

/// Returns an HTML page; `head` and `body` are HTML.
pub(super) fn html_page(title: &str, head: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n{head}</head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

/// Returns the response with an HTML page.
pub(super) fn respond(html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; img-src http: https:; form-action 'self'"),
        ),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, html).into_response()
}

/// Escapes text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
