//! The Chinese words for problems.

use crate::language::words::{Problem, ProblemWords, Problems};

const CHECK_SPELLING: &str = "请检查名称的拼写。";
const OPEN_IN_TELEGRAM: &str = "请在 Telegram 中打开此消息。";
const READER_RETRIES: &str = "阅读器会自动重试，不会丢失任何消息。";
const TELL_OPERATOR: &str = "若一直如此，请告知服务器管理员。";

pub(super) const PROBLEMS: Problems = Problems::new(&[
    ProblemWords::new(
        Problem::NotAChannel,
        "这不是频道",
        "“{}”既不是频道名称，也不是频道链接。",
        &[
            "请粘贴 Telegram 中的频道链接，或输入其名称。",
            "名称以字母开头，由 4 到 32 个字母、数字或下划线组成。",
        ],
    ),
    ProblemWords::new(
        Problem::PrivateChat,
        "私密聊天",
        "此链接指向私密频道或群组，它们没有公开页面。",
        &["只有成员才能在 Telegram 中阅读。", "若该频道也有公开名称，请输入该名称。"],
    ),
    ProblemWords::new(
        Problem::ChatNumber,
        "聊天编号",
        "“{}”是只有 Telegram 应用才认识的编号。",
        &["请使用频道在 Telegram 资料页上的名称。", "没有名称的频道是私密的，没有公开页面。"],
    ),
    ProblemWords::new(
        Problem::SearchLink,
        "这是搜索，不是频道",
        "“{}”是频道内的搜索。",
        &["请打开该频道，在其页面上搜索。"],
    ),
    ProblemWords::new(
        Problem::OtherService,
        "不是 Telegram 频道",
        "此地址向 RSS-Bridge 请求“{}”，而本服务器只读取 Telegram 频道。",
        &["请从运行 RSS-Bridge 的服务器获取此订阅源。"],
    ),
    ProblemWords::new(
        Problem::NoPage,
        "此地址没有内容",
        "本服务器没有此地址的页面。",
        &["请检查地址，或输入频道名称。"],
    ),
    ProblemWords::new(
        Problem::UnknownFormat,
        "未知格式",
        "本服务器的订阅源没有“{}”格式。",
        &["地址请以 rss、atom 或 json 结尾，例如 /durov/rss。"],
    ),
    ProblemWords::new(
        Problem::BadRequest,
        "无法读取请求",
        "地址或浏览器随之发送的内容已损坏、过长，或不适用于此页面。",
        &["请输入频道名称，或从首页重新开始。"],
    ),
    ProblemWords::new(
        Problem::NotOpml,
        "这不是 OPML 文件",
        "文件中没有 OPML 格式的订阅列表。",
        &["请从阅读器中将订阅导出为 OPML，然后选择该文件。"],
    ),
    ProblemWords::new(
        Problem::OpmlDamaged,
        "无法读取 OPML 文件",
        "文件已损坏，或含有此处不接受的内容。",
        &["请重新从阅读器导出订阅，然后选择新文件。"],
    ),
    ProblemWords::new(
        Problem::OpmlTooLarge,
        "OPML 文件过大",
        "文件超出了本服务器接受的大小。",
        &["请将订阅分成几个文件。"],
    ),
    ProblemWords::new(
        Problem::NoFile,
        "未收到文件",
        "表单中没有 OPML 文件，或连接中途断开。",
        &["请重新选择文件并再次发送。"],
    ),
    ProblemWords::new(
        Problem::UnknownBridge,
        "未知服务",
        "“来源”一栏填写的服务在此无法识别。",
        &["请将该栏留空，或填写下面列出的名称之一。"],
    ),
    ProblemWords::new(
        Problem::NoChannels,
        "没有指定频道",
        "订阅列表需要频道名称。",
        &["请将名称写入地址，例如 /-/opml?channels=durov,telegram。"],
    ),
    ProblemWords::new(
        Problem::MisspelledOption,
        "选项拼写有误",
        "没有“{}”选项，可能是指“{}”。",
        &["请更正地址中的选项名称。"],
    ),
    ProblemWords::new(
        Problem::OptionValue,
        "值有误",
        "选项“{}”不能使用地址中的值。",
        &["请按下面的说明更正，或从地址中删除该选项。"],
    ),
    ProblemWords::new(
        Problem::Pattern,
        "表达式有误",
        "“{}”不是有效的正则表达式。",
        &["请更正表达式，或去掉斜杠，直接填写词语。"],
    ),
    ProblemWords::new(
        Problem::MediaNotAllowed,
        "此服务器不允许",
        "管理员不允许以这种方式显示图片和视频。",
        &["请从地址中删除“media”选项，或选择其他值。"],
    ),
    ProblemWords::new(
        Problem::NotForSeveral,
        "仅适用于单个频道的选项",
        "地址中有一个选项只在单个频道的订阅源中有意义。",
        &["请从地址中删除下面提到的选项。"],
    ),
    ProblemWords::new(
        Problem::TooManyChannels,
        "频道过多",
        "地址中有 {} 个频道，超出了一次可用的上限。",
        &["请分成几个订阅源或列表。"],
    ),
    ProblemWords::new(
        Problem::UnknownBundle,
        "没有这个合集",
        "本服务器没有合集“{}”。",
        &["请检查名称，或向服务器管理员询问有哪些合集。"],
    ),
    ProblemWords::new(
        Problem::NoOlderPosts,
        "没有更早的消息",
        "未发现此频道更早的消息。",
        &["请打开频道查看最新消息。"],
    ),
    ProblemWords::new(
        Problem::NotStored,
        "此消息未保存在这里",
        "消息页面来自本服务器的存档，而存档中没有这条消息。",
        &[OPEN_IN_TELEGRAM],
    ),
    ProblemWords::new(
        Problem::NoChannel,
        "没有这个公开频道",
        "Telegram 上没有此名称的公开频道。",
        &[CHECK_SPELLING, "私密频道没有公开页面，无法在此阅读。"],
    ),
    ProblemWords::new(
        Problem::Person,
        "这是个人的名称",
        "此名称属于个人，只有频道有公开消息。",
        &[CHECK_SPELLING, "若此人有频道，请在 Telegram 中查找频道名称。"],
    ),
    ProblemWords::new(
        Problem::Bot,
        "这是机器人的名称",
        "此名称属于机器人，只有频道有公开消息。",
        &[CHECK_SPELLING, "若该机器人有频道，请在 Telegram 中查找频道名称。"],
    ),
    ProblemWords::new(
        Problem::Group,
        "这是群组的名称",
        "此名称属于群组。Telegram 只向有账号的人显示群组消息。",
        &["请在 Telegram 中阅读该群组。", "若它是某频道的讨论组，请输入频道名称。"],
    ),
    ProblemWords::new(
        Problem::PreviewOff,
        "网页预览已关闭",
        "频道存在，但 Telegram 不在网页上显示其消息：频道主关闭了预览，或 Telegram 限制了该频道。",
        &["请在 Telegram 中阅读该频道。", "频道主可以重新开启预览。"],
    ),
    ProblemWords::new(
        Problem::Blocked,
        "已被 Telegram 屏蔽",
        "Telegram 不显示此频道，原因见下。",
        &["本服务器无法改变这一点。"],
    ),
    ProblemWords::new(
        Problem::EmptyChannel,
        "空频道",
        "频道存在，但尚未发布任何消息。",
        &["请等频道发布第一条消息后再来。"],
    ),
    ProblemWords::new(
        Problem::TelegramLimits,
        "Telegram 拒绝请求",
        "Telegram 收到本服务器的请求过多，暂时拒绝新的请求。",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::TelegramDown,
        "Telegram 没有响应",
        "本服务器目前无法连接 Telegram，或只收到错误。",
        &[READER_RETRIES, TELL_OPERATOR],
    ),
    ProblemWords::new(
        Problem::TelegramUnreadable,
        "无法读取响应",
        "Telegram 或途中的某个环节返回的不是频道页面。",
        &[READER_RETRIES, TELL_OPERATOR],
    ),
    ProblemWords::new(Problem::Busy, "服务器繁忙", "等待处理的请求过多。", &[READER_RETRIES]),
    ProblemWords::new(
        Problem::TimedOut,
        "需要更长时间",
        "响应所需的时间超出了浏览器应等待的时间，处理仍在后台继续。",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::OlderUnavailable,
        "更早的消息暂不可用",
        "更早的消息不在存档中，Telegram 目前也没有提供。",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::Internal,
        "服务器出错了",
        "这是服务器自身的错误。",
        &["请重新加载页面。若仍然出错，请告知管理员，日志中有原因。"],
    ),
    ProblemWords::new(
        Problem::TokenMissing,
        "需要令牌",
        "本服务器只响应持有令牌的人。",
        &["请向服务器管理员索取令牌。", "将其填作密码，用户名任意。"],
    ),
    ProblemWords::new(
        Problem::TokenInvalid,
        "令牌错误",
        "本服务器不认识此令牌。",
        &["请检查令牌有无输入错误。", "请向服务器管理员索取新的令牌。"],
    ),
    ProblemWords::new(
        Problem::ForOperator,
        "仅限管理员",
        "此页面需要管理员令牌。",
        &["如果您是管理员，请将 --admin-token 中的令牌填作密码，用户名任意。"],
    ),
    ProblemWords::new(
        Problem::TooManyRequests,
        "请求过多",
        "来自您所在网络的请求超出了本服务器的限制。",
        &[READER_RETRIES],
    ),
    ProblemWords::new(
        Problem::TooManyNewChannels,
        "新频道过多",
        "短时间内打开了过多本服务器尚未读取的频道。",
        &["请订阅频道的订阅源：订阅源没有此限制。"],
    ),
    ProblemWords::new(
        Problem::ChannelNotServed,
        "此服务器不允许",
        "管理员不允许频道“{}”。",
        &["请联系服务器管理员，或自行部署。"],
    ),
    ProblemWords::new(
        Problem::MediaLink,
        "文件链接有误",
        "此图片或视频的地址没有本服务器的有效签名。",
        &["请打开消息，使用其中的链接。"],
    ),
    ProblemWords::new(
        Problem::MediaGone,
        "文件已不存在",
        "Telegram 上已没有此图片或视频：消息已被删除或修改。",
        &[OPEN_IN_TELEGRAM],
    ),
    ProblemWords::new(
        Problem::MediaUnavailable,
        "文件暂时无法发送",
        "Telegram 的文件服务器没有响应，或返回错误。",
        &[OPEN_IN_TELEGRAM],
    ),
    ProblemWords::new(
        Problem::MediaNotSent,
        "此文件无法发送",
        "文件过大，或不是 Telegram 的图片、视频或音频文件。",
        &[OPEN_IN_TELEGRAM],
    ),
]);
