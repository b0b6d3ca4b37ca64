//! Media files through several proxies.

use super::{CHANNEL, channel, links, service};
use crate::support::fake_proxy::FakeProxy;
use crate::support::fake_telegram::FakeTelegram;

#[test]
fn files_come_through_all_proxies_and_through_the_others_when_one_is_killed() {
    let fake = FakeTelegram::start();
    let _channel = channel(&fake, 20);
    let proxies = [(); 3].map(|()| FakeProxy::start(&fake.host()));
    let urls = proxies.each_ref().map(FakeProxy::url).join(",");
    let app = service(&fake, &["--proxy", &urls]);
    let paths = links(&app);
    assert!(paths.len() >= 20, "{CHANNEL} has {} files", paths.len());
    let (first, second) = paths.split_at(9);
    let get_all = |paths: &[String]| {
        for path in paths {
            assert_eq!(app.get(path).status, 200, "{path}");
        }
    };
    get_all(first);
    assert!(proxies.iter().all(|proxy| proxy.n_connections() > 0), "a proxy is not used");
    proxies[1].shut_down();
    get_all(second);
}
