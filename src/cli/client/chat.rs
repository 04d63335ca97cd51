//! `chat`: talking line by line. What others say appears above the line that is being typed, which stays.
//!
//! Two threads: one reads lines, the other owns the WebSocket. A connection that is lost is made anew: first what was missed is
//! read from the history, so that nothing is shown twice or left out, then what the server never confirmed is said again.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use serde_json::{Value, json};
use tungstenite::client::client_with_config;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{ClientRequestBuilder, HandshakeError, Message, WebSocket};

use crate::cli::client::dial::Line;
use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::messages::{history, line};
use crate::cli::client::server::Ask;
use crate::cli::client::target;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{plain, text};
use crate::cli::client::words::Chat;

const CONNECT: Duration = Duration::from_secs(10);
/// How long the socket is listened to before the lines are looked at.
const GLANCE: Duration = Duration::from_millis(40);
/// The server pings every 30 s; one that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(75);
/// How long the last words are waited for.
const FAREWELL: Duration = Duration::from_secs(10);
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(10);
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Lines that may wait for a connection.
const PENDING_MAX: usize = 100;

const HELP: &str = "/who tells who is here, /quit leaves (so does Ctrl-D); //text says /text";

/// Where words appear.
trait Screen: Send {
    fn show(&mut self, line: &str) -> Result<(), Failure>;
}

/// Above the line that is being typed.
struct Above<P>(P);

impl<P: ExternalPrinter + Send> Screen for Above<P> {
    fn show(&mut self, line: &str) -> Result<(), Failure> {
        // Who has left reads nothing more; that they have is learned from their lines.
        let _ = self.0.print(format!("{line}\n"));
        Ok(())
    }
}

/// One after the other.
struct Below<'v>(&'v Visit);

impl Screen for Below<'_> {
    fn show(&mut self, line: &str) -> Result<(), Failure> {
        self.0.voice.out(line)
    }
}

