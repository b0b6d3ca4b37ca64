//! A channel of the fake Telegram: a test publishes, edits and deletes its posts, and its pages show the result.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};

/// A channel with its current posts.
pub(crate) struct FakeChannel {
    pub(crate) name: String,
    /// Items on a preview page: 20 on t.me. An album has one item per picture.
    pub(crate) page_size: usize,
    /// The posts by id.
    pub(crate) posts: BTreeMap<u32, FakePost>,
    /// The base URL of its pictures. The default is a host that the tests do not contact.
    pub(crate) media_base_url: String,
    /// The token in URLs of pictures. A change makes all earlier URLs expire.
    pub(crate) token: u32,
    /// The id of the next post. Ids are never reused.
    pub(crate) next_id: u32,
}

/// A post of a [`FakeChannel`].
#[derive(Clone, Debug)]
pub(crate) struct FakePost {
    pub(crate) text: String,
    pub(crate) at: Timestamp,
    /// The number of pictures. More than one make an album, each with its own id.
    pub(crate) n_pictures: u32,
    /// The number of pictures that the page shows, for an album that is still being published.
    pub(crate) n_shown: u32,
    /// The post is a voice message.
    pub(crate) is_voice: bool,
    /// The preview page shows only a notice to open the post in Telegram.
    pub(crate) is_hidden: bool,
    /// The widget shows a post that the preview page hides.
    pub(crate) has_widget: bool,
    /// The URL of the post that it forwards.
    pub(crate) forwarded: Option<String>,
}

impl FakeChannel {
    /// Returns a channel without posts.
    pub(crate) fn new(name: &str, page_size: usize) -> Self {
        let media_base_url = "https://cdn4.telesco.pe".to_owned();
        Self {
            name: name.to_owned(),
            page_size,
            posts: BTreeMap::new(),
            media_base_url,
            token: 0,
            next_id: 1,
        }
    }

    /// Returns a channel with `n` text posts, one minute apart, the first at `start`.
    pub(crate) fn with_posts(name: &str, n: u32, start: Timestamp) -> Self {
        let mut history = Self::new(name, 20);
        for n in 0..n {
            history.publish(0, start + SignedDuration::from_mins(n.into()));
        }
        history
    }

    /// Publishes a post with a text and pictures. Returns its id.
    pub(crate) fn publish(&mut self, n_pictures: u32, at: Timestamp) -> u32 {
        let id = self.next_id;
        self.next_id += n_pictures.max(1);
        let text = format!("Post {id} of {}", self.name);
        let post = FakePost {
            text,
            at,
            n_pictures,
            n_shown: n_pictures,
            is_voice: false,
            is_hidden: false,
            has_widget: false,
            forwarded: None,
        };
        self.posts.insert(id, post);
        id
    }

    /// Appends ", edited" to the text of a post.
    pub(crate) fn edit(&mut self, id: u32) {
        if let Some(post) = self.posts.get_mut(&id) {
            post.text.push_str(", edited");
        }
    }

    /// Returns the preview page with the newest posts, or with those older than an id.
    pub(crate) fn preview_page(&self, before: Option<u32>) -> String {
        self.page(|_, item| before.is_none_or(|before| item < before))
    }

    /// Returns the page with the newest posts that contain all words of a search, each in the singular or the plural.
    pub(crate) fn search_page(&self, search: &str) -> String {
        let words: Vec<String> =
            search.to_lowercase().split(' ').map(|word| word.trim_end_matches('s').to_owned()).collect();
        self.page(|post, _| words.iter().all(|word| post.text.to_lowercase().contains(word)))
    }

