//! An embedded route that tries what a confined process must not be able to: in the loop and on a helper.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use hythe::config::choices::Confinement;
use hythe::os::sandbox::Sandbox;
use hythe::{Call, Context, Method, Response, Server, State};

use crate::place::{Folder, ask};

struct Tried {
    own: PathBuf,
    beside: PathBuf,
    elsewhere: std::net::SocketAddr,
}

impl State for Tried {
    type Entry = ();
}

/// What came of each attempt, by the kernel's number for the refusal.
fn attempt(own: &Path, beside: &Path, elsewhere: std::net::SocketAddr) -> String {
    let number = |done: io::Result<()>| match done {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    let tried = [
        ("read", number(fs::read("/etc/passwd").map(drop))),
        ("list", number(fs::read_dir("/").map(drop))),
        ("beside", number(fs::write(beside.join("beside"), "x"))),
        ("cut", number(fs::File::options().write(true).truncate(true).open(beside.join("there")).map(drop))),
        ("remove", number(fs::remove_file(beside.join("there")))),
        ("connect", number(TcpStream::connect(elsewhere).map(drop))),
        ("bind", number(TcpListener::bind("127.0.0.1:0").map(drop))),
        ("run", number(std::process::Command::new("/bin/true").status().map(drop))),
        ("own", number(fs::write(own.join("own"), "x"))),
    ];
    tried.map(|(what, came)| format!("{what}={came}")).join(" ")
}

fn in_the_loop(tried: &mut Tried, _: &Call<'_>, _: &mut Context<'_>) -> Response {
    Response::text(attempt(&tried.own, &tried.beside, tried.elsewhere))
}

#[test]
fn the_kernel_refuses_what_is_not_the_servers() {
    let folder = Folder::new("reach");
    let (own, beside) = (folder.0.join("own"), folder.0.join("beside"));
    fs::create_dir_all(&own).unwrap();
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("there"), "there").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    let (for_loop, for_helper) = ((own.clone(), beside.clone()), (own, beside.clone()));
    // The thread is confined, and whatever it starts; the test is not.
    thread::spawn(move || {
        let mut server = Server::new(Tried { own: for_loop.0.clone(), beside: for_loop.1, elsewhere });
        server.add_route(&[Method::Get], "/loop", in_the_loop).unwrap();
        let work = move |_| Response::text(attempt(&for_helper.0, &for_helper.1, elsewhere));
        server.add_blocking(&[Method::Get], "/helper", work).unwrap();
        server.listen("127.0.0.1:0").unwrap();
        let landlock = Sandbox::new().may_write(&for_loop.0).enter(Confinement::Best).unwrap();
        tell.send((landlock, server.addresses()[0])).unwrap();
        server.run().unwrap();
    });
    let (landlock, address) = told.recv().unwrap();
    let Some(version) = landlock else {
        println!("skipped: this kernel has no Landlock");
        return;
    };
    for path in ["/loop", "/helper"] {
        let answer = ask(address, &format!("GET {path}"));
        let came = answer.rsplit("\r\n").next().unwrap();
        let files = "read=PermissionDenied list=PermissionDenied beside=PermissionDenied cut=PermissionDenied \
                     remove=PermissionDenied";
        assert!(came.starts_with(files), "{path}: {came}");
        if version >= 4 {
            assert!(came.contains("connect=PermissionDenied bind=PermissionDenied"), "{path}: {came}");
        }
        assert!(came.ends_with("run=PermissionDenied own=done"), "{path}: {came}");
    }
    assert_eq!(fs::read_to_string(beside.join("there")).unwrap(), "there");
    assert!(!beside.join("beside").exists());
}
