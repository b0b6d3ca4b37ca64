//! Pages that nobody but an attacker would send, generated at run time: anything that a page can repeat or nest, for the
//! tests and the benchmark.

use std::fmt::Write;

/// Returns the markup that repeats at a position.
type Unit = Box<dyn Fn(usize) -> String>;

/// A generated page.
pub(crate) struct HostilePage {
    pub(crate) name: String,
    make: Box<dyn Fn(usize) -> String>,
}

impl HostilePage {
    fn new(name: impl Into<String>, make: impl Fn(usize) -> String + 'static) -> Self {
        Self { name: name.into(), make: Box::new(make) }
    }

    /// Returns the page, of about `bytes` bytes.
    pub(crate) fn html(&self, bytes: usize) -> String {
        (self.make)(bytes.saturating_sub(1024))
    }
}

/// Returns every generator.
pub(crate) fn all() -> Vec<HostilePage> {
    let mut pages: Vec<_> = UNITS.iter().flat_map(|unit| repeated(unit)).collect();
    pages.extend(numbered());
    pages.extend(PARTS.iter().flat_map(|outer| PARTS.iter().flat_map(|inner| nested(outer, inner))));
    pages.extend(PARTS.iter().flat_map(in_part));
    pages
}

/// Returns a preview page of the channel `hostile` with this list of posts.
pub(crate) fn page(posts: &str) -> String {
    format!(
        "<!DOCTYPE html><html><body><div class=\"tgme_channel_info\"><div class=\"tgme_channel_info_header_title\">\
         <span>Hostile</span></div><div class=\"tgme_channel_info_header_username\"><a>@hostile</a></div></div>\
         <section class=\"tgme_channel_history\">{posts}</section></body></html>"
    )
}

/// Returns the start of a message; it ends with `</div>`.
pub(crate) fn message(id: usize) -> String {
    format!(
        "<div class=\"tgme_widget_message\" data-post=\"hostile/{id}\"><a class=\"tgme_widget_message_date\">\
         <time datetime=\"2026-08-01T10:00:00+00:00\"></time></a>"
    )
}

/// Markup that is repeated: nesting, end tags, formatting elements, entities, comments, foreign elements, tables.
const UNITS: [&str; 88] = [
    "<div>",
    "<p>",
    "<span>",
    "<b>",
    "<b id=x>",
    "<i><b>",
    "<a>",
    "<a><div>",
    "<a href=x>y</a>",
    "<nobr>",
    "<font>",
    "<ul><li>",
    "<dl><dd>",
    "<h1>",
    "<p><b>",
    "<p><b></p>",
    "<b><i><u><p></b></i></u>",
    "<a><p></a>",
    "<i></i>",
    "<code>x</code>",
    "<button>",
    "<form>",
    "<option>",
    "<select><option>",
    "<textarea>",
    "<title>",
    "<ruby><rt>",
    "<iframe>",
    "<noscript>",
    "<plaintext>",
    "<script>x</script>",
    "<style>x</style>",
    "<template>",
    "</template>",
    "<frameset>",
    "<input>",
    "<image>",
    "<br>",
    "<hr>",
    "<wbr>",
    "<img src=x>",
    "<pre>\n",
    "<blockquote>",
    "<details>",
    "<table>",
    "<table><td>",
    "<table>x",
    "<table><b>",
    "<tr><td>x",
    "<td colspan=1000000 rowspan=65535>x",
    "<col>",
    "<caption>",
    "</table>",
    "<svg>",
    "<svg><g>",
    "<svg></p>",
    "<svg><title>",
    "<svg><foreignObject><p>",
    "<math><mi>",
    "<math><annotation-xml>",
    "</p>",
    "</br>",
    "</div>",
    "</b>",
    "</x>",
    "</html>",
    "</body>",
    "<html>",
    "<html a b c>",
    "<body>",
    "<body a b c>",
    "<head>",
    "&amp;",
    "&",
    "&notit;",
    "&#x41;",
    "&#0;",
    "<",
    "<!",
    "<?x>",
    "</",
    "<!-- x -->",
    "<!DOCTYPE x>",
    "\0",
    "\n",
    "\r",
    "\u{fffe}",
    "x",
];

/// Repeats markup in the list of posts, inside a post's text, and below many open elements.
fn repeated(unit: &'static str) -> [HostilePage; 3] {
    let text = || format!("{}<div class=\"tgme_widget_message_text\">post", message(1));
    let open: String = (0..400).map(|n| format!("<b id={n}>")).collect();
    let starts = [("list", format!("{}</div></div>", text())), ("text", text()), ("open", text() + &open)];
    starts.map(|(place, start)| {
        HostilePage::new(format!("{unit:?} in {place}"), move |bytes| {
            page(&(start.clone() + &unit.repeat(bytes / unit.len())))
        })
    })
}

