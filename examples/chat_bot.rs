//! A room with a bot: whoever is at `/room` hears what the others say, and the bot answers `!count`. A plain POST is heard too.
//!
//! `cargo run --example chat_bot 127.0.0.1:8085`, connect a WebSocket to `ws://127.0.0.1:8085/room`, and
//! `curl -d 'hello' http://127.0.0.1:8085/say`.

use std::error::Error;

use hythe::{
    Call, CloseCode, Context, Fault, Handshake, Message, Method, Reply, Response, Said, Server, State, Status, Talk,
    Topic,
};

/// A text may have so many bytes.
const TEXT_MAX: usize = 4 << 10;

/// What the bot remembers.
pub struct Room {
    topic: Option<Topic>,
    said: u64,
}

impl State for Room {
    type Entry = ();
}

impl Room {
    /// Says a text to all, and has the bot answer.
    fn say(&mut self, text: &str, cx: &mut Context<'_>) {
        let Some(topic) = self.topic else { return };
        self.said += 1;
        cx.say_text(topic, text);
        if text.trim() == "!count" {
            cx.say_text(topic, &format!("bot: {} things were said", self.said));
        }
    }
}

struct Visitor;

impl Talk<Room> for Visitor {
    fn message_max(&self) -> u32 {
        TEXT_MAX as u32
    }

    fn on_open(&mut self, room: &mut Room, _: &mut Context<'_>) -> Said<Room> {
        let said = Said::nothing().text("bot: welcome");
        match room.topic {
            Some(topic) => said.listen(topic),
            None => said,
        }
    }

    fn on_message(&mut self, message: Message, room: &mut Room, cx: &mut Context<'_>) -> Said<Room> {
        match message {
            Message::Text(text) => room.say(&text, cx),
            Message::Binary(_) => return Said::nothing().close(CloseCode::UNSUPPORTED, "only text is spoken here"),
        }
        Said::nothing()
    }
}

fn enter(_: &mut Room, call: &Call<'_>, _: &mut Context<'_>) -> Result<Reply<Room>, Fault> {
    Ok(Reply::Talk(Handshake::of(call, &[])?, Box::new(Visitor)))
}

fn say(_: &mut Room, _: &Call<'_>, _: &mut Context<'_>) -> Reply<Room> {
    Reply::collect(TEXT_MAX, |room: &mut Room, body, cx| match String::from_utf8(body) {
        Ok(text) => {
            room.say(&text, cx);
            Response::new(Status::NO_CONTENT).into()
        }
        Err(_) => Fault::new(Status::BAD_REQUEST, "bad_text", "the text is not UTF-8").into(),
    })
}

/// The server, still without an address.
pub fn server() -> Result<Server<Room>, Box<dyn Error>> {
    let mut server = Server::new(Room { topic: None, said: 0 });
    let topic = server.topic();
    server.state().topic = Some(topic);
    server.add_route(&[Method::Get], "/room", enter)?;
    server.add_route(&[Method::Post], "/say", say)?;
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = server()?;
    server.listen(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8085".to_owned()))?;
    server.take_signals();
    server.run()?;
    Ok(())
}
