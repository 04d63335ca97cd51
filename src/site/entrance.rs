//! The pages, for browsers with script and without: the files, the chat, signing in, making an account, a new password, one's
//! own account, everybody's. They are compiled in, and what they show is filled in here.
//!
//! What is shown only once, a recovery code for one, travels from the form's answer to the page in a cookie that lives for two
//! minutes and for that page alone; so it stands in no address, no log and no table.

use std::fmt::Write;

use crate::clock::Wall;
#[cfg(feature = "ui")]
use crate::config::choices::Signup;
use crate::http::fault::Fault;
#[cfg(feature = "ui")]
use crate::http::form;
use crate::http::response::Response;
#[cfg(feature = "ui")]
use crate::http::status::Status;
#[cfg(feature = "ui")]
use crate::server::context::{Call, Context};
use crate::server::problem::{self, escape};
#[cfg(feature = "ui")]
use crate::site::built;
#[cfg(feature = "ui")]
use crate::site::cookie::{Found, find_named};
use crate::site::frame::{self, Here, Sheet};
use crate::site::gate::Principal;
#[cfg(feature = "ui")]
use crate::site::gate::rights_of;
#[cfg(feature = "accounts")]
use crate::site::people::value;
use crate::site::rows;
use crate::site::state::Site;
#[cfg(feature = "ui")]
use crate::site::table::size;
use crate::site::table::table;
use crate::store::scopes::Scopes;

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The shared files, and one's own.
    Files,
    /// The chat.
    Chat,
    /// Signing in.
    Login,
    /// Making an account.
    Register,
    /// A new password for a forgotten one.
    Reset,
    /// One's own account.
    Account,
    /// Everybody's accounts.
    Admin,
}

impl Page {
    /// All of them.
    pub const ALL: [Page; 7] =
        [Page::Files, Page::Chat, Page::Login, Page::Register, Page::Reset, Page::Account, Page::Admin];

    /// Where it is.
    pub const fn path(self) -> &'static str {
        match self {
            Page::Files => "/files-ui",
            Page::Chat => "/chat",
            Page::Login => "/login",
            Page::Register => "/register",
            Page::Reset => "/reset-password",
            Page::Account => "/account",
            Page::Admin => "/admin",
        }
    }

    /// What stands in it; `None` for the one that is a whole page by itself.
    #[cfg(feature = "ui")]
    const fn content(self) -> Option<&'static str> {
        Some(match self {
            Page::Files => return None,
            Page::Chat => include_str!("../../www/_hythe/chat.html"),
            Page::Login => include_str!("../../www/_hythe/login.html"),
            Page::Register => include_str!("../../www/_hythe/register.html"),
            Page::Reset => include_str!("../../www/_hythe/reset-password.html"),
            Page::Account => include_str!("../../www/_hythe/account.html"),
            Page::Admin => include_str!("../../www/_hythe/admin.html"),
        })
    }

    /// Without pages nobody is shown one.
    #[cfg(not(feature = "ui"))]
    const fn content(self) -> Option<&'static str> {
        None
    }

    const fn title(self) -> &'static str {
        match self {
            Page::Files => "Files",
            Page::Chat => "Chat",
            Page::Login => "Sign in",
            Page::Register => "Make an account",
            Page::Reset => "A new password",
            Page::Account => "Account",
            Page::Admin => "Users",
        }
    }

    const fn here(self) -> Here {
        match self {
            Page::Files => Here::Files,
            Page::Chat => Here::Chat,
            _ => Here::Account,
        }
    }

    const fn script(self) -> &'static str {
        match self {
            Page::Files => "files.js",
            Page::Chat => "chat.js",
            _ => "common.js",
        }
    }

    /// Whether it is for this one.
    fn is_of(self, who: &Principal) -> bool {
        match self {
            Page::Account => who.user().is_some(),
            Page::Admin => who.is_chief(),
            _ => true,
        }
    }

    /// Whether it says something of whoever asks, so that nobody may keep it.
    #[cfg(feature = "ui")]
    const fn is_personal(self) -> bool {
        matches!(self, Page::Account | Page::Admin)
    }
}

/// The field for a name, of whichever form.
const USERNAME: &str = "<p><label>Username <input name=\"username\" autocomplete=\"username\" required maxlength=\"32\" \
    autocapitalize=\"none\" spellcheck=\"false\"></label></p>";

/// What makes a field one for a new password.
const NEW_PASSWORD: &str = "type=\"password\" autocomplete=\"new-password\" required minlength=\"8\" maxlength=\"256\"";