/// Markup with a number in it, so that no two are equal.
fn numbered() -> Vec<HostilePage> {
    let names = |n: usize, of: usize| ('\u{100}'..).nth(n % of).unwrap_or('x');
    let units: [(&str, Unit); 24] = [
        ("formatting elements", Box::new(|n| format!("<b id={n}>"))),
        ("formatting elements left open", Box::new(|n| format!("<p><b id={n}></p>"))),
        ("names of elements", Box::new(|n| format!("<element{n}></element{n}>"))),
        ("names of attributes", Box::new(|n| format!("<p attribute{n}>"))),
        ("attributes of a tag", Box::new(move |n| if n == 0 { "<p".into() } else { format!(" a{n}") })),
        (
            "short attributes",
            Box::new(move |n| if n % 60 == 0 { "><p".into() } else { format!(" {}", names(n, 60)) }),
        ),
        (
            "many short attributes",
            Box::new(move |n| if n % 1000 == 0 { "><p".into() } else { format!(" {}", names(n, 1000)) }),
        ),
        (
            "attributes of end tags",
            Box::new(move |n| if n % 60 == 0 { "></p".into() } else { format!(" {}", names(n, 60)) }),
        ),
        (
            "duplicate attributes",
            Box::new(
                move |n| {
                    if n % 2000 == 0 { "><p".into() } else { format!(" {}", names(n % 2000 % 61, 61)) }
                },
            ),
        ),
        ("attributes of html", Box::new(|n| format!("<html a{n}=1>"))),
        ("attributes of body", Box::new(|n| format!("<body a{n}=1>"))),
        (
            "attributes of reopened elements",
            Box::new(|n| match n {
                0 => (0..60).fold("<b".to_owned(), |tag, n| tag + &format!(" a{n}=0123456789")) + ">",
                _ => "<p>x</p>".into(),
            }),
        ),
        (
            "attributes of nested elements",
            Box::new(|n| (0..60).fold(format!("<b id={n}"), |tag, n| tag + &format!(" a{n}")) + ">"),
        ),
        ("long attribute", Box::new(|n| if n == 0 { "<p a='".into() } else { "x".into() })),
        (
            "long attributes",
            Box::new(|n| if n % 3000 == 0 { "'><p a='".into() } else { "0123456789".into() }),
        ),
        ("long comments", Box::new(|n| if n % 3000 == 0 { "--><!--".into() } else { "0123456789".into() })),
        (
            "long classes",
            Box::new(|n| if n % 3000 == 0 { "'><p class='".into() } else { "a b c d e ".into() }),
        ),
        ("messages", Box::new(|n| message(n + 1) + "x</div>")),
        ("messages without end", Box::new(|n| message(n + 1) + "x")),
        ("messages without id", Box::new(|_| "<div class=\"tgme_widget_message\">x</div>".into())),
        (
            "messages with the largest texts",
            Box::new(|n| {
                format!(
                    "{}<div class=\"tgme_widget_message_text\">{}</div></div>",
                    message(n + 1),
                    "&".repeat(40_000)
                )
            }),
        ),
        ("unknown parts", Box::new(|n| format!("<div class=\"x{n}\">x</div>"))),
        ("hashtags", Box::new(|n| format!("<a href=\"?q=%23{n}\">#{n}</a>"))),
        (
            "spoilers around hashtags",
            Box::new(|n| format!("<tg-spoiler>x</tg-spoiler><a href=\"?q=%23{n}\">#{n}</a>")),
        ),
    ];
    let make = |(name, unit): (&str, Unit)| {
        HostilePage::new(format!("different {name}"), move |bytes| {
            let mut posts = format!("{}<div class=\"tgme_widget_message_text\">post", message(4_000_000));
            for n in 0.. {
                posts += &unit(n);
                if posts.len() >= bytes {
                    break;
                }
            }
            page(&posts)
        })
    };
    units.into_iter().map(make).collect()
}

/// A part of a post.
struct Part {
    name: &'static str,
    /// The start tags; each is a `div`.
    start: &'static str,
}

impl Part {
    fn end(&self) -> String {
        "</div>".repeat(self.start.matches("<div").count())
    }
}

const fn part(name: &'static str, start: &'static str) -> Part {
    Part { name, start }
}

