// npm `ws`: speaks, hears, pings, comes again, and is told why it is closed.
import WebSocket from "ws";

const url = process.argv[2].replace("http", "ws");
const heard = [];
const open = (target) => new Promise((done, fail) => {
    const socket = new WebSocket(`${url}${target}`, "hythe.chat.v1");
    socket.on("message", (data) => {
        const said = JSON.parse(data);
        if (said.type === "message") heard.push(said.id);
    });
    socket.on("open", () => done(socket));
    socket.on("error", fail);
});
const until = async (what) => {
    for (let wait = 0; wait < 200 && !what(); wait += 1) await new Promise((done) => setTimeout(done, 25));
    if (!what()) throw new Error(`not in time: ${what}; heard ${heard}`);
};
const say = (socket, count) => {
    for (let at = 0; at < count; at += 1) socket.send(JSON.stringify({ type: "send", message: "x".repeat(3000), ref: at }));
};

const socket = await open("/ws?room=ws");
say(socket, 50);
await until(() => heard.length === 50);
let pong = false;
socket.on("pong", () => { pong = true; });
socket.ping("here");
await until(() => pong);
socket.terminate();

const speaker = await open("/ws?room=elsewhere");
for (let at = 0; at < 25; at += 1) speaker.send(JSON.stringify({ type: "send", room: "ws", message: "meanwhile" }));
await new Promise((done) => setTimeout(done, 300));
const again = await open(`/ws?room=ws&since=${heard[heard.length - 1]}`);
await until(() => heard.length === 75);
if (!heard.every((id, at) => at === 0 || id === heard[at - 1] + 1)) throw new Error(`out of order: ${heard}`);

const closed = new Promise((done) => again.on("close", done));
again.send(Buffer.from([1, 2, 3]));
if (await closed !== 1003) throw new Error("binary is closed with 1003");
const large = new Promise((done) => speaker.on("close", done));
speaker.send("x".repeat(100_000));
if (await large !== 1009) throw new Error("too large is closed with 1009");
