//! The names of Telegram's markup: every class that is looked for, with what it marks.
//!
//! A post is read by walking its elements: [`role`] says what an element is, wherever in the post it lies, so
//! that a wrapper that Telegram adds tomorrow does not hide what is inside, and a block that is new shows up as
//! unknown instead of vanishing. Inside a block, its parts are found by class.

/// The header beside the posts of a preview page.
pub(super) const CHANNEL_INFO: &str = "tgme_channel_info";
/// Its title, with a `<span>`; before 2021 with the verified icon inside.
pub(super) const CHANNEL_TITLE: &str = "tgme_channel_info_header_title";
/// Its name, spelled as it was asked for.
pub(super) const CHANNEL_USERNAME: &str = "tgme_channel_info_header_username";
/// Its photo.
pub(super) const CHANNEL_PHOTO: &str = "tgme_page_photo_image";
/// What it says about itself.
pub(super) const CHANNEL_ABOUT: &str = "tgme_channel_info_description";
/// One of its counters, with the number and the word.
pub(super) const CHANNEL_COUNTER: &str = "tgme_channel_info_counter";
/// The number.
pub(super) const COUNTER_VALUE: &str = "counter_value";
/// The word.
pub(super) const COUNTER_TYPE: &str = "counter_type";
/// Telegram's tick.
pub(super) const VERIFIED: &str = "verified-icon";
/// `SCAM` or `FAKE`, on a `<mark>`.
pub(super) const WARNING: &str = "label";
/// The posts of a preview page.
pub(super) const HISTORY: &str = "tgme_channel_history";
/// The link to older posts, with `data-before`.
pub(super) const OLDER: &str = "tme_messages_more";
/// Stands where posts would be.
pub(super) const NO_POSTS: &str = "tme_no_messages_found";

/// Title of a landing page.
pub(super) const LANDING_TITLE: &str = "tgme_page_title";
/// Line below it: subscribers, members, `@name`.
pub(super) const LANDING_EXTRA: &str = "tgme_page_extra";
/// Text of it.
pub(super) const LANDING_ABOUT: &str = "tgme_page_description";
/// Its button.
pub(super) const LANDING_ACTION: &str = "tgme_action_button_new";
/// The link to the preview page.
pub(super) const LANDING_PREVIEW: &str = "tgme_page_context_link";
/// The frame around the widget of one post.
pub(super) const POST_PAGE: &str = "tgme_page_post";
/// Why a widget shows no post.
pub(super) const WIDGET_ERROR: &str = "tgme_widget_message_error";

/// A post.
pub(super) const MESSAGE: &str = "tgme_widget_message";
/// On the post itself: it is a service post.
pub(super) const SERVICE: &str = "service_message";
/// The link with the post's date and permalink; a `<time>` is inside.
pub(super) const DATE: &str = "tgme_widget_message_date";
/// Around date and signature; says `edited` in its own text.
pub(super) const META: &str = "tgme_widget_message_meta";
/// Signature.
pub(super) const SIGNATURE: &str = "tgme_widget_message_from_author";
/// How often seen.
pub(super) const VIEWS: &str = "tgme_widget_message_views";
/// How many voted.
pub(super) const VOTERS: &str = "tgme_widget_message_voters";
/// The channel's title above a post.
pub(super) const OWNER: &str = "tgme_widget_message_owner_name";
/// The bot a post was made with.
pub(super) const VIA_BOT: &str = "tgme_widget_message_via_bot";

/// Whose post it was, in a forward.
pub(super) const FORWARD_NAME: &str = "tgme_widget_message_forwarded_from_name";
/// Who wrote it there.
pub(super) const FORWARD_AUTHOR: &str = "tgme_widget_message_forwarded_from_author";
/// Whose post a reply answers.
pub(super) const REPLY_AUTHOR: &str = "tgme_widget_message_author_name";
/// Its text since 2019.
pub(super) const REPLY_TEXT: &str = "js-message_reply_text";
/// Its text when it is none ("Video"), before 2019.
pub(super) const REPLY_METATEXT: &str = "tgme_widget_message_metatext";
/// The text of a post, and of a reply's quote before 2019.
pub(super) const TEXT: &str = "tgme_widget_message_text";

