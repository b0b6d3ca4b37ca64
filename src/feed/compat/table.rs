//! The counterparts of the parameters of other bridges, each with an example beside it.

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlPart {
    /// The last path segment of `/telegram/channel/NAME/…` at RSSHub.
    RouteParams,
    /// The query of `/telegram/channel/NAME` at RSSHub, tgfeed and tg2rss.
    Rsshub,
    /// The query of RSS-Bridge, with TelegramBridge or `action=detect`.
    RssBridge,
    /// The query of RSS-Bridge's FilterBridge.
    Filter,
    /// The query of RSS-Bridge's FeedMerge.
    Merge,
    /// The query of `/rss/NAME` at tg.i-c-a.su, telegram2rss and pyrogram-bridge.
    NamePath,
    /// The query of `/NAME` at zojl/tg2rss.
    BareName,
    /// The query of `/rss.xml` at BroadcastChannel.
    Site,
}

/// The counterpart of a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Becomes {
    /// This option, if the value is `0` or `false`.
    IfFalse(&'static str, &'static str),
    /// This option, if the value is neither `0` nor `false`.
    IfTrue(&'static str, &'static str),
    /// An option with the same text.
    Text(&'static str),
    /// An option with the same number, if it is positive.
    Number(&'static str),
    /// An option with the next higher number.
    NumberPlusOne(&'static str),
    /// An option with this many seconds.
    Seconds(&'static str),
    /// A filter with a regular expression, unless all of these parameters are present: they win.
    Regex(&'static str, &'static [&'static str]),
    /// Hashtags, if the regular expression is a list of words, unless this parameter is present.
    Tags(&'static str),
    /// A filter for each of the words, which this character separates.
    Words(&'static str, char),
    /// Options by word: `(word, option, value)`. The other words have no counterpart.
    Flags(&'static [(&'static str, &'static str, &'static str)]),
    /// No counterpart, unless the value is this one.
    LostUnless(&'static str),
    /// No counterpart, if the value is `0` or `false`.
    LostIfFalse,
    /// No counterpart.
    Lost,
    /// The access token.
    Token,
    /// Nothing: read elsewhere, or telewire does it anyway.
    Nothing,
}

/// A parameter of another bridge.
pub(super) struct Rule {
    pub(super) part: UrlPart,
    pub(super) parameter: &'static str,
    pub(super) becomes: Becomes,
    /// A query with the parameter, and the query that it becomes.
    #[cfg_attr(not(test), expect(dead_code, reason = "documents the rule, and tests it"))]
    pub(super) example: (&'static str, &'static str),
}

const fn rule(
    part: UrlPart,
    parameter: &'static str,
    becomes: Becomes,
    from: &'static str,
    to: &'static str,
) -> Rule {
    Rule { part, parameter, becomes, example: (from, to) }
}

use Becomes::{
    Flags, IfFalse, IfTrue, Lost, LostIfFalse, LostUnless, Nothing, Number, NumberPlusOne, Regex, Seconds,
    Tags, Text, Token, Words,
};
use UrlPart::{BareName, Filter, Merge, NamePath, RouteParams, RssBridge, Rsshub, Site};

/// The parameters. What is not here has no counterpart.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    rule(RouteParams, "showLinkPreview", IfFalse("hide", "preview"), "showLinkPreview=0", "hide=preview"),
    rule(RouteParams, "showViaBot", IfFalse("hide", "via"), "showViaBot=false", "hide=via"),
    rule(RouteParams, "showReplyTo", IfFalse("hide", "reply"), "showReplyTo=False", "hide=reply"),
    rule(RouteParams, "showFwdFrom", IfFalse("hide", "forward"), "showFwdFrom=0", "hide=forward"),
    rule(RouteParams, "showFwdFromAuthor", IfFalse("hide", "forward-author"), "showFwdFromAuthor=0", "hide=forward-author"),
    // Off by default at RSSHub. Only what was turned off by hand is hidden: a move should not take parts away.
    rule(RouteParams, "showInlineButtons", IfFalse("hide", "buttons"), "showInlineButtons=0", "hide=buttons"),
    rule(RouteParams, "showMediaTagInTitle", IfFalse("title", "line"), "showMediaTagInTitle=0", "title=line"),
    // Titles have words instead.
    rule(RouteParams, "showMediaTagAsEmoji", LostIfFalse, "showMediaTagAsEmoji=0", ""),
    rule(RouteParams, "showHashtagAsHyperlink", LostIfFalse, "showHashtagAsHyperlink=0", ""),
    rule(RouteParams, "includeTelegraph", IfTrue("full", "telegraph"), "includeTelegraph=1", "full=telegraph"),
    rule(RouteParams, "includeFwd", IfFalse("without", "forward"), "includeFwd=0", "without=forward"),
    rule(RouteParams, "includeReply", IfFalse("without", "reply"), "includeReply=0", "without=reply"),
    rule(RouteParams, "includeServiceMsg", IfFalse("without", "service"), "includeServiceMsg=0", "without=service"),
    rule(RouteParams, "includeUnsupportedMsg", IfFalse("without", "unsupported"), "includeUnsupportedMsg=0", "without=unsupported"),
    rule(RouteParams, "searchQuery", Text("q"), "searchQuery=%23news", "q=%23news"),

    rule(Rsshub, "filter", Regex("match", &[]), "filter=TON|Gram", "match=/TON%7CGram/&case=sensitive"),
    rule(Rsshub, "filter_title", Regex("match-title", &["filter"]), "filter_title=^Ad", "match-title=/%5EAd/&case=sensitive"),
    rule(Rsshub, "filter_description", Regex("match", &["filter"]), "filter_description=TON", "match=/TON/&case=sensitive"),
    rule(Rsshub, "filter_author", Regex("match", &["filter"]), "filter_author=Anna", "match=/Anna/&case=sensitive"),
    rule(Rsshub, "filter_category", Tags("filter"), "filter_category=news|tides", "tag=news,tides"),
    rule(Rsshub, "filterout", Regex("exclude", &["filterout_title", "filterout_description"]), "filterout=ad", "exclude=/ad/&case=sensitive"),
    rule(Rsshub, "filterout_title", Regex("exclude-title", &[]), "filterout_title=ad", "exclude-title=/ad/&case=sensitive"),
    rule(Rsshub, "filterout_description", Regex("exclude", &[]), "filterout_description=ad", "exclude=/ad/&case=sensitive"),
    rule(Rsshub, "filterout_author", Regex("exclude", &[]), "filterout_author=Anna", "exclude=/Anna/&case=sensitive"),
    rule(Rsshub, "filterout_category", Lost, "filterout_category=news", ""),
    rule(Rsshub, "filter_case_sensitive", Nothing, "filter=ton&filter_case_sensitive=false", "match=/ton/"),
    rule(Rsshub, "filter_time", Seconds("max-age"), "filter_time=86400", "max-age=86400s"),
    rule(Rsshub, "limit", Number("limit"), "limit=5", "limit=5"),
    rule(Rsshub, "sorted", Nothing, "sorted=false", ""),
    rule(Rsshub, "mode", Nothing, "mode=fulltext", ""),
    rule(Rsshub, "scihub", Nothing, "scihub=1", ""),
    rule(Rsshub, "image_hotlink_template", Nothing, "image_hotlink_template=https://proxy.example/${href}", ""),
    rule(Rsshub, "multimedia_hotlink_template", Nothing, "multimedia_hotlink_template=x", ""),
    rule(Rsshub, "brief", Lost, "brief=100", ""),
    rule(Rsshub, "tgiv", Lost, "tgiv=0123456789abcd", ""),
    rule(Rsshub, "opencc", Lost, "opencc=s2t", ""),
    rule(Rsshub, "chatgpt", Lost, "chatgpt=true", ""),
    rule(Rsshub, "key", Token, "key=secret", ""),
    rule(Rsshub, "code", Nothing, "code=0123456789abcdef0123456789abcdef", ""),
    rule(Rsshub, "format", Nothing, "format=rss", ""),
    // tgfeed and tg2rss have RSSHub's path.
    rule(Rsshub, "exclude", Words("exclude", '|'), "exclude=crypto|big win", "exclude=crypto&exclude=%22big+win%22"),
    rule(Rsshub, "exclude_case_sensitive", Nothing, "exclude=Crypto&exclude_case_sensitive=1", "exclude=Crypto&case=sensitive"),
    rule(Rsshub, "cache_ttl", Nothing, "cache_ttl=0", ""),

    rule(RssBridge, "action", Nothing, "action=display", ""),
    rule(RssBridge, "bridge", Nothing, "bridge=TelegramBridge", ""),
    rule(RssBridge, "username", Nothing, "username=harbour_news", ""),
    rule(RssBridge, "url", Nothing, "url=harbour_news", ""),
    rule(RssBridge, "format", Nothing, "format=Atom", ""),
    rule(RssBridge, "_cache_timeout", Nothing, "_cache_timeout=900", ""),
    rule(RssBridge, "_noproxy", Nothing, "_noproxy=on", ""),
    rule(RssBridge, "_error_time", Nothing, "_error_time=1", ""),
    rule(RssBridge, "_", Nothing, "_=1700000000", ""),
    rule(RssBridge, "token", Token, "token=secret", ""),

    rule(Filter, "filter", Nothing, "filter=TON", "match-title=/TON/&case=sensitive"),
    rule(Filter, "filter_type", Nothing, "filter=TON&filter_type=block", "exclude-title=/TON/&case=sensitive"),
    rule(Filter, "case_insensitive", Nothing, "filter=TON&case_insensitive=on", "match-title=/TON/"),
    rule(Filter, "target_title", Nothing, "filter=TON&target_title=on", "match-title=/TON/&case=sensitive"),
    rule(Filter, "target_content", Nothing, "filter=TON&target_content=on", "match=/TON/&case=sensitive"),
    rule(Filter, "target_author", Nothing, "filter=TON&target_author=on", "match=/TON/&case=sensitive"),
    rule(Filter, "target_uri", Lost, "target_uri=on", ""),
    rule(Filter, "title_from_content", Nothing, "title_from_content=on", ""),
    rule(Filter, "fix_encoding", Nothing, "fix_encoding=on", ""),
    rule(Filter, "length_limit", LostUnless("-1"), "length_limit=-1", ""),
    rule(Filter, "name", Lost, "name=News", ""),

    rule(Merge, "limit", Number("limit"), "limit=50", "limit=50"),
    rule(Merge, "feed_name", Lost, "feed_name=News", ""),

    rule(NamePath, "limit", Number("limit"), "limit=50", "limit=50"),
    rule(NamePath, "page", LostUnless("1"), "page=1", ""),
    rule(NamePath, "id", NumberPlusOne("before"), "id=10738", "before=10739"),
    rule(NamePath, "count", Number("limit"), "count=30", "limit=30"),
    rule(NamePath, "titleMaxLength", Lost, "titleMaxLength=80", ""),
    rule(NamePath, "exclude_text", Words("exclude", ','), "exclude_text=\"big win\",promo", "exclude=%22big+win%22&exclude=promo"),
    rule(NamePath, "exclude_flags", Flags(&[("fwd", "without", "forward"), ("video", "without", "video")]), "exclude_flags=video,fwd", "without=video,forward"),
    rule(NamePath, "merge_seconds", Nothing, "merge_seconds=5", ""),
    rule(NamePath, "output_type", Nothing, "output_type=rss", ""),
    // Removed from the query before, if it is one of the service's own.
    rule(NamePath, "token", Nothing, "token=secret", ""),

    rule(BareName, "token", Nothing, "token=eyJ.eyJ.x", ""),

    rule(Site, "tag", Text("tag"), "tag=news", "tag=news"),
];

/// How a bridge names its entries, for the option `ids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// A value of the option.
    Named(&'static str),
    /// The permalink with the channel's name as the subscriber wrote it.
    AsWritten,
}

/// A bridge whose entries have other ids than telewire's, which a URL does not tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    pub(super) name: &'static str,
    pub(super) part: UrlPart,
    pub(super) ids: Ids,
}

/// The bridges that `--moved-from` can name.
pub(super) const BRIDGES: &[Bridge] = &[
    // With a TELEGRAM_SESSION, which RSSHub does not use for URLs with route parameters.
    Bridge { name: "rsshub-session", part: Rsshub, ids: Ids::Named("preview") },
    Bridge { name: "tgfeed", part: Rsshub, ids: Ids::Named("number") },
    Bridge { name: "tg2rss", part: Rsshub, ids: Ids::AsWritten },
    Bridge { name: "tg.i-c-a.su", part: NamePath, ids: Ids::AsWritten },
    Bridge { name: "telegram2rss", part: NamePath, ids: Ids::Named("bare") },
];
