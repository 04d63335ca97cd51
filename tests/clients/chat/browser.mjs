// A browser's own WebSocket and EventSource, on a page of the server: both hear what is said by either way, once and in order.
import puppeteer from "puppeteer-core";

const [browserPath, url] = process.argv.slice(2);
const browser = await puppeteer.launch({
    executablePath: browserPath,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"],
});
try {
    const page = await browser.newPage();
    await page.goto(`${url}/messages`);
    const heard = await page.evaluate(async () => {
        const socket = new WebSocket(`ws://${location.host}/ws?room=browser&name=Browser`, "hythe.chat.v1");
        const stream = new EventSource("/events?room=browser");
        const ids = { socket: [], stream: [], acks: [] };
        socket.onmessage = ({ data }) => {
            const said = JSON.parse(data);
            if (said.type === "message") ids.socket.push(said.id);
            if (said.type === "ack") ids.acks.push(said.ref);
        };
        stream.onmessage = (event) => ids.stream.push(Number(event.lastEventId));
        const opened = (what) => new Promise((done, fail) => {
            what.onopen = done;
            what.onerror = () => fail(new Error("not opened"));
        });
        await Promise.all([opened(socket), opened(stream)]);
        if (socket.protocol !== "hythe.chat.v1") throw new Error(`protocol ${socket.protocol}`);
        for (let ref = 0; ref < 20; ref += 1) {
            socket.send(JSON.stringify({ type: "send", message: `grüße ${ref}`, ref }));
            await fetch("/send", { method: "POST", body: new URLSearchParams({ room: "browser", message: "by form" }) });
        }
        for (let wait = 0; wait < 100 && (ids.socket.length < 40 || ids.stream.length < 40); wait += 1) {
            await new Promise((done) => setTimeout(done, 50));
        }
        const closed = new Promise((done) => { socket.onclose = (event) => done(event.code); });
        socket.close(1000);
        return { ...ids, code: await closed };
    });
    const rising = heard.socket.every((id, at) => at === 0 || id > heard.socket[at - 1]);
    if (heard.socket.length !== 40 || heard.acks.length !== 20 || !rising || heard.code !== 1000
        || JSON.stringify(heard.socket) !== JSON.stringify(heard.stream)) {
        throw new Error(JSON.stringify(heard));
    }
} finally {
    await browser.close();
}