/// The picture itself, whose padding gives its shape.
pub(super) const PHOTO: &str = "tgme_widget_message_photo";
/// An item of an album; its style is the album's layout, not the picture's size.
pub(super) const ALBUM_ITEM: &str = "grouped_media_wrap";
/// The frame of a video, with its size.
pub(super) const VIDEO_WRAP: &str = "tgme_widget_message_video_wrap";
/// The blurred background of a video, which repeats its file.
pub(super) const VIDEO_BLURRED: &str = "js-message_video_blured";
/// A still of a video.
pub(super) const VIDEO_THUMB: &str = "tgme_widget_message_video_thumb";
/// Length of a video.
pub(super) const VIDEO_DURATION: &str = "message_video_duration";
/// Button that starts a video; a GIF has none.
pub(super) const VIDEO_PLAY: &str = "message_video_play";
/// On a player: the file is too big for the page.
pub(super) const TOO_BIG: &str = "not_supported";
/// A still of a round video.
pub(super) const ROUND_THUMB: &str = "tgme_widget_message_roundvideo_thumb";
/// Length of a round video.
pub(super) const ROUND_DURATION: &str = "tgme_widget_message_roundvideo_duration";
/// Length of a voice message.
pub(super) const VOICE_DURATION: &str = "tgme_widget_message_voice_duration";
/// Icon of a file; has the token [`AUDIO`] for music.
pub(super) const FILE_ICON: &str = "tgme_widget_message_document_icon";
/// Music.
pub(super) const AUDIO: &str = "audio";
/// Name of a file.
pub(super) const FILE_TITLE: &str = "tgme_widget_message_document_title";
/// Size of a file, performer of a track.
pub(super) const FILE_EXTRA: &str = "tgme_widget_message_document_extra";
/// Picture of a map.
pub(super) const MAP: &str = "tgme_widget_message_location";
/// Name of a venue.
pub(super) const VENUE_TITLE: &str = "tgme_widget_message_location_title";
/// Address of a venue.
pub(super) const VENUE_ADDRESS: &str = "tgme_widget_message_location_address";
/// Name on a contact's card.
pub(super) const CONTACT_NAME: &str = "tgme_widget_message_contact_name";
/// Telephone number on a contact's card.
pub(super) const CONTACT_PHONE: &str = "tgme_widget_message_contact_phone";
/// Name, text, picture and label of a game.
pub(super) const GAME: GameOrInvoiceParts = GameOrInvoiceParts {
    title: "tgme_widget_message_game_title",
    description: "tgme_widget_message_game_text",
    images: ["tgme_widget_message_game_image", "tgme_widget_message_game_image_wrap"],
    notes: ["tgme_widget_message_game_label", "tgme_widget_message_game_label"],
};
/// Name, text, picture, label and sum of an invoice.
pub(super) const INVOICE: GameOrInvoiceParts = GameOrInvoiceParts {
    title: "tgme_widget_message_invoice_title",
    description: "tgme_widget_message_invoice_description",
    images: ["tgme_widget_message_invoice_image", "tgme_widget_message_invoice_image_wrap"],
    notes: ["tgme_widget_message_invoice_label", "tgme_widget_message_invoice_total"],
};
/// Question of a poll.
pub(super) const POLL_QUESTION: &str = "tgme_widget_message_poll_question";
/// Kind of a poll.
pub(super) const POLL_TYPE: &str = "tgme_widget_message_poll_type";
/// One answer of a poll.
pub(super) const POLL_OPTION: &str = "tgme_widget_message_poll_option";
/// Text of an answer.
pub(super) const POLL_OPTION_TEXT: &str = "tgme_widget_message_poll_option_text";
/// Share of an answer.
pub(super) const POLL_OPTION_PERCENT: &str = "tgme_widget_message_poll_option_percent";
/// Name of a linked page's site.
pub(super) const PREVIEW_SITE: &str = "link_preview_site_name";
/// Title of a linked page.
pub(super) const PREVIEW_TITLE: &str = "link_preview_title";
/// What a linked page says.
pub(super) const PREVIEW_TEXT: &str = "link_preview_description";
/// Pictures of a linked page: large, small, of its video.
pub(super) const PREVIEW_IMAGES: [&str; 3] =
    ["link_preview_image", "link_preview_right_image", "link_preview_video_thumb"];
/// One reaction.
pub(super) const REACTION: &str = "tgme_reaction";
/// A reaction that was paid for.
pub(super) const REACTION_PAID: &str = "tgme_reaction_paid";
/// A button below a post.
pub(super) const BUTTON: &str = "tgme_widget_message_inline_button";
/// What stands in for a post that only the app shows.
pub(super) const NOT_SUPPORTED_LABEL: &str = "message_media_not_supported_label";

/// The classes of a game or an invoice.
pub(super) struct GameOrInvoiceParts {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) images: [&'static str; 2],
    pub(super) notes: [&'static str; 2],
}

/// What an element of a post is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Something around other parts.
    Wrapper,
    /// Nothing a person reads, or said elsewhere already.
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
    /// A part of a preview outside of it: an inner link made the HTML parser split the outer one.
    PreviewPart,
    ServicePhoto,
    OnlyInTelegram,
    Footer,
    Reactions,
    Keyboard,
}

/// The role that a class gives to its element; `None` for classes that give none.
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
