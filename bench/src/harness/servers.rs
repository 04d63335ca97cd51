//! hythe, the floor, nginx and lighttpd: each started, watched and ended the same way.
//!
//! nginx and lighttpd are set up as well as their manuals allow for this work: one worker, open files cached, no log,
//! no limit of requests on a connection, long queues. What is measured must be their best.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hythe_bench::process;

use super::house::{House, Outcome, find_program, on_core};

/// What is to be started.
#[derive(Debug, Clone)]
pub enum Start {
    /// The floor, with these words more.
    Floor(Vec<String>),
    /// hythe, with these words more.
    Hythe(Vec<String>),
    /// nginx.
    Nginx {
        /// Whether it writes its access log.
        is_logging: bool,
        /// `worker_connections`.
        connections: usize,
    },
    /// nginx, encrypted.
    SecureNginx {
        /// Its certificate.
        certificate: String,
        /// And the key of it.
        key: String,
    },
    /// lighttpd.
    Lighttpd,
    /// A program with hythe in it, and a route of its own.
    Route,
    /// What only receives and writes, with these words more.
    Sink(Vec<String>),
    /// nginx, taking `PUT`.
    NginxDav,
    /// lighttpd, taking `PUT`.
    LighttpdDav,
}

/// Where Debian keeps what makes lighttpd take `PUT`.
const MOD_WEBDAV: &str = "/usr/lib/lighttpd/mod_webdav.so";

impl Start {
    /// The floor with words from one line.
    #[must_use]
    pub fn floor(words: &str) -> Self {
        Self::Floor(words.split_whitespace().map(String::from).collect())
    }

    /// hythe with words from one line.
    #[must_use]
    pub fn hythe(words: &str) -> Self {
        Self::Hythe(words.split_whitespace().map(String::from).collect())
    }

    /// nginx, without a log.
    #[must_use]
    pub fn nginx() -> Self {
        Self::Nginx { is_logging: false, connections: 16_000 }
    }

