//! The class names in Telegram's markup.
//!
//! The elements of a post are visited one by one, and [`role`] maps the class of each to its role, at any depth. So a new
//! wrapper does not hide its content, and a new kind of block is reported as unknown markup instead of being lost. The
//! parts of a block are found by class.

/// The channel header beside the posts of a preview page.
pub(super) const CHANNEL_INFO: &str = "tgme_channel_info";
/// The channel's title, in a `<span>`; before 2021 with the verified icon inside.
pub(super) const CHANNEL_TITLE: &str = "tgme_channel_info_header_title";
/// The channel's name, spelled as requested.
pub(super) const CHANNEL_USERNAME: &str = "tgme_channel_info_header_username";
/// The channel's photo.
pub(super) const CHANNEL_PHOTO: &str = "tgme_page_photo_image";
/// The channel's description.
pub(super) const CHANNEL_ABOUT: &str = "tgme_channel_info_description";
/// A counter of the channel: a value and a type.
pub(super) const CHANNEL_COUNTER: &str = "tgme_channel_info_counter";
/// The number of a counter.
pub(super) const COUNTER_VALUE: &str = "counter_value";
/// The word of a counter: `subscribers`, `photos`.
pub(super) const COUNTER_TYPE: &str = "counter_type";
/// The verified icon.
pub(super) const VERIFIED: &str = "verified-icon";
/// A `<mark>` with `SCAM` or `FAKE`.
pub(super) const WARNING: &str = "label";
/// The list of posts on a preview page.
pub(super) const HISTORY: &str = "tgme_channel_history";
/// The link to older posts, with `data-before`.
pub(super) const OLDER: &str = "tme_messages_more";
/// The notice on a preview page without posts.
pub(super) const NO_POSTS: &str = "tme_no_messages_found";

/// The title of a landing page.
pub(super) const LANDING_TITLE: &str = "tgme_page_title";
/// A line below that title: subscribers, members or `@name`.
pub(super) const LANDING_EXTRA: &str = "tgme_page_extra";
/// The description on a landing page.
pub(super) const LANDING_ABOUT: &str = "tgme_page_description";
/// The button of a landing page.
pub(super) const LANDING_ACTION: &str = "tgme_action_button_new";
/// The link from a landing page to the preview page.
pub(super) const LANDING_PREVIEW: &str = "tgme_page_context_link";
/// The frame around the widget on the page of one post.
pub(super) const POST_PAGE: &str = "tgme_page_post";
/// The reason why a widget shows no post.
pub(super) const WIDGET_ERROR: &str = "tgme_widget_message_error";

/// A post.
pub(super) const MESSAGE: &str = "tgme_widget_message";
/// The mark of a service post, on the post itself.
pub(super) const SERVICE: &str = "service_message";
/// The end of a post, with its date, signature and counts.
pub(super) const FOOTER: &str = "tgme_widget_message_footer";
/// The link with the post's date, a `<time>`, and permalink.
pub(super) const DATE: &str = "tgme_widget_message_date";
/// The wrapper of date and signature, with `edited` as its own text.
pub(super) const META: &str = "tgme_widget_message_meta";
/// The signature of a post's author.
pub(super) const SIGNATURE: &str = "tgme_widget_message_from_author";
/// The number of views.
pub(super) const VIEWS: &str = "tgme_widget_message_views";
/// The number of voters in a poll.
pub(super) const VOTERS: &str = "tgme_widget_message_voters";
/// The channel's title above a post.
pub(super) const OWNER: &str = "tgme_widget_message_owner_name";
/// The bot through which a post was sent.
pub(super) const VIA_BOT: &str = "tgme_widget_message_via_bot";

/// The source of a forwarded post.
pub(super) const FORWARD_NAME: &str = "tgme_widget_message_forwarded_from_name";
/// The signature of a forwarded post.
pub(super) const FORWARD_AUTHOR: &str = "tgme_widget_message_forwarded_from_author";
/// The author of the post that a reply answers.
pub(super) const REPLY_AUTHOR: &str = "tgme_widget_message_author_name";
/// The quote in a reply, since 2019.
pub(super) const REPLY_TEXT: &str = "js-message_reply_text";
/// The description ("Video") in a reply to a post without text, before 2019.
pub(super) const REPLY_METATEXT: &str = "tgme_widget_message_metatext";
/// The text of a post, and the quote in a reply before 2019.
pub(super) const TEXT: &str = "tgme_widget_message_text";

