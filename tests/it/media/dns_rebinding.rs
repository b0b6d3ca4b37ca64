//! A name that changes its mind: checked at one address, connected to at another.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ssrf::Canary;
use super::{CHANNEL, FAST, channel, links};
use crate::support::app::App;
use crate::support::fake_dns::{self, RecordType};
use crate::support::fake_telegram::FakeTelegram as Fake;
use crate::support::print_note;

/// Somebody's on the internet, and in a network of the test's own nobody's.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);

/// The variable that says so to the test that runs in that network.
const IS_INSIDE: &str = "TELEWIRE_TEST_NETWORK";

const NAME: &str = "media::dns_rebinding::dns_rebinding_to_a_private_ip_is_refused";

/// Runs itself once more in a network of its own, which nothing leaves and in which a public address is this machine's.
#[test]
#[expect(clippy::disallowed_methods, reason = "it tells itself where it runs")]
fn dns_rebinding_to_a_private_ip_is_refused() {
    if env::var_os(IS_INSIDE).is_none() {
        return in_its_own_network();
    }
    let public = TcpListener::bind((PUBLIC, 0)).unwrap();
    let port = public.local_addr().unwrap().port();
    let outside = Canary::at(public);
    // The second one where there is IPv6.
    let inside: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let inside = inside.iter().filter_map(|ip| TcpListener::bind((*ip, port)).ok());
    let inside: Vec<_> = inside.map(Canary::at).collect();
    let n_asked = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&n_asked);
    let server = fake_dns::serve(move |name, kind| match (name, kind) {
        ("both.cdn.example", _) => {
            vec![Ipv4Addr::LOCALHOST.into(), PUBLIC.into(), Ipv6Addr::LOCALHOST.into()]
        }
        // What has been checked is the public one; who asks once more to connect is given the inner one.
        (_, RecordType::A) if counting.fetch_add(1, Ordering::SeqCst) % 2 == 0 => vec![PUBLIC.into()],
        (_, RecordType::A) => vec![Ipv4Addr::LOCALHOST.into()],
        (_, RecordType::Aaaa) => vec![Ipv6Addr::LOCALHOST.into()],
    });
    let fake = Fake::start();
    let history = channel(&fake, 1);
    let hosts = format!("{},cdn.example:{port}", fake.host());
    let flags =
        ["--media-hosts", &hosts, "--dns", &server.to_string(), "--fresh-min", "0s", "--fresh-max", "0s"];
    let app = App::start(&fake.url(), &[&FAST[..], &flags].concat());
    let link = links(&app).first().unwrap().clone();
    for host in ["turns", "both"] {
        let before = outside.n_connections();
        history.lock().unwrap().media_base_url = format!("https://{host}.cdn.example:{port}");
        app.refresh(&fake, CHANNEL);
        for _ in 0..60 {
            // Nobody speaks TLS there.
            assert!([502, 504].contains(&app.get(&link).status));
        }
        assert!(outside.n_connections() > before, "{host}: it leads outside");
    }
    assert!(n_asked.load(Ordering::SeqCst) > 1, "it is asked for again");
    assert!(!inside.is_empty() && inside.iter().all(|canary| canary.n_connections() == 0));
}

fn in_its_own_network() {
    let own = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-ec", script]).arg(env::current_exe().unwrap());
        command.env(IS_INSIDE, "").output()
    };
    let up = format!("ip link set lo up; ip address add {PUBLIC}/32 dev lo");
    if !own(&up).is_ok_and(|output| output.status.success()) {
        return print_note("no network of its own can be had here, so rebinding is not tried over the wire");
    }
    let output = own(&format!("{up}; exec \"$0\" --exact {NAME} --nocapture")).unwrap();
    assert!(output.status.success(), "{output:#?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:#?}");
}
