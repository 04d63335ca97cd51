//! An own way to sign in, in the place of the built-in one: `POST /login` wants the house word beside name and password, and whoever
//! shows a badge needs neither. Everything else, making an account, signing out, the chat, is built in, and knows who it is.
//!
//! `cargo run --example login 127.0.0.1:8087`, then
//! `curl -d '{"username":"ada","password":"correct horse"}' -H 'Content-Type: application/json' http://127.0.0.1:8087/register`,
//! `curl -d 'username=ada&password=correct horse&word=heron' http://127.0.0.1:8087/login`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use hythe::config::choices::Signup;
use hythe::{
    Action, Call, Config, Context, Entry, Fault, Lend, Method, Reply, Response, Server, Site, State, Status, Visit,
};

/// What must be known beside a password.
const WORD: &str = "heron";

/// Who has which badge.
const BADGES: &[(&str, &str)] = &[("b-1815", "ada")];

/// The house: its own things, and the built-in parts.
pub struct House {
    badges_shown: u64,
    site: Site,
}

impl State for House {
    type Entry = Entry;
}

impl Lend<Site> for House {
    fn lend(&mut self) -> &mut Site {
        &mut self.site
    }
}

fn login(house: &mut House, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Reply<House>, Fault> {
    let visit = house.site.visit(call, cx)?;
    Ok(Reply::collect(4 << 10, move |house: &mut House, body, cx| house.let_in(visit, &body, cx).into()))
}

impl House {
    fn let_in(&mut self, visit: Visit, form: &[u8], cx: &mut Context<'_>) -> Result<Reply<House>, Fault> {
        let mut fields: BTreeMap<_, _> = hythe::read_form(form, 8)?.into_iter().collect();
        let mut need = |name: &str| {
            fields.remove(name).ok_or_else(|| Fault::new(Status::BAD_REQUEST, "missing", format!("{name} is missing")))
        };
        if let Ok(badge) = need("badge") {
            let holder = BADGES.iter().find(|(known, _)| *known == badge).map_or("", |(_, holder)| holder);
            let reply = self.site.let_in(visit, holder, cx)?;
            self.badges_shown += 1;
            return Ok(reply.lent());
        }
        if need("word")? != WORD {
            return Err(Fault::new(Status::FORBIDDEN, "wrong_word", "that is not the house word"));
        }
        Ok(self.site.sign_in(visit, &need("username")?, need("password")?, cx)?.lent())
    }
}

fn page(house: &mut House, call: &Call<'_>, cx: &mut Context<'_>) -> Result<Response, Fault> {
    let who = house.site.admit(call, Action::Open, cx)?;
    let greeting = who.user().map_or_else(|| "who are you?".to_owned(), |user| format!("hello, {}", user.name));
    Ok(Response::text(format!("{greeting} {} came by badge", house.badges_shown)))
}

/// The server, still without an address; what it keeps lies in `data`.
pub fn server(data: &Path) -> Result<Server<House>, Box<dyn Error>> {
    let mut config = Config::default();
    // Beside the address it listens at, what it may be called.
    config.allow_hosts.push("login.example".to_owned());
    config.signup = Some(Signup::Open);
    let mut server = Server::new(House { badges_shown: 0, site: Site::new(config) });
    server.mount_accounts("/", data)?;
    server.mount_chat("/", data)?;
    server.add_route(&[Method::Post], "/login", login)?;
    server.add_route(&[Method::Get], "/login", page)?;
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = server(&std::env::temp_dir().join("hythe-login"))?;
    server.listen(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8087".to_owned()))?;
    server.take_signals();
    server.run()?;
    Ok(())
}