/// Talks until the person leaves.
///
/// # Errors
/// What the server has against it; a connection that is lost later is made anew.
pub fn chat(visit: &Visit, order: &Chat) -> Result<(), Failure> {
    let (say, said) = mpsc::sync_channel(PENDING_MAX);
    let is_seated = io::stdin().is_terminal() && io::stdout().is_terminal() && !visit.voice.is_json;
    if !is_seated {
        // Who waits in a read of stdin is not waited for.
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        return Talk::new(visit, order, Box::new(Below(visit)), false).run(&said);
    }
    let broken = |error: ReadlineError| Failure::other(format!("cannot read from the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(broken)?;
    let printer = editor.create_external_printer().map_err(broken)?;
    thread::scope(|scope| {
        let talk = scope.spawn(|| {
            // Taken along, so that who types sees that nobody listens any more.
            let said = said;
            Talk::new(visit, order, Box::new(Above(printer)), true).run(&said)
        });
        let left = loop {
            if talk.is_finished() {
                break Ok(());
            }
            match editor.readline(&format!("{}> ", plain(&order.room))) {
                Ok(line) => {
                    let _ = editor.add_history_entry(line.as_str());
                    if line.trim() == "/quit" || say.send(line).is_err() {
                        break Ok(());
                    }
                }
                Err(ReadlineError::Eof) => break Ok(()),
                Err(ReadlineError::Interrupted) => break Err(Failure::new(Ending::Interrupted, "interrupted")),
                Err(error) => break Err(broken(error)),
            }
        };
        drop(say);
        // With the editor goes what waits to be shown by it: the other thread may be waiting for that.
        drop(editor);
        let talked = talk.join().unwrap_or_else(|_| Err(Failure::other("the chat broke down")));
        left.and(talked)
    })
}

/// Why a connection ended.
enum End {
    /// The person left.
    Left,
    /// It was lost, for this reason.
    Lost(String),
}

/// A conversation over any number of connections.
struct Talk<'v> {
    visit: &'v Visit,
    room: &'v str,
    name: Option<&'v str>,
    screen: Box<dyn Screen + 'v>,
    /// Whether what one says stays on the screen as it was typed.
    is_typed: bool,
    /// The id of the last message seen.
    last: Option<u64>,
    /// What was said and is not confirmed.
    pending: VecDeque<(u64, String)>,
    next: u64,
    /// The last of ours that was confirmed.
    kept: u64,
    /// Those of ours that were confirmed before they came back.
    own: Vec<u64>,
    has_left: bool,
}

impl<'v> Talk<'v> {
    fn new(visit: &'v Visit, order: &'v Chat, screen: Box<dyn Screen + 'v>, is_typed: bool) -> Talk<'v> {
        Talk {
            visit,
            room: &order.room,
            name: order.name.as_deref(),
            screen,
            is_typed,
            last: None,
            pending: VecDeque::new(),
            next: 1,
            kept: 0,
            own: Vec::new(),
            has_left: false,
        }
    }

    fn run(mut self, said: &Receiver<String>) -> Result<(), Failure> {
        let outcome = self.converse(said);
        if let (Err(failure), true) = (&outcome, self.is_typed && !self.has_left) {
            let _ = self.screen.show(&format!("{}; press Enter to leave", plain(&failure.sentence)));
        }
        outcome
    }

    fn converse(&mut self, said: &Receiver<String>) -> Result<(), Failure> {
        let mut socket = self.connect()?;
        self.remark(HELP)?;
        loop {
            let lost = match self.talk(&mut socket, said)? {
                End::Left => {
                    let _ = socket.close(None);
                    let _ = socket.flush();
                    return Ok(());
                }
                End::Lost(reason) => reason,
            };
            self.remark(&format!("{lost}; connecting again"))?;
            let mut pause = PAUSE_LEAST;
            socket = loop {
                self.wait(pause, said);
                if self.has_left {
                    return self.give_up();
                }
                match self.connect() {
                    Ok(socket) => break socket,
                    // A server that is being started again may be there in a moment.
                    Err(failure) if matches!(failure.ending, Ending::NoConnection | Ending::ServerError) => {}
                    Err(failure) => return Err(failure),
                }
                pause = (pause * 2).min(PAUSE_MOST);
            };
            self.remark("connected again")?;
        }
    }

    fn give_up(&self) -> Result<(), Failure> {
        match self.pending.len() {
            0 => Ok(()),
            lines => Err(Failure::new(Ending::NoConnection, format!("{lines} lines could not be sent"))),
        }
    }

    /// Waits, and takes lines meanwhile.
    fn wait(&mut self, pause: Duration, said: &Receiver<String>) {
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match said.recv_timeout(left) {
                Ok(line) if line.trim() == "/quit" => {
                    self.has_left = true;
                    return;
                }
                Ok(line) => {
                    self.take(&line);
                }
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.has_left = true;
                    return;
                }
            }
        }
    }

    /// Shows what was missed, then connects.
    fn connect(&mut self) -> Result<WebSocket<Line>, Failure> {
        loop {
            let page = history(self.visit, self.room, self.last)?;
            if page["gap"] == true {
                self.remark("some messages are no longer kept")?;
            }
            let messages = page["messages"].as_array().map_or(&[][..], Vec::as_slice);
            let has_more = self.last.is_some() && !messages.is_empty();
            for message in messages {
                self.message(message)?;
            }
            self.last = self.last.or(page["last"].as_u64()).or(Some(0));
            if !has_more {
                break;
            }
        }
        let mut socket = self.open()?;
        let pending = std::mem::take(&mut self.pending);
        for (reference, line) in pending {
            // What cannot be sent now is sent over the next connection.
            let _ = self.say(&mut socket, reference, line);
        }
        Ok(socket)
    }

    fn open(&self) -> Result<WebSocket<Line>, Failure> {
        let base = &self.visit.server.base;
        let url = base.url();
        let gone = |error: io::Error| Failure::new(Ending::NoConnection, format!("cannot reach {url}: {error}"));
        let stream = Line::open(base, self.visit.server.secure.as_ref(), CONNECT).map_err(gone)?;
        let since = self.last.map(|last| last.to_string());
        let target =
            target::with_query("/ws", &[("room", Some(self.room)), ("since", since.as_deref()), ("name", self.name)]);
        let uri = base.socket(&target).parse().map_err(|_| Failure::usage(format!("{url} is no URL of a server")))?;
        let mut request = ClientRequestBuilder::new(uri).with_sub_protocol("hythe.chat.v1");
        if let Some(token) = self.visit.server.token() {
            request = request.with_header("Authorization", format!("Bearer {token}"));
        }
        let config = WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX));
        match client_with_config(request, stream, Some(config)) {
            Ok((socket, _)) => {
                socket.get_ref().set_read_timeout(GLANCE).map_err(gone)?;
                Ok(socket)
            }
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err(Failure::of_answer(answer.status().as_u16(), body))
            }
            Err(HandshakeError::Failure(tungstenite::Error::Io(error))) => Err(gone(error)),
            Err(HandshakeError::Failure(error)) => {
                Err(Failure::new(Ending::ServerError, format!("{url} speaks no WebSocket: {error}")))
            }
            Err(HandshakeError::Interrupted(_)) => Err(gone(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Talks until one side has enough.
    fn talk(&mut self, socket: &mut WebSocket<Line>, said: &Receiver<String>) -> Result<End, Failure> {
        let mut heard = Instant::now();
        let mut leave_by = None;
        loop {
            match socket.read() {
                Ok(Message::Text(frame)) => {
                    heard = Instant::now();
                    self.frame(frame.as_str())?;
                }
                Ok(Message::Close(close)) => {
                    let close = close.map(|close| (u16::from(close.code), close.reason.to_string()));
                    match close {
                        Some((1008, _)) => {
                            return Err(Failure {
                                code: Some("session_ended".into()),
                                ..Failure::new(Ending::NotAllowed, "the session has ended")
                            });
                        }
                        Some((1001, _)) => return Ok(End::Lost("the server is stopping".to_owned())),
                        Some((1013, _)) => return Ok(End::Lost("too much was said at once".to_owned())),
                        _ => return Ok(End::Lost("the connection was closed".to_owned())),
                    }
                }
                // A ping is answered by the next read or write.
                Ok(_) => heard = Instant::now(),
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Ok(End::Lost(format!("the connection was lost ({error})"))),
            }
            if heard.elapsed() > SILENCE {
                return Ok(End::Lost("the server says nothing any more".to_owned()));
            }
            // Ours are few; the room is listened to between two of them.
            match said.try_recv() {
                Ok(line) if line.trim() == "/quit" => self.has_left = true,
                Ok(line) => {
                    if let Some((reference, line)) = self.command(&line)?
                        && let Err(lost) = self.say(socket, reference, line)
                    {
                        return Ok(End::Lost(lost));
                    }
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.has_left = true,
            }
            if self.has_left {
                let by = *leave_by.get_or_insert_with(|| Instant::now() + FAREWELL);
                // What one said last is heard before one goes.
                if self.pending.is_empty() && self.last.is_none_or(|last| last >= self.kept) {
                    return Ok(End::Left);
                }
                if Instant::now() > by {
                    return self.give_up().map(|()| End::Left);
                }
            }
        }
    }

    /// A line that was typed: a command is done, anything else is to be said.
    fn command(&mut self, line: &str) -> Result<Option<(u64, String)>, Failure> {
        match line.trim() {
            "/who" => match who(self.visit, self.room) {
                Ok(told) => self.remark(&told)?,
                Err(failure) => self.remark(&plain(&failure.sentence))?,
            },
            "/help" | "/?" => self.remark(HELP)?,
            word if word.starts_with('/') && !word.starts_with("//") => {
                self.remark(&format!("there is no {}; {HELP}", plain(word)))?;
            }
            _ => {
                self.take(line);
                return Ok(self.pending.pop_back());
            }
        }
        Ok(None)
    }

    /// Notes what is to be said.
    fn take(&mut self, line: &str) {
        let line = if line.starts_with("//") { &line[1..] } else { line };
        if !line.trim().is_empty() && self.pending.len() < PENDING_MAX {
            self.pending.push_back((self.next, line.to_owned()));
            self.next += 1;
        }
    }

    fn say(&mut self, socket: &mut WebSocket<Line>, reference: u64, line: String) -> Result<(), String> {
        let frame = json!({"type": "send", "room": self.room, "message": line, "ref": reference.to_string()});
        self.pending.push_back((reference, line));
        socket.send(Message::text(frame.to_string())).map_err(|error| format!("the connection was lost ({error})"))
    }

    /// What the server sent. What is not understood is passed over: a newer server says more.
    fn frame(&mut self, frame: &str) -> Result<(), Failure> {
        let Ok(frame) = serde_json::from_str::<Value>(frame) else { return Ok(()) };
        let reference = frame["ref"].as_u64().or_else(|| frame["ref"].as_str()?.parse().ok());
        match text(&frame, "type") {
            "message" => self.message(&frame),
            "ack" => {
                let of = self.pending.iter().position(|(pending, _)| Some(*pending) == reference);
                let id = frame["id"].as_u64().unwrap_or_default();
                if of.and_then(|at| self.pending.remove(at)).is_some() {
                    self.own.push(id);
                }
                self.kept = self.kept.max(id);
                Ok(())
            }
            "error" => {
                let of = self.pending.iter().position(|(pending, _)| Some(*pending) == reference);
                let line = of.and_then(|at| self.pending.remove(at)).map(|(_, line)| line).unwrap_or_default();
                let why = match text(&frame, "code") {
                    "rate_limited" => "too fast",
                    code => code,
                };
                self.remark(&format!("not said ({}): {}", plain(why), plain(&line)))
            }
            "gap" => self.remark("some messages are no longer kept"),
            // A message that is gone stays on the screen of who has read it.
            "delete" => self.event(&frame, |_| String::new()),
            "join" => self.event(&frame, |who| format!("{who} is here")),
            "leave" => self.event(&frame, |who| format!("{who} has left")),
            _ => Ok(()),
        }
    }

    fn event(&mut self, frame: &Value, tell: impl Fn(&str) -> String) -> Result<(), Failure> {
        if self.visit.voice.is_json {
            return self.screen.show(&frame.to_string());
        }
        for who in names(frame) {
            match tell(&plain(&who)) {
                told if told.is_empty() => {}
                told => self.remark(&told)?,
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &Value) -> Result<(), Failure> {
        if let Some(id) = message["id"].as_u64() {
            if self.last.is_some_and(|last| id <= last) {
                return Ok(());
            }
            self.last = Some(id);
            // Ours comes back like everyone's. Where it was typed it is on the screen already.
            if let Some(at) = self.own.iter().position(|own| *own == id) {
                self.own.swap_remove(at);
                if self.is_typed {
                    return Ok(());
                }
            }
        }
        // It may also come back before it is confirmed, or from the history after a connection was lost.
        let said = text(message, "message");
        let ours = self.pending.iter().position(|(_, line)| line.trim() == said.trim());
        if let Some(at) = ours
            && self.is_ours(message)
        {
            self.pending.remove(at);
            if self.is_typed {
                return Ok(());
            }
        }
        let shown =
            if self.visit.voice.is_json { message.to_string() } else { line(&self.visit.voice, message, false) };
        self.screen.show(&shown)
    }

    fn is_ours(&self, message: &Value) -> bool {
        let url = self.visit.server.base.url();
        match self.visit.state.session(&url).filter(|_| self.visit.server.has_session()) {
            Some(session) => text(message, "user") == session.user,
            None => self.name.is_none_or(|name| text(message, "name") == name),
        }
    }

    fn remark(&mut self, text: &str) -> Result<(), Failure> {
        if self.visit.voice.is_quiet || self.visit.voice.is_json {
            return Ok(());
        }
        if self.is_typed {
            let text = self.visit.voice.coloured(2, &format!("- {text}"));
            return self.screen.show(&text);
        }
        self.visit.voice.remark(text);
        Ok(())
    }
}

/// The names that an event is about, one or several.
fn names(event: &Value) -> Vec<String> {
    let of = |value: &Value| match value {
        Value::String(name) => Some(name.clone()),
        value => value["name"].as_str().or(value["user"].as_str()).map(str::to_owned),
    };
    for member in ["users", "names", "user", "name"] {
        match &event[member] {
            Value::Array(many) => return many.iter().filter_map(of).collect(),
            Value::String(one) => return vec![one.clone()],
            _ => {}
        }
    }
    Vec::new()
}

/// Who is in a room, as a sentence.
fn who(visit: &Visit, room: &str) -> Result<String, Failure> {
    let told = visit.server.json(Ask::get(target::with_query("/who", &[("room", Some(room))])))?;
    let names: Vec<_> = names(&told).iter().map(|name| plain(name).into_owned()).collect();
    let named = if names.is_empty() { "nobody with a name".to_owned() } else { names.join(", ") };
    Ok(match told["count"].as_u64() {
        Some(count) => format!("{count} here: {named}"),
        None => named,
    })
}