    /// Returns the preview page with the newest items that are shown.
    fn page(&self, is_shown: impl Fn(&FakePost, u32) -> bool) -> String {
        let items = self
            .posts
            .iter()
            .flat_map(|(id, post)| (0..post.n_shown.max(1)).map(move |n| (*id, post, *id + n)));
        let mut shown: Vec<(u32, u32)> =
            items.filter(|(_, post, item)| is_shown(post, *item)).map(|(id, _, item)| (id, item)).collect();
        let has_older = shown.len() > self.page_size;
        shown.drain(..shown.len().saturating_sub(self.page_size));
        let mut messages: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (post, item) in shown {
            messages.entry(post).or_default().push(item);
        }
        let name = &self.name;
        let lowest = messages.values().next().map(|items| items[0]).filter(|_| has_older);
        let older = lowest.map(|id| {
            format!("<div><a href=\"/s/{name}?before={id}\" class=\"tme_messages_more\" data-before=\"{id}\"></a></div>")
        });
        let mut body = String::new();
        for (post, items) in &messages {
            self.message(&mut body, &self.posts[post], *post, items);
        }
        if messages.is_empty() {
            body.push_str("<div class=\"tme_no_messages_found\">No posts found</div>");
        }
        format!(
            "<!DOCTYPE html><html><head><title>{name} – Telegram</title></head><body>\
             <div class=\"tgme_channel_info\"><div class=\"tgme_channel_info_header_title\"><span>{name}</span></div>\
             <div class=\"tgme_channel_info_header_username\"><a href=\"https://t.me/{name}\">@{name}</a></div></div>\
             <main><section class=\"tgme_channel_history js-message_history\">{}{body}</section></main></body></html>",
            older.unwrap_or_default()
        )
    }

    fn message(&self, out: &mut String, post: &FakePost, id: u32, items: &[u32]) {
        let (name, first) = (&self.name, items[0]);
        write!(out, "<div class=\"tgme_widget_message js-widget_message\" data-post=\"{name}/{first}\">")
            .unwrap();
        if post.is_hidden {
            out.push_str(
                "<div class=\"message_media_not_supported_wrap\"><div class=\"message_media_not_supported\">\
                 <div class=\"message_media_not_supported_label\">Please open Telegram to view this post</div></div></div>",
            );
        }
        if let Some(url) = &post.forwarded {
            write!(
                out,
                "<div class=\"tgme_widget_message_forwarded_from accent_color\">Forwarded from&nbsp;\
                 <a class=\"tgme_widget_message_forwarded_from_name\" href=\"{url}\"><span dir=\"auto\">X</span></a></div>"
            )
            .unwrap();
        }
        let picture = |item: &u32| {
            format!(
                "<a class=\"tgme_widget_message_photo_wrap {}\" href=\"https://t.me/{name}/{item}?single\" \
                 style=\"width:800px;background-image:url('{}/file/{name}-{item}.jpg?token={}')\">\
                 <div class=\"tgme_widget_message_photo\" style=\"padding-top:75%\"></div></a>",
                if post.n_pictures > 1 { "grouped_media_wrap" } else { "" },
                self.media_base_url,
                self.token,
            )
        };
        out.extend(items.iter().filter(|_| post.n_pictures > 0 && !post.is_hidden).map(picture));
        if post.is_voice {
            let url = format!("{}/file/{name}-{first}.ogg?token={}", self.media_base_url, self.token);
            write!(
                out,
                "<a class=\"tgme_widget_message_voice_player\"><audio class=\"tgme_widget_message_voice\" src=\"{url}\"></audio></a>"
            )
            .unwrap();
        }
        if first == id && !post.is_hidden {
            write!(out, "<div class=\"tgme_widget_message_text js-message_text\">{}</div>", post.text)
                .unwrap();
        }
        write!(
            out,
            "<div class=\"tgme_widget_message_footer\"><div class=\"tgme_widget_message_info\">\
             <span class=\"tgme_widget_message_views\">7</span><span class=\"tgme_widget_message_meta\">\
             <a class=\"tgme_widget_message_date\" href=\"https://t.me/{name}/{first}\"><time datetime=\"{}\"></time></a>\
             </span></div></div></div>",
            post.at.strftime("%Y-%m-%dT%H:%M:%S+00:00")
        )
        .unwrap();
    }

    /// Returns the widget of a single post.
    pub(crate) fn widget(&self, id: u32) -> String {
        let mut message = String::new();
        if let Some(post) = self.posts.get(&id) {
            let items: Vec<u32> = (0..post.n_shown.max(1)).map(|n| id + n).collect();
            let shown = FakePost { is_hidden: !post.has_widget, ..post.clone() };
            self.message(&mut message, &shown, id, &items);
        }
        format!("<!DOCTYPE html><html><body class=\"body_widget_post\">{message}</body></html>")
    }

    /// Returns the page of a single post.
    pub(crate) fn post_page(&self, id: u32) -> String {
        let text = self.posts.get(&id).map_or("About the channel", |post| &post.text);
        format!(
            "<!DOCTYPE html><html><head><meta property=\"og:description\" content=\"{text}\"></head>\
             <body><script async data-telegram-post=\"{}/{id}\"></script></body></html>",
            self.name
        )
    }
}
