//! `hythe cert`: the words with which a certificate for a home network is asked for, and those that say what to do with it. What
//! makes it is on the roof.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches, ValueHint};

/// What kind of certificate is asked for.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Names and addresses that it is for [default: this machine's name, with .local too, localhost and the loopback addresses]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The folder for cert.pem and key.pem; made where missing
    #[arg(long, value_name = "DIR", default_value = "tls", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// How many days it holds; some devices and scanners take none that holds for longer than a year
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// Replace what lies there
    #[arg(short, long)]
    pub force: bool,
}

/// The command as clap knows it.
pub fn command() -> Command {
    Order::augment_args(Command::new("cert"))
        .about("Make a certificate and its key for a home network, and say what to do with them")
}

/// What was asked for.
///
/// # Errors
/// What clap says.
pub fn order(matches: &ArgMatches) -> Result<Order, clap::Error> {
    Order::from_arg_matches(matches)
}

/// The names that are meant when none is given.
pub fn usual_names(machine: Option<&str>) -> Vec<String> {
    let machine = machine.map(str::to_ascii_lowercase).filter(|name| !name.is_empty() && name != "localhost");
    let bare = machine.iter().filter(|name| !name.contains('.')).map(|name| format!("{name}.local"));
    let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    machine.clone().into_iter().chain(bare).chain(loopback).collect()
}

/// What to do with a pair that was made.
pub fn advice(order: &Order, names: &[String], certificate: &Path, key: &Path, fingerprint: &str) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    let name = names.first().map_or("localhost", String::as_str);
    // A number of IPv6 stands in brackets where a port follows.
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    format!(
        "{certificate} is for {names}, and holds for {days} days.\n\
         {key} is its key: nobody else may read it.\n\
         SHA-256 {fingerprint}\n\n\
         Serve with it:\n\n    \
         hythe --listen 0.0.0.0:8443 --tls-cert {certificate} --tls-key {key} --allow-host {host}\n\n\
         Nobody vouches for it, so each device has to be told once. Give it {certificate}, never the key:\n\n    \
         curl --cacert {certificate} https://{host}:8443/healthz\n    \
         browsers: open https://{host}:8443/, hold the SHA-256 in the warning against the one above, and go on; or import\n    \
         the file under \"certificates\" in the settings\n    \
         Debian: copy it to /usr/local/share/ca-certificates/hythe.crt, then update-ca-certificates\n\n\
         When it is about to end, hythe says so in its log: make another with --force; it is taken without a restart.\n",
        names = names.join(", "),
        days = order.days,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_name_and_by_that_of_its_network() {
        for (machine, names) in [
            (Some("Ferry"), &["ferry", "ferry.local", "localhost", "127.0.0.1", "::1"][..]),
            (Some("ferry.example.org"), &["ferry.example.org", "localhost", "127.0.0.1", "::1"]),
            (Some("localhost"), &["localhost", "127.0.0.1", "::1"]),
            (None, &["localhost", "127.0.0.1", "::1"]),
        ] {
            assert_eq!(usual_names(machine), names, "{machine:?}");
        }
    }
}
