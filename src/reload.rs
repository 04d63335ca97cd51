//! The configuration, read anew while we serve: token, hosts and limits are taken over, what else has changed is told and waits
//! for a restart, and what cannot be right changes nothing. (The logs and certificates are the world's own affair.)

use std::sync::Arc;

use crate::cli::{options, summary};
use crate::config::Config;
use crate::config::limits::Limits;
use crate::measures::{Bound, fit_to_descriptors, marks, rules};
use crate::reactor::slot::Marks;
use crate::server::house::{Change, House, Reload};
use crate::site::rate::Buckets;
use crate::site::state::Site;

/// Reads the configuration in the way of the start; an error is a sentence.
pub type Reread = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What a reload does. `as_started` is the configuration as it was read at the start.
pub fn reload(reread: Reread, as_started: Config, bound: Bound) -> Reload<Site> {
    Arc::new(move || -> Change<Site> {
        let fresh = reread().and_then(|mut fresh| {
            let waiting = waiting(&as_started, &fresh);
            fit_to_descriptors(&mut fresh.limits);
            // That the hosts can be read is seen here, where it still changes nothing.
            rules(&fresh, &bound).map_err(|error| error.to_string())?;
            Ok((fresh, waiting))
        });
        let bound = bound.clone();
        Box::new(move |house| match fresh.and_then(|(fresh, waiting)| Ok((take(house, &fresh, &bound)?, waiting))) {
            Ok((marks, waiting)) => {
                log::info!("the configuration is reloaded: token, hosts and limits");
                if !waiting.is_empty() {
                    log::warn!("changed, but in force only after a restart: {}", waiting.join(", "));
                }
                Some(marks)
            }
            Err(error) => {
                log::error!("the configuration is not reloaded, what was in force stays: {error}");
                None
            }
        })
    })
}

/// What of `fresh` can be taken over by one who goes by `old`.
fn taken_over(old: &Config, fresh: &Config) -> Config {
    let start = &old.limits;
    Config {
        tokens: fresh.tokens.clone(),
        token_file: fresh.token_file.clone(),
        allow_hosts: fresh.allow_hosts.clone(),
        limits: Limits {
            // These are laid down when the listeners are opened, the ledger begins, and the first address is counted.
            backlog: start.backlog,
            chat_sync: start.chat_sync,
            history_messages: start.history_messages,
            history_days: start.history_days,
            max_per_ip: start.max_per_ip,
            ..fresh.limits
        },
        ..old.clone()
    }
}

/// The keys that have changed and wait for a restart.
fn waiting(as_started: &Config, fresh: &Config) -> Vec<&'static str> {
    let taken = taken_over(as_started, fresh);
    options::keys().filter(|key| key.show(&taken) != key.show(fresh)).map(|key| key.name).collect()
}

/// Puts what may change while serving in force.
fn take(house: &mut House<Site>, fresh: &Config, bound: &Bound) -> Result<Marks, String> {
    let site = &mut house.state;
    let config = taken_over(&site.config, fresh);
    house.rules = rules(&config, bound).map_err(|error| error.to_string())?;
    let (old, new) = (&site.config.limits, &config.limits);
    // Who has used up an unchanged rate is not given a full one.
    if old.request_rate != new.request_rate {
        site.request_rate = Buckets::new(new.request_rate);
    }
    if old.login_rate != new.login_rate {
        site.login_rate = Buckets::new(new.login_rate);
    }
    if let Some(chat) = site.chat.as_mut().filter(|_| old.send_rate != new.send_rate) {
        chat.send_rate = Buckets::new(new.send_rate);
    }
    let before = (site.rights, site.network_rights);
    (site.rights, site.network_rights) = (config.rights(), config.network_rights());
    if before != (site.rights, site.network_rights) {
        for line in summary::summary(&config, &bound.listeners, &bound.detours).lines() {
            log::info!("{line}");
        }
    }
    let marks = marks(&config);
    site.config = config;
    Ok(marks)
}