    /// Why it cannot be started here, if it cannot.
    #[must_use]
    pub fn missing(&self, house: &House) -> Option<&'static str> {
        match self {
            Self::Floor(_) | Self::Route => None,
            Self::Hythe(_) => house.hythe.is_none().then_some("no release binary of hythe"),
            Self::Nginx { .. } | Self::SecureNginx { .. } => {
                find_program("nginx").is_none().then_some("nginx is not installed")
            }
            Self::Lighttpd => find_program("lighttpd").is_none().then_some("lighttpd is not installed"),
            Self::Sink(_) => None,
            Self::NginxDav => find_program("nginx").is_none().then_some("nginx is not installed"),
            Self::LighttpdDav => (find_program("lighttpd").is_none() || !Path::new(MOD_WEBDAV).exists())
                .then_some("lighttpd with mod_webdav is not installed"),
        }
    }

    /// Starts it on `address`, or on any port if there is none; comes back when it can be asked.
    pub fn run(&self, house: &House, address: Option<SocketAddr>) -> Outcome<Server> {
        let (child, address) = on_core(house.server_core, || self.spawn(house, address))?;
        // From here on it is ended, whatever happens.
        let server = Server { child, address };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(server.address).is_err() {
            if Instant::now() > until {
                return Err(format!("{self:?} does not answer").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Starts it and does not wait; with a free port known before, even the floor and hythe need not be listened to.
    pub fn spawn(&self, house: &House, address: Option<SocketAddr>) -> Outcome<(Child, SocketAddr)> {
        let folder = &house.folder;
        let fixed = address.map_or_else(free_address, Ok)?;
        let listen = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).to_string();
        let mut command = match self {
            Self::Floor(words) => {
                let mut command = Command::new(house.program("floor"));
                command.args(["--listen", &listen]).args(words).stdout(Stdio::piped());
                command
            }
            Self::Route => {
                let mut command = Command::new(house.program("route"));
                command.arg(&listen).stdout(Stdio::piped());
                command
            }
            Self::Hythe(words) => {
                let mut command = Command::new(house.hythe.as_ref().ok_or("no hythe")?);
                command.args(["serve", "--listen", &listen, "--keepalive-requests", "0"]);
                command.arg("--www").arg(house.www());
                // One data folder a server: two at once in the same one are refused.
                let data = folder.join(format!("data-{}", fixed.port()));
                command.arg("--uploads").arg(folder.join("uploads")).arg("--data").arg(data);
                if !words.iter().any(|word| word == "--access-log") {
                    command.args(["--access-log", "off"]);
                }
                command.args(words).stderr(Stdio::piped());
                command
            }
            Self::Nginx { is_logging, connections } => {
                let name = format!("nginx-{}", fixed.port());
                let path = folder.join(format!("{name}.conf"));
                fs::write(&path, nginx_settings(folder, &name, fixed, *is_logging, *connections))?;
                let mut command = Command::new(find_program("nginx").ok_or("no nginx")?);
                command.arg("-e").arg(folder.join("nginx-start.log")).arg("-c").arg(path);
                command
            }
            Self::SecureNginx { certificate, key } => {
                let name = format!("nginx-{}", fixed.port());
                let path = folder.join(format!("{name}.conf"));
                let plain = nginx_settings(folder, &name, fixed, false, 16_000);
                let listens = format!("listen {fixed} backlog=4096;");
                // The versions of today's nginx; Debian's older one leaves out 1.3 by default.
                let secure = format!(
                    "listen {fixed} ssl backlog=4096; ssl_protocols TLSv1.2 TLSv1.3; \
                     ssl_certificate {certificate}; ssl_certificate_key {key};"
                );
                fs::write(&path, plain.replace(&listens, &secure))?;
                let mut command = Command::new(find_program("nginx").ok_or("no nginx")?);
                command.arg("-e").arg(folder.join("nginx-start.log")).arg("-c").arg(path);
                command
            }
            Self::Sink(words) => {
                let mut command = Command::new(house.program("sink"));
                command.args(["--listen", &listen]).arg("--folder").arg(folder.join("sink"));
                command.args(words).stdout(Stdio::piped());
                command
            }
            Self::NginxDav => {
                let name = format!("nginx-{}", fixed.port());
                let path = folder.join(format!("{name}.conf"));
                // A body goes to a file of the same file system, and is moved; the whole of it is buffered there at any length.
                let takes = format!(
                    "root {0}/dav; client_max_body_size 0; dav_methods PUT; create_full_put_path on;",
                    folder.display()
                );
                let plain = nginx_settings(folder, &name, fixed, false, 16_000);
                fs::write(&path, plain.replace(&format!("root {}/www;", folder.display()), &takes))?;
                let mut command = Command::new(find_program("nginx").ok_or("no nginx")?);
                command.arg("-e").arg(folder.join("nginx-start.log")).arg("-c").arg(path);
                command
            }
            Self::Lighttpd | Self::LighttpdDav => {
                let path = folder.join(format!("lighttpd-{}.conf", fixed.port()));
                let mut settings = lighttpd_settings(folder, fixed);
                if matches!(self, Self::LighttpdDav) {
                    let folder = folder.display();
                    settings = settings.replace(&format!("{folder}/www\""), &format!("{folder}/dav\""));
                    settings.push_str(&format!(
                        "server.modules = (\"mod_webdav\")\nserver.upload-dirs = (\"{folder}/dav\")\n\
                         server.stream-request-body = 2\nserver.max-request-size = 0\nwebdav.activate = \"enable\"\n"
                    ));
                }
                fs::write(&path, settings)?;
                let mut command = Command::new(find_program("lighttpd").ok_or("no lighttpd")?);
                command.arg("-D").arg("-f").arg(path).stderr(Stdio::null());
                command
            }
        };
        let mut child = command.stdin(Stdio::null()).spawn()?;
        if address.is_some() {
            // Nobody shall wait for a pipe to be read.
            drain(&mut child);
            return Ok((child, fixed));
        }
        let told = match self {
            Self::Floor(_) | Self::Sink(_) | Self::Route => child.stdout.take().map(ready_address),
            Self::Hythe(_) => child.stderr.take().map(ready_address),
            _ => None,
        };
        match told {
            None => Ok((child, fixed)),
            Some(Some(told)) => Ok((child, told)),
            Some(None) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{self:?} ended before it was ready").into())
            }
        }
    }
}

/// A name and what to start under it.
pub type Contender = (&'static str, Start);

/// Those that can be started; of the others a word remains.
pub fn present(house: &House, contenders: Vec<Contender>, remarks: &mut Vec<String>) -> Vec<Contender> {
    let wanted = contenders.into_iter().filter(|(name, _)| house.only.as_ref().is_none_or(|only| only == name));
    let (here, gone): (Vec<_>, Vec<_>) = wanted.partition(|(_, start)| start.missing(house).is_none());
    for (name, start) in gone {
        let remark = format!("{name} is left out: {}", start.missing(house).unwrap_or("it is not there"));
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    here
}

/// A server that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Its process (of several, the parent).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that does the work.
    #[must_use]
    pub fn worker(&self) -> u32 {
        process::family(self.pid()).last().copied().unwrap_or(self.pid())
    }

    /// Lowers the limit of descriptors to what is open now and `more`.
    pub fn squeeze(&self, more: u64) -> Outcome<()> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let most = process::descriptors(self.worker()) as u64 + more;
        let pid = Pid::from_raw(i32::try_from(self.worker())?);
        prlimit(pid, Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) })?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Asks a process of ours to end, and ends it if it does not.
pub fn end(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// An address of loopback that nobody listened on a moment ago.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// One request on a connection of its own; the length of the head and of the body of what came back.
pub fn ask_once(address: SocketAddr, path: &str) -> Outcome<(usize, usize)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: hythe-load\r\n\r\n")?;
    let mut got = Vec::new();
    let mut window = [0u8; 4096];
    loop {
        let count = stream.read(&mut window)?;
        got.extend_from_slice(&window[..count]);
        if let Some(at) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&got[..at]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            return Ok((at + 4, length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)));
        }
        if count == 0 {
            return Err("closed before the head was whole".into());
        }
    }
}

