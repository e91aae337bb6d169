//! Sockets: addresses in the kernel's form, listening, options.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Connections that may wait to be accepted. Kafka's default of 50 drops bursts; the kernel caps this at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Bytes that a socket takes beyond those that are on their way. Without it the kernel takes megabytes for a peer that
/// reads nothing: memory that all connections share, and copying that all wait for. What is on its way is not bounded
/// by it, so that it costs no throughput.
const UNSENT_BYTES: i32 = 512 * 1024;

/// An address in the kernel's form.
pub(crate) struct RawAddress {
    pub(crate) storage: libc::sockaddr_storage,
    pub(crate) length: libc::socklen_t,
}

impl RawAddress {
    /// Room for the kernel to write one.
    pub(crate) fn empty() -> RawAddress {
        // SAFETY: plain integers, for which all zeros is a value.
        let storage = unsafe { mem::zeroed() };
        RawAddress { storage, length: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    pub(crate) fn new(address: SocketAddr) -> RawAddress {
        let mut raw = RawAddress::empty();
        let storage = &raw mut raw.storage;
        match address {
            SocketAddr::V4(v4) => {
                // SAFETY: sockaddr_storage is made to hold and align a sockaddr_in.
                let place = unsafe { &mut *storage.cast::<libc::sockaddr_in>() };
                place.sin_family = libc::AF_INET as libc::sa_family_t;
                place.sin_port = v4.port().to_be();
                place.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                // SAFETY: as above for sockaddr_in6.
                let place = unsafe { &mut *storage.cast::<libc::sockaddr_in6>() };
                place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                place.sin6_port = v6.port().to_be();
                place.sin6_addr.s6_addr = v6.ip().octets();
                place.sin6_scope_id = v6.scope_id();
                raw.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }

    pub(crate) fn decode(&self) -> Option<SocketAddr> {
        let storage = &raw const self.storage;
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that it is a sockaddr_in.
                let v4 = unsafe { &*storage.cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 => {
                // SAFETY: the family says that it is a sockaddr_in6.
                let v6 = unsafe { &*storage.cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id)))
            }
            _ => None,
        }
    }
}

/// A stream socket for addresses of this family.
pub(crate) fn stream_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: makes a descriptor; touches no memory of ours.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of a local integer.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends small answers at once, and takes little more than the peer has room for. A socket that cannot is used all the
/// same.
pub(crate) fn set_stream_options(fd: RawFd) {
    for (name, option, value) in
        [("TCP_NODELAY", libc::TCP_NODELAY, 1), ("TCP_NOTSENT_LOWAT", libc::TCP_NOTSENT_LOWAT, UNSENT_BYTES)]
    {
        if let Err(error) = set_option(fd, libc::IPPROTO_TCP, option, value) {
            log::debug!("{name} on descriptor {fd}: {error}");
        }
    }
}

/// Who is at the other end; an error if it is gone already.
pub(crate) fn peer(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::empty();
    // SAFETY: the kernel writes at most `length` bytes into the local storage.
    let result =
        unsafe { libc::getpeername(socket.as_raw_fd(), (&raw mut raw.storage).cast(), &raw mut raw.length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(raw.decode().ok_or(io::ErrorKind::Unsupported)?)
}

/// A listening socket and its address with the port filled in.
pub(crate) fn listen(address: SocketAddr, share_port: bool) -> io::Result<(OwnedFd, SocketAddr)> {
    let socket = stream_socket(address)?;
    let fd = socket.as_raw_fd();
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if share_port {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    let raw = RawAddress::new(address);
    // SAFETY: the kernel reads `length` bytes of the local address.
    if unsafe { libc::bind(fd, (&raw const raw.storage).cast(), raw.length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no memory is involved.
    if unsafe { libc::listen(fd, BACKLOG) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut bound = RawAddress::empty();
    // SAFETY: the kernel writes at most `length` bytes into the local storage.
    let result = unsafe { libc::getsockname(fd, (&raw mut bound.storage).cast(), &raw mut bound.length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let address = bound.decode().ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for text in ["127.0.0.1:9092", "[::1]:80", "0.0.0.0:0", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(RawAddress::new(address).decode(), Some(address));
        }
        assert_eq!(RawAddress::empty().decode(), None);
    }

    #[test]
    fn listening_names_the_port_and_sharing_allows_two() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let (_first, address) = listen(any, true).expect("listens");
        assert_ne!(address.port(), 0);
        let second = listen(address, true);
        assert!(second.is_ok());
        let error = listen(address, false).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
