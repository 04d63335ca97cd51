//! Who one is: register, sign in and out, change or reset a password. No secret ever stands on a command line.

use serde_json::{Value, json};

use crate::cli::client::ask::secret_of;
use crate::cli::client::failure::{Ending, Failure};
use crate::cli::client::server::{Ask, Credential};
use crate::cli::client::state::Session;
use crate::cli::client::visit::Visit;
use crate::cli::client::voice::{plain, text};
use crate::cli::client::words::{Passwd, Register, Reset, Who};

const NAME_MISSING: &str = "a name is needed: hythe login NAME";

/// Makes an account, shows its recovery code, and signs in.
///
/// # Errors
/// What the server has against it.
pub fn register(visit: &mut Visit, order: &Register) -> Result<(), Failure> {
    let name = visit.asker.line(order.name.as_deref(), "Name", "a name is needed: hythe register NAME")?;
    let password = match &visit.asker.password_file {
        Some(file) => secret_of(file)?,
        None => {
            let missing = "a password is needed; name a file that holds it by HYTHE_PASSWORD_FILE";
            if !visit.asker.is_terminal {
                return Err(Failure::usage(missing));
            }
            visit.asker.new_password(None)?
        }
    };
    let mut wish = json!({"username": name, "password": password});
    if let Some(file) = &order.invite_file {
        wish["invite"] = secret_of(file)?.into();
    }
    let mut made = visit.server.json(Ask::post("/register", &wish));
    if matches!(&made, Err(failure) if failure.code.as_deref() == Some("signup_closed"))
        && order.invite_file.is_none()
        && visit.asker.is_terminal
    {
        let invite = visit.asker.read("An invitation is needed (empty gives up)")?;
        if !invite.is_empty() {
            wish["invite"] = invite.into();
            made = visit.server.json(Ask::post("/register", &wish));
        }
    }
    let made = made?;
    let code = text(&made, "recovery_code");
    visit.voice.result(&made, || {
        format!("{} is registered.\nRecovery code, shown only once: {}", plain(&name), plain(code))
    })?;
    sign_in(visit, &name, &password).map(drop)
}

/// Signs in.
///
/// # Errors
/// What the server has against it.
pub fn login(visit: &mut Visit, order: &Who) -> Result<(), Failure> {
    let name = visit.asker.line(order.name.as_deref(), "Name", NAME_MISSING)?;
    let password = visit.asker.password("Password")?;
    let answer = sign_in(visit, &name, &password)?;
    let user = text(&answer, "user").to_owned();
    let told = json!({"user": user, "expires": answer["expires"]});
    visit.voice.result(&told, || format!("signed in as {}", plain(&user)))
}

fn sign_in(visit: &mut Visit, name: &str, password: &str) -> Result<Value, Failure> {
    if visit.server.token().is_some() && !visit.server.has_session() {
        visit.voice.remark("HYTHE_TOKEN is set, and goes before a session");
    }
    visit.server.speak_for(None);
    let wish = json!({"username": name, "password": password, "token": true});
    let mut answer = visit.server.json(Ask::post("/login", &wish))?;
    let token = text(&answer, "token").to_owned();
    if token.is_empty() {
        return Err(Failure::new(Ending::ServerError, "the server gave no session; is the URL right?"));
    }
    let session = Session { user: text(&answer, "user").to_owned(), token };
    visit.state.keep_session(&visit.server.base.url(), Some(&session))?;
    visit.server.speak_for(Some(Credential::Session(session.token)));
    if let Some(members) = answer.as_object_mut() {
        members.remove("token");
    }
    Ok(answer)
}

/// Signs out: here whatever happens, and at the server.
///
/// # Errors
/// If nobody was signed in, or the server could not be told.
pub fn logout(visit: &mut Visit) -> Result<(), Failure> {
    let url = visit.server.base.url();
    let Some(session) = visit.state.session(&url) else {
        return Err(Failure::new(Ending::NotAllowed, "nobody is signed in"));
    };
    visit.state.keep_session(&url, None)?;
    visit.server.speak_for(Some(Credential::Session(session.token)));
    let told = visit.server.json(Ask::post("/logout", &json!({})));
    visit.server.speak_for(None);
    match told {
        // A session that had ended by itself is as good as ended.
        Ok(_) => {}
        Err(failure) if failure.ending == Ending::NotAllowed => {}
        Err(failure) => return Err(failure.about("signed out here, but the server could not be told")),
    }
    visit.voice.result(&json!({"status": "success"}), || format!("{} is signed out", plain(&session.user)))
}

/// Tells who is signed in.
///
/// # Errors
/// If nobody is.
pub fn whoami(visit: &Visit) -> Result<(), Failure> {
    let me = visit.server.json(Ask::get("/me")).map_err(|failure| match failure.ending {
        Ending::NotAllowed if visit.server.token().is_none() => {
            Failure { sentence: "nobody is signed in; hythe login does".to_owned(), ..failure }
        }
        _ => failure,
    })?;
    visit.voice.result(&me, || plain(text(&me, "user")).into_owned())
}

/// Changes the password.
///
/// # Errors
/// What the server has against it.
pub fn change_password(visit: &Visit, order: &Passwd) -> Result<(), Failure> {
    if visit.server.token().is_none() {
        return Err(Failure::new(Ending::NotAllowed, "nobody is signed in; hythe login does"));
    }
    let old = visit.asker.password("Password now")?;
    let new = visit.asker.new_password(order.new_password_file.as_deref())?;
    let told = visit.server.json(Ask::post("/password", &json!({"old": old, "new": new})))?;
    visit.voice.result(&told, || "the password is changed; all other sessions have ended".to_owned())
}

/// Sets a new password with a recovery code.
///
/// # Errors
/// What the server has against it.
pub fn reset(visit: &mut Visit, order: &Reset) -> Result<(), Failure> {
    let name = visit.asker.line(order.name.as_deref(), "Name", "a name is needed: hythe reset NAME")?;
    let code = match &order.code_file {
        Some(file) => secret_of(file)?,
        None => visit.asker.secret("Code", "a code is needed; name a file that holds it by --code-file")?,
    };
    // Outside a terminal the password of HYTHE_PASSWORD_FILE is the one that is to hold from now on.
    let file = order.new_password_file.as_deref().or(visit.asker.password_file.as_deref());
    let new = visit.asker.new_password(file)?;
    visit.server.speak_for(None);
    let wish = json!({"username": name, "code": code.trim(), "new": new});
    let told = visit.server.json(Ask::post("/reset-password", &wish))?;
    visit.state.keep_session(&visit.server.base.url(), None)?;
    visit.voice.result(&told, || {
        let code = plain(text(&told, "recovery_code"));
        format!("the password is set, and every session has ended.\nRecovery code, shown only once: {code}")
    })
}
