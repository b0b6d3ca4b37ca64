//! A SOCKS5 proxy (RFC 1928) on a real socket.
//!
//! It connects to one server of the test whatever a client asks for, so that this server knows which proxy asks. It accepts
//! any user name and password (RFC 1929). The threads end with the test program.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The method of authentication (RFC 1928, section 3).
const USER_AND_PASSWORD: u8 = 2;

/// The type of an IPv4 address in a request (RFC 1928, section 5).
const IPV4: u8 = 1;

/// The password in the proxy's URL, which must not be printed.
pub(crate) const PASSWORD: &str = "proxy-password";

/// A SOCKS5 proxy on a port of 127.0.0.1.
pub(crate) struct FakeProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    n_connections: AtomicUsize,
    /// Connections are closed, and new ones refused.
    is_offline: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl FakeProxy {
    /// Starts a proxy on a free port, which connects to the server at this host and port.
    pub(crate) fn start(target: &str) -> Self {
        let target: SocketAddr = target.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&accepting);
                if shared.is_offline.load(Ordering::SeqCst) {
                    break;
                }
                // An error means that one side disconnected, which tests intend.
                thread::spawn(move || serve(stream, target, &shared));
            }
        });
        Self { address, shared }
    }

    /// Returns the host and port, as metrics name the proxy.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns the URL, for `--proxy`.
    pub(crate) fn url(&self) -> String {
        format!("socks5://user:{PASSWORD}@{}", self.address)
    }

    /// Returns the number of connections that were made through the proxy.
    pub(crate) fn n_connections(&self) -> usize {
        self.shared.n_connections.load(Ordering::SeqCst)
    }

    /// Closes all connections and refuses new ones.
    pub(crate) fn shut_down(&self) {
        self.shared.is_offline.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then ends.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.open.lock().unwrap().drain(..) {
            // The other side may have closed it.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// Connects a client with the server, and copies bytes until one of them closes the connection.
fn serve(mut client: TcpStream, target: SocketAddr, shared: &Shared) -> io::Result<()> {
    let [_version, n_methods] = read(&mut client)?;
    let mut methods = vec![0; n_methods.into()];
    client.read_exact(&mut methods)?;
    assert!(methods.contains(&USER_AND_PASSWORD), "the URL has a password");
    client.write_all(&[5, USER_AND_PASSWORD])?;
    let [_version, n_user] = read(&mut client)?;
    client.read_exact(&mut vec![0; n_user.into()])?;
    let [n_password] = read(&mut client)?;
    client.read_exact(&mut vec![0; n_password.into()])?;
    client.write_all(&[1, 0])?;
    let [_version, _command, _reserved, kind, ..] = read::<10>(&mut client)?;
    assert_eq!(kind, IPV4, "the upstream's URL has an IPv4 address");
    let server = TcpStream::connect(target)?;
    shared.n_connections.fetch_add(1, Ordering::SeqCst);
    shared.open.lock().unwrap().extend([client.try_clone()?, server.try_clone()?]);
    // Success, with an address that no client reads.
    client.write_all(&[5, 0, 0, IPV4, 0, 0, 0, 0, 0, 0])?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        io::copy(&mut from_client, &mut to_server)?;
        to_server.shutdown(Shutdown::Write)
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    to_client.shutdown(Shutdown::Write)
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