const NOTE: &str = "hythe-note";
const NOTE_SECONDS: u32 = 120;

/// `GET /_hythe/<part>`: style, scripts and pictures.
#[cfg(feature = "ui")]
pub fn part(_: &mut Site, call: &Call<'_>, _: &mut Context<'_>) -> Result<Response, Fault> {
    let name = call.parameter("part").filter(|_| !call.is_folder).unwrap_or_default();
    built::part(name, call).ok_or_else(Fault::not_found)?.answer(call.method, &call.headers)
}

/// `GET /_hythe/mine`: leads to the files of whoever asks.
#[cfg(feature = "ui")]
pub fn mine(site: &mut Site, _: &Call<'_>, who: Principal, _: &mut Context<'_>) -> Result<Response, Fault> {
    let name = &who.user().ok_or_else(Fault::not_found)?.name;
    let list = site.address(&format!("/file-list?prefix=~{name}"));
    Ok(Response::redirect(Status::SEE_OTHER, &list).header("Cache-Control", "no-store"))
}

/// `GET` of any of the pages.
#[cfg(feature = "ui")]
pub fn show(
    page: Page,
    site: &mut Site,
    call: &Call<'_>,
    who: &Principal,
    cx: &Context<'_>,
) -> Result<Response, Fault> {
    let next = form::query(call.query.unwrap_or_default()).find(|(name, _)| name == "next");
    let next = next.and_then(|(_, next)| own_address(site, &next).map(str::to_owned));
    let note = match find_named(&call.headers, NOTE) {
        Found::One(note) => read_note(note),
        Found::None | Found::Several => None,
    };
    let is_closed = rights_of(site, call.request).signup == Signup::Closed;
    let (next, shown) = (next.unwrap_or_default(), note.clone().unwrap_or_default());
    let numbers = if page == Page::Admin { numbers(site, cx) } else { String::new() };
    let parts = Parts { next, note: shown, is_closed, numbers, ..Parts::default() };
    let text = fill(page, site, who, cx.wall, &parts);
    if note.is_none() && !page.is_personal() {
        return built::page(call, text);
    }
    let answer = Response::html(Status::OK, text).header("Cache-Control", "no-store");
    Ok(match note {
        Some(_) => answer.header("Set-Cookie", &note_cookie(site, cx.is_secure, page, "", 0)),
        None => answer,
    })
}

/// What is shown again of a form that was refused. A password is typed anew.
pub const KEPT: [&str; 5] = ["username", "invite", "code", "label", "next"];

/// Who filled in a form, on which page, and when.
pub struct Asker {
    /// Where they did.
    pub page: Page,
    /// Who it is.
    pub who: Principal,
    /// When they did.
    pub now: Wall,
    /// What they typed into the fields of [`KEPT`].
    pub typed: Vec<(&'static str, String)>,
}

/// The page of a form that was refused, with the sentence, and with what was typed.
pub fn refused(site: &Site, asker: &Asker, fault: &Fault) -> Response {
    let sentence = format!("    <p class=\"error\" role=\"alert\">{}</p>\n", frame::sentence(&fault.detail));
    let mut parts = Parts { sentence, ..Parts::default() };
    if let Some((_, next)) = asker.typed.iter().find(|(name, _)| *name == "next") {
        parts.next = own_address(site, next).unwrap_or_default().to_owned();
    }
    let mut text = fill(asker.page, site, &asker.who, asker.now, &parts);
    for (name, value) in &asker.typed {
        // Nobody can have written this with their name or sentence: there a quotation mark is written otherwise.
        let field = format!("<input name=\"{name}\"");
        text = text.replacen(&field, &format!("{field} value=\"{}\"", escape(value)), 1);
    }
    problem::answer_with(fault, Some(text.into()))
}

/// What is filled into a page, as HTML.
#[derive(Default)]
struct Parts {
    sentence: String,
    note: String,
    next: String,
    numbers: String,
    /// Whether nobody may make an account.
    is_closed: bool,
}

/// Fills a page in.
fn fill(page: Page, site: &Site, who: &Principal, now: Wall, parts: &Parts) -> String {
    let prefix = &site.config.path_prefix;
    let Some(mut rest) = page.content() else { return frame::below(prefix, frame::FILES) };
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        text.push_str(&frame::below(prefix, before));
        rest = after;
        match name {
            // It is somebody else's, not the one that the browser has kept.
            "username" if page == Page::Admin => text.push_str(&USERNAME.replace("=\"username\" r", "=\"off\" r")),
            "username" => text.push_str(USERNAME),
            "new" => text.push_str(NEW_PASSWORD),
            "sentence" => text.push_str(&parts.sentence),
            "note" => text.push_str(&parts.note),
            "next" => text.push_str(&escape(&parts.next)),
            "only" if page == Page::Register && parts.is_closed => {
                text.push_str("    <p>No accounts are made here; ask who runs this server for one.</p>\n");
                rest = "  </section>\n";
            }
            // What follows is for those who may use it.
            "only" if !page.is_of(who) => {
                text.push_str(&sign_in(prefix, page));
                rest = "  </section>\n";
            }
            "scopes" => text.push_str(&scopes()),
            "who" => text.push_str(&who_text(prefix, who)),
            // For who keeps the browser's passwords.
            "name" => {
                let name = who.user().map_or("", |user| &user.name);
                let _ = write!(text, "<input hidden name=\"username\" autocomplete=\"username\" value=\"{name}\">");
            }
            "users" => text.push_str(&users(site)),
            "numbers" => text.push_str(&parts.numbers),
            "sessions" => text.push_str(&sessions(site, who, now)),
            "tokens" => text.push_str(&tokens(site, who)),
            _ => {}
        }
    }
    text.push_str(&frame::below(prefix, rest));
    let sheet = Sheet { title: page.title(), here: page.here(), script: page.script(), content: &text };
    frame::frame(prefix, &sheet)
}

