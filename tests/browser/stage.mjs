// What every script here needs: a server that can be killed and started again, people with browsers who complain of whatever
// their console says or a request that failed, and steps that are told as they hold.

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';

/** How long whatever must come may take: longer than anything does on a machine that is busy with something else. */
const PATIENCE = 60_000;

const TOKEN = 'operator-token-of-the-browser-tests';

/** A server in a folder of its own, on a port that it keeps when it is started again. */
export class House {
  static async open(name, flags = []) {
    const house = Object.assign(new House(), { folder: path.resolve(name), port: 0, flags });
    fs.mkdirSync(house.folder, { recursive: true });
    await house.start();
    return house;
  }

  async start() {
    // On its port may be somebody else's connection for a moment.
    const end = Date.now() + PATIENCE;
    while (!(await this.begins())) check(Date.now() < end, `its port is in use:\n${this.log}`);
  }

  /** Whether it could begin; if not, its port is in use. */
  async begins() {
    const always = ['--listen', `127.0.0.1:${this.port}`, '--send-rate', '0', '--login-rate', '0', '--password-profile', 'low', '--token', TOKEN];
    this.child = spawn(process.env.HYTHE, ['serve', ...always, ...this.flags], { cwd: this.folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
    const { child } = this;
    process.once('exit', () => child.kill('SIGKILL'));
    this.log = '';
    return new Promise((done, fail) => {
      child.stderr.on('data', (data) => {
        this.log += data;
        const ready = /hythe is ready on (http:\/\/[^\s]*:(\d+)\/\S*)/.exec(this.log);
        if (!ready) return;
        Object.assign(this, { url: ready[1], port: Number(ready[2]) });
        done(true);
      });
      child.once('exit', (code) => (code === 71 && this.port ? done(false) : fail(new Error(`the server ended:\n${this.log}`))));
    });
  }

  /** The server is gone, as when the power fails. */
  async kill() {
    const gone = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGKILL');
    await gone;
  }

  async restart() {
    await this.kill();
    await this.start();
  }

  at(target) {
    return new URL(target, this.url).href;
  }

  /** What a program is answered, as the operator. */
  async ask(target, options = {}) {
    const response = await fetch(this.at(target), { ...options, headers: { Authorization: `Bearer ${TOKEN}`, ...options.headers } });
    const text = await response.text();
    check(response.ok, `${options.method || 'GET'} ${target} is ${response.status}: ${text}`);
    return text && JSON.parse(text);
  }

  post(target, value) {
    return this.ask(target, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value) });
  }

  stored(name) {
    return path.join(this.folder, 'uploads', name);
  }
}

let browser;

/** Somebody with a browser of their own. What their browser complains of is kept in `complaints`. */
export async function person(house, options = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.BROWSER,
    args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server', '--disable-dev-shm-usage'],
  });
  const context = await browser.newContext({ baseURL: house.url, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  return listen(page);
}

/** Writes down what a page's browser complains of. */
export function listen(page) {
  page.complaints = [];
  page.on('console', (message) => page.complaints.push(`console: ${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => page.complaints.push(`error: ${error.stack}`));
  page.on('requestfailed', (request) => page.complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => response.status() >= 400 && page.complaints.push(`${response.status()}: ${response.url()}`));
  return page;
}

export function check(holds, complaint) {
  if (!holds) throw new Error(complaint);
}

export function same(one, other, what = '') {
  const [left, right] = [JSON.stringify(one), JSON.stringify(other)];
  check(left === right, `${what}\n  is     ${left}\n  not    ${right}`);
}

/** Waits until something holds. */
export async function until(what, holds, within = PATIENCE) {
  const end = Date.now() + within;
  for (;;) {
    const value = await holds();
    if (value) return value;
    check(Date.now() < end, `never came to be: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

export const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');

export function shaOfFile(name) {
  const hash = createHash('sha256');
  const file = fs.openSync(name);
  const window = Buffer.alloc(1 << 20);
  for (let read; (read = fs.readSync(file, window)); ) hash.update(window.subarray(0, read));
  fs.closeSync(file);
  return hash.digest('hex');
}

/** A file of random bytes. */
export function made(name, size) {
  const file = path.resolve(name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const block = randomBytes(1 << 20);
  const out = fs.openSync(file, 'w');
  for (let at = 0, number = 0; at < size; at += block.length, number += 1) {
    block.writeUInt32LE(number, 0);
    fs.writeSync(out, block, 0, Math.min(block.length, size - at));
  }
  fs.closeSync(out);
  return file;
}

/** Drops files somewhere, as from the desktop: `[{ name, text }]`. */
export async function drop(page, selector, files) {
  const data = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const { name, text, type } of files) transfer.items.add(new File([text], name, { type: type || 'text/plain' }));
    return transfer;
  }, files);
  for (const kind of ['dragenter', 'dragover', 'drop']) await page.dispatchEvent(selector, kind, { dataTransfer: data });
}

const steps = [];

/** A step of a script: told as it holds. */
export async function step(name, play) {
  const since = Date.now();
  await play();
  steps.push(name);
  console.log(`  ${name} (${Date.now() - since} ms)`);
}

/** Plays a script to its end; the pages that are open are shown as they are when it breaks. */
export async function play(script) {
  try {
    await script();
    await browser?.close();
    process.exit(0);
  } catch (error) {
    console.log(`after "${steps.at(-1) ?? 'the start'}": ${error.stack}`);
    let number = 0;
    for (const context of browser?.contexts() ?? []) {
      for (const page of context.pages()) {
        number += 1;
        console.log(`page ${number}: ${page.url()}\n  ${page.complaints?.join('\n  ')}`);
        await page.screenshot({ path: `broken-${number}.png` }).catch(() => {});
      }
    }
    await browser?.close().catch(() => {});
    process.exit(1);
  }
}
