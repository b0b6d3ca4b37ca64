//! axe-core finds no violation of WCAG 2.2 AA on any page.

use std::fs;

use serde_json::json;

use super::{Visit, service};
use crate::support::app::new_folder;
use crate::support::browser::Browser;
use crate::support::{assert_no_failures, root, skip_without};

/// Where `.ci/test` installs axe-core.
const AXE: &str = "target/axe/node_modules/axe-core/axe.min.js";

const CHANNELS: [(&str, &str); 10] = [
    ("harbour_news", "text"),
    ("tidewatch", "photo"),
    ("lantern_walks", "album"),
    ("film_club", "spoilers"),
    ("kite_reel", "video"),
    ("saffron_gazette", "rtl"),
    ("wreckers_lane", "hostile"),
    ("tide_tables", "rich_tables"),
    ("gold_tide_promo", "channel_scam"),
    ("quay_polls", "poll"),
];

const SETTINGS: &str = "[bundle.news]\nchannels = [\"harbour_news\", \"saffron_gazette\"]\n\
    title = \"Morning papers\"\noptions = \"limit=5&hide=preview\"\n";

/// Paths of pages whose words are the service's own: tested in every language.
const PAGES_OF_WORDS: [&str; 7] = [
    "/",
    "/harbour_news?match=harbour&format=atom",
    "/harbour_news,tidewatch",
    "/-/bundle/news",
    "/nobody_here",
    "/-/token/0123456789abcdef/",
    "/-/token/0123456789abcdef/-/status",
];

/// Paths of pages with different posts: each tested in one language.
const PAGES_OF_POSTS: [&str; 12] = [
    "/harbour_news",
    "/harbour_news/112",
    "/harbour_news?match=no-such-word",
    "/tidewatch",
    "/lantern_walks",
    "/film_club",
    "/kite_reel",
    "/saffron_gazette",
    "/wreckers_lane",
    "/tide_tables",
    "/gold_tide_promo",
    "/quay_polls",
];

const LANGUAGES: [&str; 4] = ["en", "ru", "fa", "zh"];

/// Widths and colour schemes. The pages take turns.
const WINDOWS: [(u32, &str); 4] = [(390, "light"), (1280, "dark"), (390, "dark"), (1280, "light")];

#[test]
fn pages_have_no_accessibility_violations() {
    const TEST: &str = "pages_have_no_accessibility_violations";
    let Ok(axe) = fs::read_to_string(root().join(AXE)) else {
        return skip_without(&format!("axe-core ({AXE})"), TEST);
    };
    let Some(browser) = Browser::shared(TEST) else { return };
    let folder = new_folder();
    let settings = folder.join("telewire.toml");
    fs::write(&settings, SETTINGS).unwrap();
    let flags = ["--admin-token", "0123456789abcdef", "--config", settings.to_str().unwrap()];
    let (_fake, app) = service(&CHANNELS, &flags);
    fs::remove_dir_all(folder).unwrap();
    for (name, _) in CHANNELS {
        assert_eq!(app.get(&format!("/{name}/rss")).status, 200, "{name}");
    }
    let visit = Visit { tab: browser.tab(), app: &app, has_scripts: true };
    visit.tab.ask("Page.addScriptToEvaluateOnNewDocument", &json!({"source": axe}));
    let of_words = PAGES_OF_WORDS.iter().flat_map(|path| LANGUAGES.map(|language| (*path, language)));
    let of_posts = PAGES_OF_POSTS.into_iter().zip(LANGUAGES.into_iter().cycle());
    let mut failures = Vec::new();
    for (n, (path, language)) in of_words.chain(of_posts).enumerate() {
        // Another order for each page, so that no language always has the same window.
        let (width, scheme) = WINDOWS[(n + n / LANGUAGES.len()) % WINDOWS.len()];
        visit.tab.set_window(width, 900, scheme);
        let separator = if path.contains('?') { '&' } else { '?' };
        visit.open(&format!("{path}{separator}lang={language}"));
        for violation in violations(&visit) {
            failures.push(format!("{path} {language} {width} {scheme}: {violation}"));
        }
    }
    assert_no_failures(&failures);
    visit.assert_clean();
}

/// Returns what axe-core finds on the page, with everything on it opened.
fn violations(visit: &Visit<'_>) -> Vec<String> {
    visit.tab.eval("for (const closed of document.querySelectorAll('details')) closed.open = true");
    let found = visit.tab.eval(
        "axe.run(document, {
           runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
           resultTypes: ['violations'],
         }).then(({ violations }) => violations.map(({ help, nodes }) =>
           help + ': ' + nodes.map(({ html }) => html.slice(0, 300)).join(' ')))",
    );
    found.as_array().unwrap().iter().map(|violation| violation.as_str().unwrap().to_owned()).collect()
}
