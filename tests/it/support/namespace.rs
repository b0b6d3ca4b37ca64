//! Network namespaces: a test runs itself again where it may have any address.

use std::env;
use std::net::Ipv4Addr;
use std::process::Command;

use super::print_note;

/// The environment variable that is set inside the network namespace.
const IS_INSIDE: &str = "TELEWIRE_TEST_NETWORK";

/// Returns whether this process is in a network namespace without internet access, in which the loopback device has these
/// addresses.
///
/// If not, runs the test with this full name in one, or notes that it is skipped.
#[expect(clippy::disallowed_methods, reason = "the variable is set by the test itself")]
pub(crate) fn has_addresses(addresses: &[Ipv4Addr], test: &str) -> bool {
    if env::var_os(IS_INSIDE).is_some() {
        return true;
    }
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-ec", script]).arg(env::current_exe().unwrap());
        command.env(IS_INSIDE, "").output()
    };
    let add = addresses.iter().map(|address| format!("; ip address add {address}/32 dev lo"));
    let up = format!("ip link set lo up{}", add.collect::<String>());
    if !unshare(&up).is_ok_and(|output| output.status.success()) {
        print_note(&format!("{test}: skipped, because network namespaces are not available"));
        return false;
    }
    let output = unshare(&format!("{up}; exec \"$0\" --exact {test} --nocapture")).unwrap();
    assert!(output.status.success(), "{output:#?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:#?}");
    false
}
