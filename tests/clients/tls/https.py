"""Python's http.client and ssl, in each version: a file goes up and comes down whole, a session is taken up again, and what may not
be is refused."""

import hashlib
import http.client
import socket
import ssl
import sys

HOST, PORT, CERTIFICATE, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
with open(FILE, "rb") as file:
    CONTENT = file.read()


def context(version):
    made = ssl.create_default_context(cafile=CERTIFICATE)
    made.minimum_version = made.maximum_version = version
    return made


for version, name in [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
    settings = context(version)
    client = http.client.HTTPSConnection(HOST, PORT, timeout=20, context=settings)
    client.request("PUT", f"/files/python-{name}.bin?create=1", body=CONTENT)
    answer = client.getresponse()
    assert answer.status == 201, (answer.status, answer.read())
    answer.read()
    assert client.sock.version() == name, client.sock.version()
    client.request("GET", f"/files/python-{name}.bin")
    got = client.getresponse().read()
    assert hashlib.sha256(got).digest() == hashlib.sha256(CONTENT).digest()
    # With 1.3 the ticket has come with the first answer; a connection that ends without a farewell would leave an error here.
    session = client.sock.session
    client.sock.unwrap()
    with socket.create_connection((HOST, PORT), timeout=20) as plain:
        with settings.wrap_socket(plain, server_hostname=HOST, session=session) as again:
            assert again.session_reused, name
            again.sendall(b"GET /healthz HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n" % (HOST.encode(), PORT))
            answer = b""
            while part := again.recv(4096):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 "), answer

for refused, why in [
    (ssl.create_default_context(), "nobody believes it without its certificate"),
    (context(ssl.TLSVersion.TLSv1_3), "nor under another name"),
]:
    try:
        with socket.create_connection((HOST, PORT), timeout=20) as plain:
            refused.wrap_socket(plain, server_hostname="elsewhere.test")
    except ssl.SSLCertVerificationError:
        continue
    raise AssertionError(why)
