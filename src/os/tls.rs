//! Encryption as a wire: plain bytes above, TLS records below, over rustls and its unbuffered interface. Nothing above this
//! room knows of it.
//!
//! An idle session keeps no record: what arrives is decrypted in one buffer that all sessions share, and what leaves is
//! encrypted in another. Only a record of which a part has come, plain bytes for which the reader had no room, and records
//! that the kernel would not take are kept, for as long as that lasts.
//!
//! Invariants:
//! - Records leave in the order in which they were made: while some wait, none is made.
//! - A write is credited when its records have been taken by the kernel or, short of its last byte, when they wait here. So the
//!   writer knows that something has still to leave, comes back with that byte in front, and no other state above is needed.
//! - What nobody waits for, as tickets, is held back for the answer to what came with it, or for the next read: one segment less.
//! - At most so many handshakes are worked on in one turn; the others keep their place.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{Error, ServerConfig};

use crate::content::FileSpan;
use crate::os::bytes::{receive, transmit};
use crate::reactor::system::Took;

/// How much is received at once.
const RECEIVED: usize = 64 << 10;

/// What may have come of records that are not complete: a handshake message of 64 KiB in its records is the largest.
const PARTIAL: usize = 96 << 10;

/// How much is encrypted and sent at once: eight records of the largest size.
const SENT: usize = 128 << 10;

/// Room for those records with what each has around it, and for all that a handshake sends.
const SEALED: usize = SENT + (16 << 10);

/// What may be held back: tickets, or the answer to a change of keys.
const HELD: usize = 4 << 10;

/// How many reads in a row may bring only parts of records before others have their turn.
const ROUNDS: usize = 4;

/// Handshakes that are answered in one turn of the loop; each is worth a hundred requests.
const HANDSHAKES: u32 = 8;