/// The inner element of a photo, whose padding gives the aspect ratio.
pub(super) const PHOTO: &str = "tgme_widget_message_photo";
/// An item of an album, whose style is the album's layout instead of the picture's size.
pub(super) const ALBUM_ITEM: &str = "grouped_media_wrap";
/// The frame of a video, with its size.
pub(super) const VIDEO_WRAP: &str = "tgme_widget_message_video_wrap";
/// The blurred background of a video: the same file again.
pub(super) const VIDEO_BLURRED: &str = "js-message_video_blured";
/// The thumbnail of a video.
pub(super) const VIDEO_THUMB: &str = "tgme_widget_message_video_thumb";
/// The duration of a video.
pub(super) const VIDEO_DURATION: &str = "message_video_duration";
/// The play button of a video; a GIF has none.
pub(super) const VIDEO_PLAY: &str = "message_video_play";
/// The mark of a player whose file is too big for the page.
pub(super) const TOO_BIG: &str = "not_supported";
/// The thumbnail of a round video.
pub(super) const ROUND_THUMB: &str = "tgme_widget_message_roundvideo_thumb";
/// The duration of a round video.
pub(super) const ROUND_DURATION: &str = "tgme_widget_message_roundvideo_duration";
/// The duration of a voice message.
pub(super) const VOICE_DURATION: &str = "tgme_widget_message_voice_duration";
/// The icon of a document, with the class [`AUDIO`] for music.
pub(super) const FILE_ICON: &str = "tgme_widget_message_document_icon";
/// The mark of music, on the icon of a document.
pub(super) const AUDIO: &str = "audio";
/// The name of a document, or the title of a track.
pub(super) const FILE_TITLE: &str = "tgme_widget_message_document_title";
/// The size of a document, or the performer of a track.
pub(super) const FILE_EXTRA: &str = "tgme_widget_message_document_extra";
/// The map of a location.
pub(super) const MAP: &str = "tgme_widget_message_location";
/// The name of a venue.
pub(super) const VENUE_TITLE: &str = "tgme_widget_message_location_title";
/// The street address of a venue.
pub(super) const VENUE_ADDRESS: &str = "tgme_widget_message_location_address";
/// The name of a contact.
pub(super) const CONTACT_NAME: &str = "tgme_widget_message_contact_name";
/// The telephone number of a contact.
pub(super) const CONTACT_PHONE: &str = "tgme_widget_message_contact_phone";
/// The parts of a game: title, text, picture and label.
pub(super) const GAME: GameOrInvoiceParts = GameOrInvoiceParts {
    title: "tgme_widget_message_game_title",
    description: "tgme_widget_message_game_text",
    images: ["tgme_widget_message_game_image", "tgme_widget_message_game_image_wrap"],
    notes: ["tgme_widget_message_game_label", "tgme_widget_message_game_label"],
};
/// The parts of an invoice: title, text, picture, label and total.
pub(super) const INVOICE: GameOrInvoiceParts = GameOrInvoiceParts {
    title: "tgme_widget_message_invoice_title",
    description: "tgme_widget_message_invoice_description",
    images: ["tgme_widget_message_invoice_image", "tgme_widget_message_invoice_image_wrap"],
    notes: ["tgme_widget_message_invoice_label", "tgme_widget_message_invoice_total"],
};
/// The question of a poll.
pub(super) const POLL_QUESTION: &str = "tgme_widget_message_poll_question";
/// The type of a poll: `Anonymous Poll`, `Quiz`.
pub(super) const POLL_TYPE: &str = "tgme_widget_message_poll_type";
/// An option of a poll.
pub(super) const POLL_OPTION: &str = "tgme_widget_message_poll_option";
/// The text of an option.
pub(super) const POLL_OPTION_TEXT: &str = "tgme_widget_message_poll_option_text";
/// The share of an option in percent.
pub(super) const POLL_OPTION_PERCENT: &str = "tgme_widget_message_poll_option_percent";
/// A link preview, which is a link.
pub(super) const PREVIEW: &str = "tgme_widget_message_link_preview";
/// The site name in a link preview.
pub(super) const PREVIEW_SITE: &str = "link_preview_site_name";
/// The title in a link preview.
pub(super) const PREVIEW_TITLE: &str = "link_preview_title";
/// The description in a link preview.
pub(super) const PREVIEW_TEXT: &str = "link_preview_description";
/// The pictures in a link preview: large, small, thumbnail of a video.
pub(super) const PREVIEW_IMAGES: [&str; 3] =
    ["link_preview_image", "link_preview_right_image", "link_preview_video_thumb"];
