//! The client at a terminal: prompts, progress, the menu and the chat, through a pseudo-terminal.

use crate::place::{House, noise, wait_until};
use crate::seat::Seat;

#[test]
fn progress_is_for_a_terminal_and_quiet_has_none() {
    let house = House::open("progress");
    let ada = house.person("ada");
    ada.file("f", noise(30 << 20));
    assert_eq!(ada.run("put f").well(), "f  30.0 MiB\n");
    let seen = Seat::new(&ada, &["get", "f", "g"]).ends(0);
    assert!(seen.contains("30.00 MiB") && seen.contains("left") && seen.contains('%'), "{seen:?}");
    let seen = Seat::new(&ada, &["get", "-q", "f", "h"]).ends(0);
    assert!(!seen.contains('%') && seen.contains("h  30.0 MiB"), "{seen:?}");
}

#[test]
fn colours_are_for_a_terminal_that_wants_them() {
    let house = House::open("colours");
    let ada = house.person("ada");
    ada.run("mkdir x").well();
    assert!(Seat::new(&ada, &["ls"]).ends(0).contains("\x1b[34mx/"));
    assert!(!ada.run("ls").well().contains('\x1b'));
    let plain = ada.with("NO_COLOR", "1");
    assert!(!Seat::new(&plain, &["ls"]).ends(0).contains('\x1b'));
}

#[test]
fn an_interrupt_ends_with_130_and_leaves_what_was_fetched() {
    let house = House::open("interrupt");
    let ada = house.person("ada");
    let mut seat = Seat::new(&ada, &["tail"]);
    ada.run("send -n bob here").well();
    seat.sees("here").types("\x03");
    seat.ends(130);
    let mut seat = Seat::new(&ada, &["login", "ada"]);
    seat.sees("Password: ").types("abc\x03");
    let seen = seat.ends(130);
    assert!(!seen.contains("abc"), "{seen:?}");
    assert!(seat.is_as_it_was(), "the terminal stays mute");
    let mut seat = Seat::new(&ada, &["login"]);
    seat.sees("Name: ").types("\x04");
    seat.ends(130);
}

#[test]
fn what_is_missing_is_asked_for_and_nothing_else() {
    let house = House::open("asked");
    let ada = house.person("ada");
    let mut seat = Seat::new(&ada, &["register"]);
    seat.sees("Name: ").types("ada\n").sees("New password: ").types("correct horse\n");
    seat.sees("The same again: ").types("other\n").sees("not the same").sees("New password: ").types("\x03");
    let seen = seat.ends(130);
    assert!(!seen.contains("correct horse"), "{seen}");
    let mut seat = Seat::new(&ada, &["reset", "ada"]);
    seat.sees("Code: ").types("abcd\n").sees("New password: ").types("\x03");
    seat.ends(130);
}

#[test]
fn the_menu_asks_for_what_it_needs_and_goes_on_after_a_mistake() {
    let house = House::open("menu");
    let ada = house.person("ada");
    ada.file("a.txt", "one");
    let mut seat = Seat::new(&ada, &["client"]);
    seat.sees("as a guest").sees("0  leave").sees("What: ").types("5\n");
    seat.sees("File here: ").types("a.txt\n").sees("Name at the server").types("b.txt\n").sees("b.txt  3 B");
    seat.sees("What: ").types("list files\n").sees("Folder").types("\n").sees("b.txt");
    seat.sees("What: ").types("6\n").sees("File at the server: ").types("nothing\n").sees("Where to").types("\n");
    seat.sees("nothing: ").sees("What: ").types("99\n").sees("99 is none of them");
    seat.sees("What: ").types("8\n").sees("From: ").types("b.txt\n").sees("To: ").types("c.txt\n").sees("is now c.txt");
    seat.sees("What: ").types("9\n").sees("Path at the server: ").types("c.txt\n").sees("c.txt is removed");
    seat.sees("What: ").types("11\n").sees("Room").types("\n").sees("Message: ").types("hello\n").sees("hello");
    seat.sees("What: ").types("12\n").sees("Room").types("\n").sees("hello");
    seat.sees("What: ").types("0\n");
    seat.ends(0);
}

#[test]
fn what_others_say_appears_above_the_line_that_is_being_typed() {
    let house = House::open("typed");
    let ada = house.person("ada");
    ada.run("send -n bob earlier").well();
    let mut seat = Seat::new(&ada, &["chat", "-n", "ada"]);
    seat.sees("(bob)").sees("earlier").sees("/quit leaves").sees("lobby> ").types("half a line");
    seat.sees("half a line");
    ada.run("send -n bob between").well();
    seat.sees("between").sees("lobby> half a line").types(", now whole\n");
    wait_until("the message", || ada.run("tail --once").well().contains("(ada) half a line, now whole"));
    seat.types("/who\n").sees("- ").types("/nonsense\n").sees("there is no /nonsense").types("/quit\n");
    seat.ends(0);
    // Once as it was typed, and never again as it came back, behind a name in a colour.
    let seen = seat.screen();
    assert!(seen.contains("(bob)\x1b[0m between"), "{seen:?}");
    assert!(!seen.contains("(ada)\x1b[0m half a line, now whole"), "{seen:?}");
    let mut seat = Seat::new(&ada, &["chat"]);
    seat.sees("lobby> ").types("\x03");
    seat.ends(130);
    let mut seat = Seat::new(&ada, &["chat"]);
    seat.sees("lobby> ").types("\x04");
    seat.ends(0);
}
