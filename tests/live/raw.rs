//! The list of tables, and the houses they are played in.

use crate::case::{Case, refuse_twins};
use crate::house::House;
use crate::play::run;
use crate::tables::*;

/// How many rows there must be at the very least, and how many of them need no house but the usual.
const ROWS_MIN: usize = 320;

type Table = (&'static str, fn() -> Vec<Case>);

/// Played against a server as it comes.
const USUAL: [Table; 18] = [
    ("request lines", request_lines::cases),
    ("methods", methods::cases),
    ("fields", fields::cases),
    ("hosts", hosts::cases),
    ("lengths and codings", lengths::cases),
    ("chunks", chunks::cases),
    ("bodies", bodies::cases),
    ("expectations", expectations::cases),
    ("persistence", persistence::cases),
    ("pipelines", pipelines::cases),
    ("conditions", conditions::cases),
    ("ranges", ranges::cases),
    ("paths", paths::cases),
    ("content", content::cases),
    ("problems", problems::cases),
    ("crossing", crossing::cases),
    ("rights", rights::cases),
    ("smuggling", smuggling::cases),
];

/// Plays one of the usual tables.
fn play(name: &str) {
    let (name, table) = USUAL.iter().find(|(known, _)| *known == name).expect("a table of this name");
    run(name, &House::usual(), &table());
}

macro_rules! tables {
    ($($test:ident = $name:literal,)*) => {
        $(#[test] fn $test() { play($name); })*

        #[test]
        fn every_table_is_played() {
            let played = [$($name),*];
            assert!(USUAL.iter().all(|(name, _)| played.contains(name)), "{played:?}");
        }
    };
}

tables! {
    request_lines_are_read_to_the_letter = "request lines",
    methods_are_known_or_not_implemented = "methods",
    fields_are_read_to_the_letter = "fields",
    hosts_are_on_the_list_or_refused = "hosts",
    lengths_and_codings_say_one_thing_only = "lengths and codings",
    chunks_are_read_to_the_letter = "chunks",
    bodies_become_messages_and_files = "bodies",
    expectations_are_met_or_refused = "expectations",
    connections_last_as_long_as_was_said = "persistence",
    pipelined_requests_are_answered_in_order = "pipelines",
    conditions_are_weighed_in_order = "conditions",
    ranges_are_sent_to_the_byte = "ranges",
    paths_lead_to_files_and_never_out = "paths",
    content_is_what_it_says = "content",
    problems_are_told_to_programs_and_people = "problems",
    foreign_pages_change_nothing = "crossing",
    strangers_do_what_strangers_may = "rights",
    hidden_requests_are_never_answered = "smuggling",
}

const BY_NAME: [&str; 4] = ["--allow-host", "example.test", "--allow-host", "other.test:8443"];
const OPEN: [&str; 2] = ["--chat-write", "anyone"];

#[test]
fn hosts_allowed_by_name_pass() {
    let house = House::open(&[&BY_NAME[..], &OPEN].concat());
    run("hosts allowed by name", &house, &hosts::allowed_by_name());
    run("pages of hosts allowed by name", &house, &crossing::of_allowed_hosts());
}

#[test]
fn a_star_lets_every_host_pass_and_no_page() {
    let house = House::open(&[&["--allow-host", "*"][..], &OPEN].concat());
    run("every host allowed", &house, &hosts::allowed_all());
    run("pages where every host is allowed", &house, &crossing::of_all_hosts());
}

#[test]
fn beyond_loopback_any_address_passes_and_no_other_name() {
    let house = House::open(&["--listen", "0.0.0.0:0"]);
    run("hosts beyond loopback", &house, &hosts::beyond_loopback());
}

#[test]
fn a_named_origin_may_read_and_post() {
    let house = House::open(&[&["--cors-origin", "http://app.test"][..], &OPEN].concat());
    run("a named origin", &house, &crossing::of_named_origin());
}

#[test]
fn below_a_prefix_everything_is_where_it_was() {
    let house = House::open(&["--path-prefix", "/deep/site"]);
    run("a prefix", &house, &paths::below_a_prefix());
}

#[test]
fn folders_are_listed_where_that_is_wanted() {
    let house = House::open(&["--list"]);
    run("listed folders", &house, &content::of_listed_folders());
}

#[test]
fn the_operator_is_known_by_the_token() {
    let house = House::open(&["--token", "a-token-of-some-length"]);
    run("the operator", &house, &rights::with_a_token());
}

#[test]
fn rows_are_many_and_distinct() {
    let tables: Vec<_> = USUAL.iter().map(|(name, table)| (*name, table())).collect();
    let rows: usize = tables.iter().map(|(_, cases)| cases.len()).sum();
    assert!(rows >= ROWS_MIN, "only {rows} rows");
    refuse_twins(&tables);
}