/// A reaction with its count.
pub(super) const REACTION: &str = "tgme_reaction";
/// The mark of a paid reaction (Telegram Stars).
pub(super) const REACTION_PAID: &str = "tgme_reaction_paid";
/// A button below a post.
pub(super) const BUTTON: &str = "tgme_widget_message_inline_button";
/// The label in place of a post that only the app shows.
pub(super) const NOT_SUPPORTED_LABEL: &str = "message_media_not_supported_label";

/// The classes of a game or an invoice.
pub(super) struct GameOrInvoiceParts {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) images: [&'static str; 2],
    pub(super) notes: [&'static str; 2],
}

/// The role of an element in a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An element around other parts.
    Wrapper,
    /// An element without content, or with content that another element repeats.
    Ignored,
    Author,
    Forward,
    Reply,
    Text,
    Photo,
    Video,
    RoundVideo,
    Voice,
    Document,
    Sticker,
    Location,
    Contact,
    Game,
    Invoice,
    Poll,
    Preview,
    /// A part of a link preview outside of it: the HTML parser closes a link before a link inside it.
    PreviewPart,
    ServicePhoto,
    OnlyInTelegram,
    Footer,
    Reactions,
    Keyboard,
}

/// Returns the role of an element with this class. `None` for classes without a role.
pub(super) fn role(class: &str) -> Option<Role> {
    let class = class.strip_prefix("tgme_widget_message_").unwrap_or(class);
    Some(match class {
        "bubble"
        | "user"
        | "media_supported_cont"
        | "grouped_wrap"
        | "grouped"
        | "grouped_layer"
        | "one_media"
        | "sticker_wrap"
        | "tgsticker_wrap"
        | "videosticker_wrap" => Role::Wrapper,
        "media_not_supported_cont" | "user_photo" | "bubble_tail" | "bubble_logo" | "tgsticker_effect" => {
            Role::Ignored
        }
        "author" => Role::Author,
        "forwarded_from" => Role::Forward,
        "reply" => Role::Reply,
        "text" => Role::Text,
        "photo_wrap" => Role::Photo,
        "video_player" => Role::Video,
        "roundvideo_player" => Role::RoundVideo,
        "voice_player" => Role::Voice,
        "document_wrap" => Role::Document,
        "sticker" | "tgsticker" | "videosticker" => Role::Sticker,
        "location_wrap" => Role::Location,
        "contact_wrap" | "contact" => Role::Contact,
        "game" => Role::Game,
        "invoice" => Role::Invoice,
        "poll" => Role::Poll,
        "link_preview" => Role::Preview,
        "link_preview_site_name"
        | "link_preview_title"
        | "link_preview_description"
        | "link_preview_image"
        | "link_preview_right_image"
        | "link_preview_video_player"
        | "link_preview_embed_wrap" => Role::PreviewPart,
        "service_photo" => Role::ServicePhoto,
        "message_media_not_supported_wrap" => Role::OnlyInTelegram,
        "footer" | "info" => Role::Footer,
        "reactions" => Role::Reactions,
        "inline_keyboard" => Role::Keyboard,
        _ => return None,
    })
}
