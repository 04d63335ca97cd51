#!/usr/bin/env bash
# What files cost: CPU seconds a GiB of uploads and downloads, beside lighttpd (mod_webdav), nginx (dav) and a bare loop that receives
# and writes; and what a hundred uploads at once do to a small GET. `bench/uploads.sh PROGRAM [put|get|crowd]...`; the machine should have
# nothing else to do. Servers that are not installed are left out. A line a measurement: what, who, CPU seconds, seconds, peak KiB.
set -euo pipefail
program=$(realpath "${1:-target/release/hythe}")
shift || true
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(put get crowd)
work=$(mktemp -d "${TMPDIR:-/tmp}/hythe-uploads.XXXXXX")
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; sleep 0.3; rm -rf "$work"' EXIT
mkdir -p "$work/uploads" "$work/data" "$work/www" "$work/light" "$work/ngx/tmp"
head -c 1073741824 /dev/zero >"$work/big"
head -c 10485760 /dev/urandom >"$work/ten"
echo hello >"$work/www/index.html"
for place in uploads light ngx; do cp "$work/ten" "$work/$place/ten"; done
tick=$(getconf CLK_TCK)

# CPU seconds of a process and its children that live, user and system.
cpu() {
    local all=0 pid
    for pid in "$1" $(pgrep -P "$1" || true); do
        all=$((all + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
    done
    awk "BEGIN { printf \"%.2f\", $all / $tick }"
}

peak() { awk '/VmHWM/ { print $2 }' "/proc/$1/status"; }

# measure WHAT WHO PID COMMAND...
measure() {
    local what=$1 who=$2 pid=$3 before after began ended
    shift 3
    before=$(cpu "$pid")
    began=$(date +%s.%N)
    "$@"
    ended=$(date +%s.%N)
    after=$(cpu "$pid")
    awk "BEGIN { printf \"%s,%s,%.2f,%.2f,%s\n\", \"$what\", \"$who\", $after - $before, $ended - $began, \"$(peak "$pid")\" }"
}

"$program" serve --listen 127.0.0.1:18931 --www "$work/www" --uploads "$work/uploads" --data "$work/data" --keepalive-requests 0 2>"$work/log" &
hythe=$!
pids+=("$hythe")
light= ngx= floor=
if command -v lighttpd >/dev/null && [ -e /usr/lib/lighttpd/mod_webdav.so ]; then
    cat >"$work/light.conf" <<CONF
server.modules = ("mod_webdav")
server.document-root = "$work/light"
server.port = 18932
server.bind = "127.0.0.1"
server.upload-dirs = ("$work/light")
server.stream-request-body = 2
server.max-request-size = 0
server.network-backend = "sendfile"
webdav.activate = "enable"
CONF
    lighttpd -D -f "$work/light.conf" 2>"$work/light.log" &
    light=$!
    pids+=("$light")
fi
if command -v nginx >/dev/null; then
    cat >"$work/nginx.conf" <<CONF
worker_processes 1;
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $work/ngx/tmp;
    server {
        listen 127.0.0.1:18933;
        root $work/ngx;
        client_max_body_size 0;
        location / { dav_methods PUT DELETE; }
    }
}
CONF
    nginx -c "$work/nginx.conf" 2>"$work/nginx.err" &
    ngx=$!
    pids+=("$ngx")
fi
if command -v python3 >/dev/null; then
    # Receives into one buffer and writes it out: what no server can go below by much.
    python3 - "$work/floor" <<'LOOP' &
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 18934))
buffer = memoryview(bytearray(256 << 10))
while True:
    connection, _ = listener.accept()
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    head, _, rest = head.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(out, rest)
    left = length - len(rest)
    while left:
        came = connection.recv_into(buffer, min(left, len(buffer)))
        if not came:
            break
        os.write(out, buffer[:came])
        left -= came
    os.fsync(out)
    os.close(out)
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()
LOOP
    floor=$!
    pids+=("$floor")
fi
sleep 1

fetch() { curl -sS -f -o /dev/null -H Expect: "$@"; }
echo "what,who,cpu_s,wall_s,peak_kib"
for part in "${parts[@]}"; do
    case $part in
    put)
        for round in 1 2; do
            measure put_1g hythe "$hythe" fetch -T "$work/big" "http://127.0.0.1:18931/files/big?create=1"
            measure form_1g hythe "$hythe" fetch -F "file=@$work/big" "http://127.0.0.1:18931/upload?on_conflict=overwrite"
            [ -z "$light" ] || measure put_1g lighttpd "$light" fetch -T "$work/big" "http://127.0.0.1:18932/big"
            [ -z "$ngx" ] || measure put_1g nginx "$ngx" fetch -T "$work/big" "http://127.0.0.1:18933/big"
            [ -z "$floor" ] || measure put_1g loop "$floor" fetch -T "$work/big" "http://127.0.0.1:18934/big"
        done
        ;;
    get)
        [ -e "$work/uploads/big" ] || ln "$work/big" "$work/uploads/big"
        [ -e "$work/light/big" ] || ln "$work/big" "$work/light/big"
        ten() { fetch "$1?[1-100]" ; }
        for round in 1 2; do
            measure get_1g hythe "$hythe" fetch "http://127.0.0.1:18931/files/big"
            [ -z "$light" ] || measure get_1g lighttpd "$light" fetch "http://127.0.0.1:18932/big"
            measure get_100x10m hythe "$hythe" ten "http://127.0.0.1:18931/files/ten"
            [ -z "$light" ] || measure get_100x10m lighttpd "$light" ten "http://127.0.0.1:18932/ten"
        done
        ;;
    crowd)
        command -v wrk >/dev/null || continue
        small() { wrk -t1 -c1 -d "$1" --latency http://127.0.0.1:18931/ | awk '/99%/ { print $2 }'; }
        echo "crowd,idle_p99,$(small 4s),,"
        put_hundred() {
            seq 100 | xargs -P 100 -I N curl -sS -f -o /dev/null -H Expect: -T "$work/ten" "http://127.0.0.1:18931/files/crowd/N?create=1"
        }
        small 6s >"$work/p99" &
        sleep 0.5
        measure put_100x10m hythe "$hythe" put_hundred
        wait $!
        echo "crowd,busy_p99,$(cat "$work/p99"),,"
        ;;
    esac
done