/// Reads until a line says `http://ADDRESS`; what follows is read and thrown away, so that nobody blocks on a pipe.
fn ready_address(pipe: impl std::io::Read + Send + 'static) -> Option<SocketAddr> {
    let mut lines = BufReader::new(pipe).lines();
    let mut found = None;
    for line in lines.by_ref().map_while(Result::ok) {
        let Some((_, rest)) = line.split_once("http://") else { continue };
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
        found = rest[..end].parse().ok();
        if found.is_some() {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    found
}

fn drain(child: &mut Child) {
    if let Some(pipe) = child.stdout.take() {
        std::thread::spawn(move || BufReader::new(pipe).lines().for_each(drop));
    }
    if let Some(pipe) = child.stderr.take() {
        std::thread::spawn(move || BufReader::new(pipe).lines().for_each(drop));
    }
}

fn nginx_settings(folder: &Path, name: &str, address: SocketAddr, is_logging: bool, connections: usize) -> String {
    let folder = folder.display();
    let log = if is_logging { format!("{folder}/{name}.access.log") } else { "off".into() };
    // Started by root it would serve as nobody, who may not enter our folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log;
events {{
    use epoll;
    multi_accept on;
    worker_connections {connections};
}}
http {{
    access_log {log};
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=300s;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;
    open_file_cache_errors on;
    reset_timedout_connection on;
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    default_type application/octet-stream;
    server {{
        listen {address} backlog=4096;
        root {folder}/www;
        log_not_found off;
    }}
}}
"
    )
}

fn lighttpd_settings(folder: &Path, address: SocketAddr) -> String {
    let (folder, ip, port) = (folder.display(), address.ip(), address.port());
    format!(
        "server.document-root = \"{folder}/www\"
server.bind = \"{ip}\"
server.port = {port}
server.errorlog = \"{folder}/lighttpd-{port}.error.log\"
server.max-fds = 20000
server.max-connections = 10000
server.listen-backlog = 4096
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 300
mimetype.assign = ( \".bin\" => \"application/octet-stream\" )
"
    )
}
