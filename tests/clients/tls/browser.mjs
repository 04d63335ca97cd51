// A browser over TLS: the page, a file sent and fetched, a WebSocket and an event stream, all of them secure.
import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";

const [browserPath, url] = process.argv.slice(2);
const browser = await puppeteer.launch({
    executablePath: browserPath,
    headless: true,
    acceptInsecureCerts: true,
    args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"],
});
try {
    const page = await browser.newPage();
    const response = await page.goto(`${url}/`);
    assert.equal(response.status(), 200);
    assert.match(response.securityDetails().protocol(), /^TLS 1\.3$/);
    const seen = await page.evaluate(async () => {
        const bytes = new Uint8Array(3_000_000).map((_, at) => (at * 7919) >> 3);
        const put = await fetch("/files/browser.bin?create=1", { method: "PUT", body: bytes });
        const got = new Uint8Array(await (await fetch("/files/browser.bin")).arrayBuffer());
        const socket = new WebSocket(`wss://${location.host}/ws?room=browser&name=Browser`, "hythe.chat.v1");
        const stream = new EventSource("/events?room=browser");
        const opened = (what) => new Promise((done, fail) => {
            what.onopen = done;
            what.onerror = () => fail(new Error("not opened"));
        });
        await Promise.all([opened(socket), opened(stream)]);
        const heard = { socket: [], stream: [] };
        socket.onmessage = ({ data }) => {
            const said = JSON.parse(data);
            if (said.type === "message") heard.socket.push(said.id);
        };
        stream.onmessage = (event) => heard.stream.push(Number(event.lastEventId));
        for (let ref = 0; ref < 20; ref += 1) socket.send(JSON.stringify({ type: "send", message: `grüße ${ref}`, ref }));
        for (let wait = 0; wait < 100 && (heard.socket.length < 20 || heard.stream.length < 20); wait += 1) {
            await new Promise((done) => setTimeout(done, 50));
        }
        return {
            isSecure: window.isSecureContext,
            put: put.status,
            isSame: got.length === bytes.length && got.every((byte, at) => byte === bytes[at]),
            heard,
        };
    });
    assert.deepEqual([seen.isSecure, seen.put, seen.isSame], [true, 201, true]);
    assert.equal(seen.heard.socket.length, 20);
    assert.deepEqual(seen.heard.socket, seen.heard.stream);
} finally {
    await browser.close();
}
