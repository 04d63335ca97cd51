// tus-js-client through a line that is cut once, and a server that is killed once and started again.
import fs from "node:fs";
import net from "node:net";
import * as tus from "tus-js-client";

const [endpoint, file, work] = process.argv.slice(2);
const target = new URL(endpoint);
let cuts = 0;

// The line: what goes through it is counted, and cut when a third has.
const size = fs.statSync(file).size;
let through = 0;
const line = net.createServer((client) => {
    const server = net.connect(Number(target.port), target.hostname);
    const end = () => {
        client.destroy();
        server.destroy();
    };
    client.on("error", end).on("close", end);
    server.on("error", end).on("close", end);
    server.pipe(client);
    client.on("data", (bytes) => {
        through += bytes.length;
        if (cuts === 0 && through > size / 3) {
            cuts = 1;
            end();
        } else if (cuts === 1 && through > (2 * size) / 3) {
            cuts = 2;
            fs.writeFileSync(`${work}/kill-now`, "");
        }
        if (!server.destroyed && !server.write(bytes)) {
            client.pause();
            server.once("drain", () => client.resume());
        }
    });
});
await new Promise((ready) => line.listen(0, "127.0.0.1", ready));

const upload = new tus.Upload(fs.createReadStream(file), {
    endpoint: `http://127.0.0.1:${line.address().port}${target.pathname}`,
    // The server answers to its own name only.
    headers: { Host: target.host },
    uploadSize: size,
    chunkSize: 2_000_000,
    retryDelays: Array(60).fill(250),
    metadata: { filename: "resumed.bin" },
    onError(error) {
        console.error(String(error));
        process.exit(1);
    },
    onSuccess() {
        console.log(`whole after ${cuts} interruptions, ${through} bytes for ${size}`);
        process.exit(cuts === 2 ? 0 : 1);
    },
});
upload.start();
