//! A DNS server with scripted answers.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

/// The type of a DNS record, with its number (RFC 1035 and RFC 3596).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordType {
    A = 1,
    Aaaa = 28,
}

/// Starts a DNS server on 127.0.0.1 and returns its socket address.
///
/// `addresses` returns the IP addresses of a name; those of another record type are left out. Answers have a TTL of 0.
pub(crate) fn serve(
    mut addresses: impl FnMut(&str, RecordType) -> Vec<IpAddr> + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut packet) {
            if socket.send_to(&answer(&packet[..n], &mut addresses), from).is_err() {
                return;
            }
        }
    });
    at
}

/// Builds the answer to a DNS query (RFC 1035, section 4).
fn answer(question: &[u8], addresses: &mut impl FnMut(&str, RecordType) -> Vec<IpAddr>) -> Vec<u8> {
    const HEADER: usize = 12;
    let mut labels = Vec::new();
    let mut at = HEADER;
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(str::from_utf8(&question[at + 1..end]).unwrap());
        at = end;
    }
    let kind = [RecordType::A, RecordType::Aaaa]
        .into_iter()
        .find(|kind| question[at + 1..at + 3] == [0, *kind as u8]);
    let found = kind.map(|kind| addresses(&labels.join("."), kind)).unwrap_or_default();
    let data: Vec<Vec<u8>> = found.into_iter().filter_map(|ip| octets(ip, kind?)).collect();
    let mut packet = question[..2].to_vec();
    packet.extend([0x81, 0x80, 0, 1, 0, u8::try_from(data.len()).unwrap(), 0, 0, 0, 0]);
    packet.extend_from_slice(&question[HEADER..at + 5]);
    for data in data {
        // A pointer to the name in the question, its type and class, and a TTL of 0.
        packet.extend([0xc0, 0x0c]);
        packet.extend_from_slice(&question[at + 1..at + 5]);
        packet.extend([0; 4]);
        packet.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        packet.extend(data);
    }
    packet
}

fn octets(ip: IpAddr, kind: RecordType) -> Option<Vec<u8>> {
    match (ip, kind) {
        (IpAddr::V4(ip), RecordType::A) => Some(ip.octets().to_vec()),
        (IpAddr::V6(ip), RecordType::Aaaa) => Some(ip.octets().to_vec()),
        _ => None,
    }
}