/// Where whoever may not use a page is sent.
fn sign_in(prefix: &str, page: Page) -> String {
    let (prefix, path) = (escape(prefix), page.path());
    let sentence = if page == Page::Admin { "This is for admins." } else { "You are not signed in." };
    format!(
        "    <p>{sentence} <a href=\"{prefix}/login?next={prefix}{path}\">Sign in</a> · \
         <a href=\"{prefix}/register\">Make an account</a></p>\n"
    )
}

fn who_text(prefix: &str, who: &Principal) -> String {
    let Some(user) = who.user() else { return String::new() };
    let admin = format!(" As an admin you look after <a href=\"{}/admin\">all users</a>.", escape(prefix));
    let admin = if user.is_admin { &admin } else { "" };
    format!("Signed in as <strong>{}</strong>.{admin}", escape(&user.name))
}

fn sessions(site: &Site, who: &Principal, now: Wall) -> String {
    let (Some(accounts), Some(user)) = (&site.accounts, who.user()) else { return String::new() };
    let own = accounts.users.sessions_of(user.id, now);
    table(
        &site.config.path_prefix,
        "sessions",
        &rows::SESSIONS,
        &own.map(|session| rows::session(session, user.via)).collect::<Vec<_>>(),
    )
}

/// What a token may be good for, to be chosen from.
fn scopes() -> String {
    let words = ["read files", "change files", "read the chat", "write in the chat"];
    let choice = |((name, _), words): (&(&str, _), &str)| {
        let checked = if *name == "files:read" { " checked" } else { "" };
        format!("<label><input type=\"checkbox\" name=\"scopes\" value=\"{name}\"{checked}> {words}</label> ")
    };
    Scopes::NAMES.iter().zip(words).map(choice).collect()
}

fn tokens(site: &Site, who: &Principal) -> String {
    let (Some(accounts), Some(user)) = (&site.accounts, who.user()) else { return String::new() };
    table(
        &site.config.path_prefix,
        "tokens",
        &rows::TOKENS,
        &accounts.users.tokens_of(user.id).map(rows::token).collect::<Vec<_>>(),
    )
}

/// The server's numbers that say something to a person; `/metrics` has all.
#[cfg(feature = "ui")]
fn numbers(site: &Site, cx: &Context<'_>) -> String {
    let (counts, tallies) = (cx.counts, site.tallies);
    let hours = site.started.map_or(0, |started| cx.now.since(started) / 360_000);
    let mut text = String::from("    <dl>\n");
    for (name, value) in [
        ("Up for", format!("{}.{} hours", hours / 10, hours % 10)),
        ("Connections now", counts.connections.to_string()),
        ("Listening to the chat", cx.listeners().to_string()),
        ("Files stored", format!("{}, {}", tallies.uploads, size(tallies.uploaded_bytes))),
        ("Messages", tallies.messages.to_string()),
        ("Told to come back later", tallies.throttled.to_string()),
        ("Received and sent", format!("{}, {}", size(counts.bytes_in), size(counts.bytes_out))),
    ] {
        // What is written into memory is never refused.
        let _ = writeln!(text, "      <div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    text.push_str("    </dl>\n");
    text
}

fn users(site: &Site) -> String {
    #[cfg(feature = "accounts")]
    if let Some(accounts) = &site.accounts {
        let rows: Vec<_> = accounts.users.accounts().map(value).collect();
        return table(&site.config.path_prefix, "users", &rows::USERS, &rows);
    }
    let _ = site;
    String::new()
}

/// An address of this house that somebody wants to be sent to, be it of this site or of the program that has it mounted. What a
/// browser could take for another site is none: two slashes, a backslash, a control byte.
pub fn own_address<'a>(site: &Site, next: &'a str) -> Option<&'a str> {
    let inside = next.strip_prefix(site.house_prefix())?;
    let is_own = inside.starts_with('/')
        && !inside.starts_with("//")
        && !inside.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\');
    is_own.then_some(next)
}

