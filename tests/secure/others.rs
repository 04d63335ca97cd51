//! The clients people have, where they are installed: curl, Python, Node, openssl.

use std::process::{Command, Stdio};

use crate::client::HEALTHY;
use crate::house::House;
use crate::keys::{Folder, Pair, flags, make};

fn open(name: &str) -> (House, Pair, Folder) {
    let folder = Folder::new(name);
    let pair = make(&folder.0, "localhost", "localhost", 90);
    let given = flags(&[&pair]);
    (House::open(&given.iter().map(String::as_str).collect::<Vec<_>>()), pair, folder)
}

/// What a program prints; `None`, said aloud, where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match ran {
        Ok(output) => Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
        Err(_) => {
            println!("skipped: there is no {program} here");
            None
        }
    }
}

#[test]
fn curl_python_and_node_trust_the_certificate_they_are_given() {
    let (house, pair, _folder) = open("others");
    let (url, ca) = (format!("https://localhost:{}/healthz", house.port()), pair.cert.to_str().expect("text"));
    for version in ["1.2", "1.3"] {
        let least = format!("--tlsv{version}");
        if let Some(said) = run("curl", &["-sS", &least, "--tls-max", version, "--cacert", ca, &url]) {
            assert_eq!(said, HEALTHY, "curl, {version}");
        }
    }
    let script = format!(
        "import ssl, urllib.request as r\nc = ssl.create_default_context(cafile={ca:?})\n\
         print(r.urlopen({url:?}, context=c).read().decode(), end='')"
    );
    if let Some(said) = run("python3", &["-c", &script]) {
        assert_eq!(said, HEALTHY, "python");
    }
    let script = format!(
        "require('https').get({url:?}, {{ca: require('fs').readFileSync({ca:?})}}, a => a.pipe(process.stdout))\
         .on('error', e => console.log(e.message))"
    );
    if let Some(said) = run("node", &["-e", &script]) {
        assert_eq!(said, HEALTHY, "node");
    }
}

#[test]
fn openssl_sees_the_two_versions_we_speak_and_none_that_is_older() {
    let (house, _pair, _folder) = open("openssl");
    let address = format!("localhost:{}", house.port());
    for (version, is_spoken) in [("-tls1_3", true), ("-tls1_2", true), ("-tls1_1", false), ("-tls1", false)] {
        let Some(said) = run("openssl", &["s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect", &address])
        else {
            return;
        };
        let has_session = said.contains("Server certificate\n-----BEGIN");
        assert_eq!(has_session, is_spoken, "{version}: {said}");
    }
}