const PARTS: [Part; 24] = [
    part("message", "<div class=\"tgme_widget_message\" data-post=\"hostile/2\">"),
    part("wrapper", "<div class=\"tgme_widget_message_bubble\">"),
    part("text", "<div class=\"tgme_widget_message_text\">"),
    part("quote", "<div class=\"tgme_widget_message_reply\"><div class=\"js-message_reply_text\">"),
    part(
        "forward",
        "<div class=\"tgme_widget_message_forwarded_from\"><div class=\"tgme_widget_message_forwarded_from_name\">",
    ),
    part("bot", "<div class=\"tgme_widget_message_author\"><div class=\"tgme_widget_message_via_bot\">"),
    part("signature", "<div class=\"tgme_widget_message_from_author\">"),
    part("date", "<div class=\"tgme_widget_message_date\">"),
    part(
        "photo",
        "<div class=\"tgme_widget_message_photo_wrap\" style=\"width:800px;background-image:url('https://cdn4.telesco.pe/a')\">\
         <div class=\"tgme_widget_message_photo\" style=\"padding-top:50%\">",
    ),
    part("video", "<div class=\"tgme_widget_message_video_player\"><div class=\"message_video_duration\">"),
    part(
        "document",
        "<div class=\"tgme_widget_message_document_wrap\"><div class=\"tgme_widget_message_document_title\">",
    ),
    part(
        "contact",
        "<div class=\"tgme_widget_message_contact\"><div class=\"tgme_widget_message_contact_name\">",
    ),
    part("game", "<div class=\"tgme_widget_message_game\"><div class=\"tgme_widget_message_game_title\">"),
    part("note of a game", "<div class=\"tgme_widget_message_game_label\">"),
    part(
        "invoice",
        "<div class=\"tgme_widget_message_invoice\"><div class=\"tgme_widget_message_invoice_title\">",
    ),
    part("poll", "<div class=\"tgme_widget_message_poll\"><div class=\"tgme_widget_message_poll_question\">"),
    part(
        "option",
        "<div class=\"tgme_widget_message_poll_option\"><div class=\"tgme_widget_message_poll_option_text\">",
    ),
    part("preview", "<div class=\"tgme_widget_message_link_preview\"><div class=\"link_preview_title\">"),
    part("description", "<div class=\"link_preview_description\">"),
    part("reactions", "<div class=\"tgme_widget_message_reactions\">"),
    part("reaction", "<div class=\"tgme_reaction\">"),
    part(
        "button",
        "<div class=\"tgme_widget_message_inline_keyboard\"><div class=\"tgme_widget_message_inline_button\">",
    ),
    part(
        "explanation",
        "<div class=\"message_media_not_supported_wrap\"><div class=\"message_media_not_supported_label\">",
    ),
    part("unknown part", "<div class=\"unknown\">"),
];

/// Nests two parts in each other: deeply, and many of the second one side by side in the first one.
fn nested(outer: &'static Part, inner: &'static Part) -> [HostilePage; 2] {
    let names = format!("{} in {}", inner.name, outer.name);
    let deep = move |bytes: usize| {
        let n = 400 / (outer.start.matches('<').count() + inner.start.matches('<').count());
        let tower =
            format!("{}a{}b", outer.start, inner.start).repeat(n) + &(inner.end() + &outer.end()).repeat(n);
        let tower = |id| format!("{}{tower}</div>", message(id));
        let n_towers = bytes / tower(1).len() + 1;
        page(&(1..=n_towers).map(tower).collect::<String>())
    };
    let wide = move |bytes: usize| {
        let child = format!("{}text{}", inner.start, inner.end());
        let children = child.repeat(bytes / child.len());
        page(&format!("{}{}{children}{}</div>", message(1), outer.start, outer.end()))
    };
    [HostilePage::new(format!("{names}, deep"), deep), HostilePage::new(format!("{names}, wide"), wide)]
}

/// Fills a part with text, which may become longer in a feed, in as many messages as are read.
fn in_part(part: &'static Part) -> Vec<HostilePage> {
    let filled = |text: &'static str| {
        HostilePage::new(format!("{text:?} in {}", part.name), move |bytes| {
            let text = text.repeat(bytes / 100 / text.len());
            let mut posts = String::new();
            for id in 1..=100 {
                write!(posts, "{}{}{text}{}</div>", message(id), part.start, part.end()).expect("a string");
            }
            page(&posts)
        })
    };
    ["&", "<b>x</b>", "\"", "й", "<a href='https://example.org/é&'>x</a>", "<h1><ul><li><blockquote>x</h1>"]
        .map(filled)
        .into()
}