/// The cookie that carries something to the page where it is shown once.
pub fn set_note(site: &Site, is_secure: bool, page: Page, kind: &str, text: &str) -> String {
    note_cookie(site, is_secure, page, &format!("{kind}.{text}"), NOTE_SECONDS)
}

fn note_cookie(site: &Site, is_secure: bool, page: Page, value: &str, seconds: u32) -> String {
    let path = site.address(page.path());
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{NOTE}={value}; Max-Age={seconds}; Path={path}; HttpOnly; SameSite=Strict{secure}")
}

/// What such a cookie says, as HTML; `None` if it is not one of ours.
#[cfg(feature = "ui")]
fn read_note(value: &[u8]) -> Option<String> {
    let (kind, text) = std::str::from_utf8(value).ok()?.split_once('.')?;
    let what = match kind {
        "done" if text.is_empty() => return Some("    <p class=\"once\" role=\"status\">Done.</p>\n".into()),
        "recovery" => {
            "The recovery code. Write it down: it is shown only now, and sets a new password for a forgotten one"
        }
        "token" => "The token. It is shown only now",
        "code" => "A code that sets a new password, once and within 15 minutes",
        "invite" => "An invite that makes one account, within a week",
        _ => return None,
    };
    let is_ours = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_ours.then(|| format!("    <p class=\"once\" role=\"status\">{what}:<br><code>{text}</code></p>\n"))
}

#[cfg(all(test, feature = "ui"))]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::http::response::Body;
    use crate::site::state::Www;

    fn site(prefix: &str) -> Site {
        let config = Config { path_prefix: prefix.into(), ..Config::default() };
        Site::with_pages(config, Www::new(None), None)
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for (prefix, next, expected) in [
            ("", "/file-list?q=a%20b", Some("/file-list?q=a%20b")),
            ("", "/", Some("/")),
            ("", "", None),
            ("", "//evil.example/", None),
            ("", "/\\evil.example", None),
            ("", "https://evil.example/", None),
            ("", "/a\r\nSet-Cookie: x=1", None),
            ("", "/\t/evil.example", None),
            ("", "/é", None),
            ("/p", "/p/x", Some("/p/x")),
            ("/p", "/p//evil.example", None),
            ("/p", "/q", None),
        ] {
            assert_eq!(own_address(&site(prefix), next), expected, "{prefix} {next:?}");
        }
        let mut mounted = site("/p/team");
        mounted.place = "/team".into();
        for (next, expected) in
            [("/p/team/x", Some("/p/team/x")), ("/p/own", Some("/p/own")), ("/p//evil.example", None), ("/q", None)]
        {
            assert_eq!(own_address(&mounted, next), expected, "{next:?}");
        }
    }

    #[test]
    fn a_page_holds_no_markup_but_its_own() {
        let sent = Fault::new(Status::BAD_REQUEST, "x", "<script>");
        for page in Page::ALL.into_iter().filter(|page| page.content().is_some()) {
            let asker = Asker { page, who: Principal::Guest, now: Wall::default(), typed: Vec::new() };
            let Body::Bytes(text) = refused(&site("/p"), &asker, &sent).body else { panic!("a page is bytes") };
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert_eq!(text.matches("<script").count(), 1, "{text}");
            assert!(page == Page::Chat || text.contains("&lt;script&gt;"), "{text}");
            assert!(!text.contains("{{") && !text.contains("\"./") && !text.contains("=\"/login"), "{text}");
        }
    }

    #[test]
    fn only_what_we_have_written_is_shown_from_a_note() {
        assert!(read_note(b"recovery.ABCD-EFGH").unwrap().contains("<code>ABCD-EFGH</code>"));
        for other in [&b"other.ABCD"[..], b"recovery", b"recovery.<b>", b"recovery.\xff", b""] {
            assert_eq!(read_note(other), None);
        }
    }
}
