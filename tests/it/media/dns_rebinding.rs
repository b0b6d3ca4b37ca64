//! DNS rebinding: a name that resolves to a public IP address first and to a private one later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ssrf::Canary;
use super::{CHANNEL, FAST, channel, links};
use crate::support::app::App;
use crate::support::fake_dns::{self, RecordType};
use crate::support::fake_telegram::FakeTelegram;
use crate::support::namespace;

/// A public address, which belongs to this machine in the test's network namespace.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);

const NAME: &str = "media::dns_rebinding::dns_rebinding_to_a_private_ip_is_refused";

/// Runs itself again in a network namespace without internet access, in which [`PUBLIC`] is an address of this machine.
#[test]
fn dns_rebinding_to_a_private_ip_is_refused() {
    if !namespace::has_addresses(&[PUBLIC], NAME) {
        return;
    }
    let public = TcpListener::bind((PUBLIC, 0)).unwrap();
    let port = public.local_addr().unwrap().port();
    let outside = Canary::at(public);
    // Without IPv6, only the first one can be bound.
    let inside: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let inside = inside.iter().filter_map(|ip| TcpListener::bind((*ip, port)).ok());
    let inside: Vec<_> = inside.map(Canary::at).collect();
    let n_queries = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&n_queries);
    let server = fake_dns::serve(move |name, kind| match (name, kind) {
        ("both.cdn.example", _) => {
            vec![Ipv4Addr::LOCALHOST.into(), PUBLIC.into(), Ipv6Addr::LOCALHOST.into()]
        }
        // A client that resolves again after the check gets the private address.
        (_, RecordType::A) if counting.fetch_add(1, Ordering::SeqCst) % 2 == 0 => vec![PUBLIC.into()],
        (_, RecordType::A) => vec![Ipv4Addr::LOCALHOST.into()],
        (_, RecordType::Aaaa) => vec![Ipv6Addr::LOCALHOST.into()],
    });
    let fake = FakeTelegram::start();
    let history = channel(&fake, 1);
    let hosts = format!("{},cdn.example:{port}", fake.host());
    let flags =
        ["--media-hosts", &hosts, "--dns", &server.to_string(), "--fresh-min", "0s", "--fresh-max", "0s"];
    let app = App::start(&fake.url(), &[&FAST[..], &flags].concat());
    let link = links(&app).first().unwrap().clone();
    for host in ["alternating", "both"] {
        let before = outside.n_connections();
        history.lock().unwrap().media_base_url = format!("https://{host}.cdn.example:{port}");
        app.refresh(&fake, CHANNEL);
        for _ in 0..60 {
            // The listener does not speak TLS.
            assert!([502, 504].contains(&app.get(&link).status));
        }
        assert!(outside.n_connections() > before, "{host}: no connection to the public address");
    }
    assert!(n_queries.load(Ordering::SeqCst) > 1, "the name was resolved again");
    assert!(!inside.is_empty() && inside.iter().all(|canary| canary.n_connections() == 0));
}