/// The first byte of a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// For who speaks HTTP where TLS is spoken: it carries what every refusal does, though nothing above this has heard of it.
fn plain_answer() -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let body = "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"code\":\"https_required\",\
        \"detail\":\"this port speaks HTTPS: use an address with https://\"}";
    format!(
        "HTTP/1.1 400 Bad Request\r\nDate: {date}\r\nServer: hythe\r\nX-Content-Type-Options: nosniff\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What all sessions of a thread share while one of them is at work.
struct Desk {
    input: Vec<u8>,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::new(Desk {
        input: vec![0; PARTIAL + RECEIVED],
        plain: vec![0; SENT],
        sealed: vec![0; SEALED],
    });
    static HANDSHAKES_LEFT: Cell<u32> = const { Cell::new(HANDSHAKES) };
}

/// A new turn: handshakes may be worked on again.
pub(super) fn new_turn() {
    HANDSHAKES_LEFT.set(HANDSHAKES);
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come yet.
    Untouched,
    /// The client has begun.
    Shaking,
    /// The handshake is done.
    Open,
    /// The client does not speak TLS and was told so: what it sends is thrown away until it closes, for a reset would take the
    /// answer with it.
    Refused,
    /// The client has made a mistake: there is nothing to be read or said any more.
    Over,
}

/// What encrypts one connection.
pub struct Session {
    conn: UnbufferedServerConnection,
    stage: Stage,
    /// The client has said that it is done.
    has_ended: bool,
    /// We have said it, or are not going to.
    has_finished: bool,
    /// The first byte of the next write has been encrypted with what waits.
    is_credit_owed: bool,
    /// What waits was held back: the kernel has not refused it.
    is_held: bool,
    /// The beginning of a record that has not come whole.
    partial: Vec<u8>,
    /// Plain bytes that the last reader had no room for, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// Records that the kernel would not take, from `gone` on.
    waiting: Vec<u8>,
    gone: usize,
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads what nobody wants; its end is the client's.
fn throw_away(fd: BorrowedFd<'_>, is_shut: bool) -> io::Result<Took> {
    let got = DESK.with_borrow_mut(|desk| receive(fd, &mut desk.input[..RECEIVED]))?;
    match got {
        0 => Ok(Took { bytes: 0, is_dry: true }),
        got if got < RECEIVED && !is_shut => Err(io::ErrorKind::WouldBlock.into()),
        _ => Err(io::ErrorKind::Interrupted.into()),
    }
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> io::Result<Box<Session>> {
        Ok(Box::new(Session {
            conn: UnbufferedServerConnection::new(config).map_err(broken)?,
            stage: Stage::Untouched,
            has_ended: false,
            has_finished: false,
            is_credit_owed: false,
            is_held: false,
            partial: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            waiting: Vec::new(),
            gone: 0,
        }))
    }

    /// Whether records wait for room in the kernel.
    pub(super) fn owes(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nothing more will be sent.
    pub(super) fn abandon(&mut self) {
        self.has_finished = true;
    }

    pub(super) fn read(&mut self, fd: BorrowedFd<'_>, into: &mut [u8], is_shut: bool) -> io::Result<Took> {
        if !self.plain.is_empty() {
            let bytes = into.len().min(self.plain.len() - self.taken);
            into[..bytes].copy_from_slice(&self.plain[self.taken..self.taken + bytes]);
            self.taken += bytes;
            if self.taken == self.plain.len() {
                (self.plain, self.taken) = (Vec::new(), 0);
            }
            return Ok(Took { bytes, is_dry: false });
        }
        if self.has_ended || self.stage == Stage::Over {
            return Ok(Took { bytes: 0, is_dry: true });
        }
        if self.stage == Stage::Refused {
            return throw_away(fd, is_shut);
        }
        if self.stage != Stage::Open && HANDSHAKES_LEFT.get() == 0 {
            // Its turn comes again at once, after the others'.
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.flush(fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.stage == Stage::Open => {}
            other => other?,
        }
        DESK.with_borrow_mut(|desk| {
            for _ in 0..ROUNDS {
                let held = self.partial.len();
                if held > PARTIAL {
                    return Err(broken("a record that does not end"));
                }
                desk.input[..held].copy_from_slice(&self.partial);
                let got = receive(fd, &mut desk.input[held..held + RECEIVED])?;
                if got == 0 {
                    // Without a farewell too this is the end: what is cut off here has its length or its last chunk.
                    self.has_ended = true;
                    return Ok(Took { bytes: 0, is_dry: true });
                }
                if self.stage == Stage::Untouched && desk.input[0] != HANDSHAKE {
                    return self.turn_away(fd, &desk.input[..got]);
                }
                let bytes = self.take_records(fd, desk, held + got, into)?;
                let is_dry = got < RECEIVED && !is_shut;
                if bytes > 0 {
                    return Ok(Took { bytes, is_dry: is_dry && self.plain.is_empty() && !self.has_ended });
                }
                if self.has_ended {
                    return Ok(Took { bytes: 0, is_dry: true });
                }
                if is_dry {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
            Err(io::ErrorKind::Interrupted.into())
        })
    }

    /// Works on `desk.input[..end]`: plain bytes go to `into`, answers out; what is not complete stays. Says how many plain bytes
    /// there were room for.
    fn take_records(&mut self, fd: BorrowedFd<'_>, desk: &mut Desk, end: usize, into: &mut [u8]) -> io::Result<usize> {
        let (mut start, mut bytes, mut made) = (0, 0, 0);
        let outcome = loop {
            let UnbufferedStatus { discard, state } = self.conn.process_tls_records(&mut desk.input[start..end]);
            let mut is_over = false;
            match state {
                Err(error) => break Err(error),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let payload = match &record {
                            Ok(record) => record.payload,
                            Err(error) => return Err(broken(error.clone())),
                        };
                        let fits = payload.len().min(into.len() - bytes);
                        into[bytes..bytes + fits].copy_from_slice(&payload[..fits]);
                        bytes += fits;
                        self.plain.extend_from_slice(&payload[fits..]);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    made += data.encode(&mut desk.sealed[made..]).map_err(|error| broken(error.to_string()))?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_ended = true,
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.stage = Stage::Open;
                    is_over = true;
                }
                Ok(_) => is_over = true,
            }
            start += discard;
            if is_over {
                break Ok(());
            }
        };
        if let Err(error) = outcome {
            return Err(self.give_up(fd, &error, &mut desk.input[start..end], &mut desk.sealed, made));
        }
        if self.partial.len() != end - start || start > 0 {
            self.partial = desk.input[start..end].to_vec();
        } else {
            self.partial.copy_from_slice(&desk.input[..end]);
        }
        if self.stage == Stage::Untouched {
            self.stage = Stage::Shaking;
        }
        if made > 0 {
            if self.stage == Stage::Shaking {
                HANDSHAKES_LEFT.set(HANDSHAKES_LEFT.get().saturating_sub(1));
            }
            // Whoever has asked something is answered at once, as a rule, and the client waits for nothing but that.
            if bytes > 0 && self.stage == Stage::Open && self.waiting.is_empty() && made <= HELD {
                self.waiting.extend_from_slice(&desk.sealed[..made]);
                self.is_held = true;
            } else {
                self.push(fd, &desk.sealed[..made], false)?;
            }
        }
        Ok(bytes)
    }

    /// The client has made a mistake: it is told by an alert, if it still listens. `made` bytes of `sealed` wait to be sent.
    fn give_up(
        &mut self,
        fd: BorrowedFd<'_>,
        error: &Error,
        rest: &mut [u8],
        sealed: &mut [u8],
        mut made: usize,
    ) -> io::Error {
        // The alert comes last: a server's hello that came before it has to be sent too, or nobody could read the alert.
        // Once nothing is left to send it must not be asked again: it would go on with the records that it has refused.
        while self.conn.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) = self.conn.process_tls_records(rest).state
            && let Ok(more) = data.encode(&mut sealed[made..])
        {
            made += more;
        }
        // Whoever does not take it is not told.
        let _ = self.push(fd, &sealed[..made], false);
        if self.stage != Stage::Open {
            log::debug!("a handshake failed: {error}");
        }
        self.stage = Stage::Over;
        broken(error.clone())
    }

    /// Whoever speaks HTTP here is told so in HTTP; others are not answered.
    fn turn_away(&mut self, fd: BorrowedFd<'_>, input: &[u8]) -> io::Result<Took> {
        if !input[0].is_ascii_uppercase() {
            self.stage = Stage::Over;
            return Ok(Took { bytes: 0, is_dry: true });
        }
        self.stage = Stage::Refused;
        // Whoever does not take it is not told.
        let _ = transmit(fd, &[IoSlice::new(plain_answer().as_bytes())], false);
        let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Write);
        // There may be more of it.
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Sends what waits. `WouldBlock`: some of it still does.
    fn flush(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.is_held = false;
        while self.gone < self.waiting.len() {
            self.gone += transmit(fd, &[IoSlice::new(&self.waiting[self.gone..])], false)?;
        }
        if !self.waiting.is_empty() {
            (self.waiting, self.gone) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Sends records; what the kernel does not take waits. Says whether all have left.
    fn push(&mut self, fd: BorrowedFd<'_>, records: &[u8], more: bool) -> io::Result<bool> {
        let mut gone = 0;
        while self.waiting.is_empty() && gone < records.len() {
            match transmit(fd, &[IoSlice::new(&records[gone..])], more) {
                Ok(sent) => gone += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.waiting.extend_from_slice(&records[gone..]);
        Ok(self.waiting.is_empty())
    }

    pub(super) fn write(&mut self, fd: BorrowedFd<'_>, from: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let credit = self.ready_to_write(fd)?;
        DESK.with_borrow_mut(|desk| {
            if let [one] = from {
                let plain = &one[credit..];
                let plain = &plain[..plain.len().min(SENT)];
                return self.seal(fd, plain, &mut desk.sealed, credit, more);
            }
            // One record for what belongs together.
            let (mut skipped, mut filled) = (credit, 0);
            for slice in from {
                let slice = &slice[skipped.min(slice.len())..];
                skipped = 0;
                let fits = slice.len().min(SENT - filled);
                desk.plain[filled..filled + fits].copy_from_slice(&slice[..fits]);
                filled += fits;
            }
            self.seal(fd, &desk.plain[..filled], &mut desk.sealed, credit, more)
        })
    }

    /// The stretch is in memory already, or has just been brought there: reading it does not wait for a disk.
    pub(super) fn send_file(&mut self, fd: BorrowedFd<'_>, span: &FileSpan) -> io::Result<usize> {
        let credit = self.ready_to_write(fd)?;
        DESK.with_borrow_mut(|desk| {
            let length = usize::try_from(span.length).unwrap_or(usize::MAX).saturating_sub(credit).min(SENT);
            let read = match length {
                0 => 0,
                length => span.file.read_at(&mut desk.plain[..length], span.offset + credit as u64)?,
            };
            self.seal(fd, &desk.plain[..read], &mut desk.sealed, credit, false)
        })
    }

    /// Sends what waits; then says how many bytes of the next write have left with it.
    fn ready_to_write(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        if self.stage != Stage::Open || self.has_finished {
            // Nobody writes before having read, and nothing can be said after the farewell.
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !self.is_held {
            self.flush(fd)?;
        }
        Ok(usize::from(std::mem::take(&mut self.is_credit_owed)))
    }

    /// Encrypts and sends; says how much is credited, with the credit that was owed.
    fn seal(
        &mut self,
        fd: BorrowedFd<'_>,
        plain: &[u8],
        sealed: &mut [u8],
        credit: usize,
        more: bool,
    ) -> io::Result<usize> {
        if plain.is_empty() {
            return Ok(credit);
        }
        let mut made = 0;
        if std::mem::take(&mut self.is_held) {
            made = self.waiting.len();
            sealed[..made].copy_from_slice(&self.waiting);
            self.waiting = Vec::new();
        }
        made += self.encrypt(plain, &mut sealed[made..])?;
        if self.push(fd, &sealed[..made], more)? {
            return Ok(credit + plain.len());
        }
        self.is_credit_owed = true;
        match credit + plain.len() - 1 {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            credited => Ok(credited),
        }
    }

    fn encrypt(&mut self, plain: &[u8], sealed: &mut [u8]) -> io::Result<usize> {
        let mut made = 0;
        loop {
            // The beginning of a record that has not come whole is shown, for it is part of the state; it gets no further.
            let UnbufferedStatus { discard, state } = self.conn.process_tls_records(&mut self.partial);
            let is_done = match state.map_err(broken)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    made += traffic.encrypt(plain, &mut sealed[made..]).map_err(|error| broken(error.to_string()))?;
                    true
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    made += data.encode(&mut sealed[made..]).map_err(|error| broken(error.to_string()))?;
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::PeerClosed => {
                    self.has_ended = true;
                    false
                }
                _ => return Err(io::ErrorKind::NotConnected.into()),
            };
            self.partial.drain(..discard);
            if is_done {
                return Ok(made);
            }
        }
    }

    /// Says that nothing more will come (RFC 8446, section 6.1), if that can be said at once.
    pub(super) fn say_farewell(&mut self, fd: BorrowedFd<'_>) {
        let has_finished = std::mem::replace(&mut self.has_finished, true);
        if has_finished || self.stage != Stage::Open || self.flush(fd).is_err() {
            return;
        }
        let mut alert = [0; 256];
        let UnbufferedStatus { state, .. } = self.conn.process_tls_records(&mut self.partial);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state
            && let Ok(made) = traffic.queue_close_notify(&mut alert)
        {
            let _ = transmit(fd, &[IoSlice::new(&alert[..made])], false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
    use rustls::client::ClientConnection;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};

    use super::*;

    /// Both ends of a handshake over a socket that keeps what was sent at once together.
    struct Pair {
        ours: OwnedFd,
        theirs: OwnedFd,
        session: Box<Session>,
        client: ClientConnection,
    }

    impl Pair {
        fn new() -> Pair {
            let pair = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
            let certificate = pair.cert.der().clone();
            let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).expect("a key");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .expect("a pair");
            config.ticketer = rustls::crypto::ring::Ticketer::new().expect("tickets");
            let mut roots = RootCertStore::empty();
            roots.add(certificate).expect("a root");
            let client = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("localhost").expect("a name");
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair of sockets");
            let session = Session::new(Arc::new(config)).expect("a session");
            new_turn();
            Pair { ours, theirs, session, client: ClientConnection::new(Arc::new(client), name).expect("a client") }
        }

        /// What the client has to send, at once.
        fn client_sends(&mut self) {
            let mut out = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut out).expect("in memory");
            }
            transmit(self.theirs.as_fd(), &[IoSlice::new(&out)], false).expect("room");
        }

        /// What was sent at once to the client.
        fn client_hears(&mut self) -> Option<usize> {
            let mut window = [0; 8192];
            let (_, got) = recv(&self.theirs, &mut window, RecvFlags::empty()).ok()?;
            self.client.read_tls(&mut &window[..got]).expect("in memory");
            let state = self.client.process_new_packets().expect("records that can be read");
            Some(state.plaintext_bytes_to_read())
        }

        fn read(&mut self) -> io::Result<Vec<u8>> {
            let mut into = [0; 1024];
            let took = self.session.read(self.ours.as_fd(), &mut into, false)?;
            Ok(into[..took.bytes].to_vec())
        }

        /// The handshake, as far as the client's last word, which comes with its question.
        fn ask(&mut self, question: &[u8]) {
            self.client_sends();
            assert_eq!(self.read().expect_err("a handshake").kind(), io::ErrorKind::WouldBlock);
            assert_eq!(self.client_hears(), Some(0));
            assert!(!self.client.is_handshaking());
            io::Write::write_all(&mut self.client.writer(), question).expect("in memory");
            self.client_sends();
            assert_eq!(self.read().expect("a question"), question);
        }
    }

    #[test]
    fn tickets_leave_with_the_answer_in_one() {
        let mut pair = Pair::new();
        pair.ask(b"what?");
        assert_eq!(pair.client_hears(), None, "nothing leaves before the answer does");
        let answer = [IoSlice::new(b"this "), IoSlice::new(b"and that")];
        assert_eq!(pair.session.write(pair.ours.as_fd(), &answer, false).expect("room"), 13);
        assert!(!pair.session.owes());
        assert_eq!(pair.client_hears(), Some(13));
        assert_eq!(pair.client.tls13_tickets_received(), 2);
        assert_eq!(pair.client_hears(), None);
    }

    #[test]
    fn tickets_leave_without_an_answer_when_it_is_read_again() {
        let mut pair = Pair::new();
        pair.ask(b"half a quest");
        assert!(pair.session.owes());
        assert_eq!(pair.read().expect_err("nothing has come").kind(), io::ErrorKind::WouldBlock);
        assert_eq!(pair.client_hears(), Some(0));
        assert_eq!(pair.client.tls13_tickets_received(), 2);
        assert!(!pair.session.owes());
    }
}
