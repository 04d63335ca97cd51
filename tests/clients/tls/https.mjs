// Node's https and fetch, in each version, over connections that are kept and that take their session up again; `ws` over TLS.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import WebSocket from "ws";

const [url, certificate, file] = process.argv.slice(2);
const ca = readFileSync(certificate);
const content = readFileSync(file);
const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

function ask(path, options = {}, body = undefined) {
    return new Promise((done, fail) => {
        const request = https.request(`${url}${path}`, { ca, ...options }, (response) => {
            const [parts, protocol] = [[], response.socket.getProtocol()];
            response.on("data", (part) => parts.push(part));
            response.on("error", fail);
            response.on("end", () => done({
                status: response.statusCode,
                body: Buffer.concat(parts),
                protocol,
                isReused: request.reusedSocket,
            }));
        });
        request.on("error", fail);
        request.end(body);
    });
}

for (const version of ["TLSv1.2", "TLSv1.3"]) {
    const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 1, minVersion: version, maxVersion: version });
    const name = `node-${version}.bin`;
    const put = await ask(`/files/${name}?create=1`, { agent, method: "PUT" }, content);
    assert.equal(put.status, 201);
    const got = await ask(`/files/${name}`, { agent });
    assert.deepEqual([got.status, got.protocol, got.isReused], [200, version, true]);
    assert.equal(digest(got.body), digest(content));
    agent.destroy();
}
// Without the certificate nobody believes it, and what is too old is not spoken.
await assert.rejects(ask("/healthz", { ca: undefined, agent: false }), /self.signed/i);
await assert.rejects(ask("/healthz", { agent: false, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" }));
await assert.rejects(ask("/healthz", { agent: false, ALPNProtocols: ["h2"] }));

const socket = new WebSocket(`${url.replace("https", "wss")}/ws?room=node&name=Node`, "hythe.chat.v1", { ca });
const heard = await new Promise((done, fail) => {
    const messages = [];
    socket.on("error", fail);
    socket.on("open", () => {
        for (let ref = 0; ref < 50; ref += 1) socket.send(JSON.stringify({ type: "send", message: `ja ${ref} ${"ü".repeat(500)}`, ref }));
    });
    socket.on("message", (data) => {
        const said = JSON.parse(data);
        if (said.type === "message") messages.push(said.message);
        if (messages.length === 50) done(messages);
    });
    setTimeout(() => fail(new Error(`${messages.length} messages`)), 20_000);
});
assert.deepEqual(heard.map((text) => text.split(" ")[1]), [...Array(50).keys()].map(String));
await new Promise((done) => {
    socket.on("close", done);
    socket.close(1000);
});
