// The pages in Firefox, over WebDriver BiDi, which it speaks by itself: no driver stands between. What differs from browser to
// browser is played here; the rest is in the scripts for Chromium.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { House, check, made, play, same, sha, shaOfFile, step, until } from './stage.mjs';

const require = createRequire(import.meta.url);
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const { ws: WebSocket } = require('playwright-core/lib/utilsBundle');
const PASSWORD = 'correct horse';

/** A Firefox without a window and with a profile of its own. What its console and its requests complain of is in `complaints`. */
class Firefox {
  static async open() {
    const fox = Object.assign(new Firefox(), { complaints: [], waiting: new Map(), calls: 0 });
    fs.mkdirSync('profile', { recursive: true });
    const arguments_ = ['--headless', '--no-remote', '--profile', path.resolve('profile'), '--remote-debugging-port', '0', 'about:blank'];
    fox.child = spawn(process.env.BROWSER, arguments_, { env: { ...process.env, HOME: path.resolve('profile') }, stdio: ['ignore', 'ignore', 'pipe'] });
    process.once('exit', () => fox.child.kill('SIGKILL'));
    const url = await new Promise((done, fail) => {
      let said = '';
      fox.child.stderr.on('data', (data) => {
        said += data;
        const found = /WebDriver BiDi listening on (ws:\/\/\S+)/.exec(said);
        if (found) done(found[1]);
      });
      fox.child.once('exit', () => fail(new Error(`Firefox ended:\n${said}`)));
    });
    fox.socket = new WebSocket(`${url}/session`);
    await new Promise((done, fail) => Object.assign(fox.socket, { onopen: done, onerror: fail }));
    fox.socket.onmessage = ({ data }) => fox.hear(JSON.parse(data));
    await fox.call('session.new', { capabilities: {} });
    await fox.call('session.subscribe', { events: ['log.entryAdded', 'network.responseCompleted', 'network.fetchError'] });
    return fox;
  }

  hear({ id, type, method, params, result, ...error }) {
    if (method === 'log.entryAdded' && params.level !== 'info' && params.level !== 'debug') this.complaints.push(`${params.level}: ${params.text}`);
    if (method === 'network.responseCompleted' && params.response.status >= 400) this.complaints.push(`${params.response.status}: ${params.response.url}`);
    // Leaving a page ends what it still asks for.
    if (method === 'network.fetchError' && params.errorText !== 'NS_BINDING_ABORTED') this.complaints.push(`failed: ${params.request.url} ${params.errorText}`);
    const waits = this.waiting.get(id);
    this.waiting.delete(id);
    if (type === 'error') waits?.fail(new Error(JSON.stringify(error)));
    else waits?.done(result);
  }

  call(method, params) {
    this.calls += 1;
    const id = this.calls;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((done, fail) => this.waiting.set(id, { done, fail }));
  }

  async page() {
    const { context } = await this.call('browsingContext.create', { type: 'tab' });
    await this.call('browsingContext.setViewport', { context, viewport: { width: 360, height: 740 } });
    return new Page(this, context);
  }
}

class Page {
  constructor(fox, context) {
    Object.assign(this, { fox, context });
  }

  /** A command about this page. */
  call(method, params) {
    return this.fox.call(method, { context: this.context, ...params });
  }

  goto(url) {
    return this.call('browsingContext.navigate', { url, wait: 'complete' });
  }

  /** What an expression of the page comes to, as far as JSON can tell. */
  async get(expression) {
    const answer = await this.fox.call('script.evaluate', {
      expression: `Promise.resolve(${expression}).then((value) => JSON.stringify(value ?? null))`,
      target: { context: this.context },
      awaitPromise: true,
    });
    check(answer.type === 'success', JSON.stringify(answer.exceptionDetails));
    return JSON.parse(answer.result.value);
  }

  /** Waits for an expression to be true; while another page comes there is none. */
  sees(expression) {
    return until(`${expression} in Firefox`, () => this.get(`Boolean(${expression})`).catch(() => false));
  }

  /** An element, as commands name it. */
  async element(selector) {
    const answer = await this.call('browsingContext.locateNodes', { locator: { type: 'css', value: selector } });
    check(answer.nodes.length, `no ${selector}`);
    return { sharedId: answer.nodes[0].sharedId };
  }

  async choose(selector, files) {
    await this.call('input.setFiles', { element: await this.element(selector), files });
  }

  async keys(text) {
    const actions = [...text].flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
    await this.call('input.performActions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }

  async type(selector, text) {
    await this.get(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.keys(text);
  }

  press(text) {
    return this.get(`[...document.querySelectorAll('button, a')].find((one) => one.textContent === ${JSON.stringify(text)}).click()`);
  }
}

const holds = (text) => `document.body.innerText.includes(${JSON.stringify(text)})`;

await play(async () => {
  const house = await House.open('house');
  await house.post('/upload?name=there.txt', { there: true });
  const fox = await Firefox.open();
  const page = await fox.page();

  await step('no page complains, scrolls sideways or has what axe finds wrong', async () => {
    for (const target of ['/', '/chat', '/login', '/register', '/reset-password', '/account', '/file-list', '/messages']) {
      await page.goto(house.at(target));
      await page.sees("!/Looking|Connecting/.test(document.querySelector('main').innerText)");
      same(fox.complaints, [], target);
      const [wide, room] = await page.get('[document.documentElement.scrollWidth, innerWidth]');
      check(wide <= room, `${target} is ${wide} wide on ${room}`);
      await page.get(`(() => { ${AXE} })()`);
      same(await page.get('axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`))'), [], target);
      fox.complaints.length = 0; // axe looks at what the policy forbids it
    }
  });

  await step('a file is sent by the chooser, looked at, renamed and deleted', async () => {
    const file = made('photo.bin', 3_000_001);
    await page.goto(house.at('/'));
    await page.sees(holds('there.txt'));
    await page.choose('input[type=file][name=file]', [file]);
    await page.sees(holds('photo.bin is stored.'));
    same(shaOfFile(house.stored('photo.bin')), shaOfFile(file));
    await page.sees("[...document.querySelectorAll('#list a')].some((row) => row.textContent.includes('photo.bin'))");
    await page.get("[...document.querySelectorAll('#list a')].find((row) => row.textContent.includes('photo.bin')).click()");
    await page.sees("document.querySelector('dialog[open]')");
    await page.press('Rename');
    await page.sees("document.querySelector('dialog input')");
    await page.keys('other\uE007');
    await until('it has its name', () => fs.existsSync(house.stored('other.bin')));
    await page.sees("[...document.querySelectorAll('#list a')].some((row) => row.textContent.includes('other.bin'))");
    await page.get("[...document.querySelectorAll('#list a')].find((row) => row.textContent.includes('other.bin')).click()");
    await page.sees("[...document.querySelectorAll('dialog[open] button')].some((one) => one.textContent === 'Delete')");
    await page.press('Delete');
    await page.sees(holds('It cannot be brought back.'));
    await page.get("document.querySelector('dialog button.warn').click()");
    await until('it is gone', () => !fs.existsSync(house.stored('other.bin')));
    same(fox.complaints, []);
  });

  await step('a drop anywhere on main uploads', async () => {
    await page.get(`(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(['dropped'], 'dropped.txt'));
      for (const kind of ['dragenter', 'dragover', 'drop']) document.querySelector('main').dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    })()`);
    await until('it is stored', () => fs.existsSync(house.stored('dropped.txt')));
    same(sha(fs.readFileSync(house.stored('dropped.txt'))), sha('dropped'));
  });

  await step('two tabs share a line, and what is said stands in both', async () => {
    const other = await fox.page();
    for (const each of [page, other]) {
      await each.goto(house.at('/chat'));
      await each.sees(holds('Live'));
    }
    await other.type('[name=message]', 'Hello <b>Firefox</b>\uE007');
    await other.sees("document.querySelector('.own:not(.waiting)')");
    await page.sees(holds('Hello <b>Firefox</b>'));
    await until('one line is left', async () => (await house.ask('/who?room=lobby')).count === 1);
    await house.kill();
    await page.sees(holds('Reconnecting'));
    await house.start();
    await page.sees(holds('Live'));
    await other.type('[name=message]', 'and again\uE007');
    await page.sees(holds('and again'));
    same(await page.get("[...document.querySelectorAll('#messages .text')].map((text) => text.textContent)"), ['Hello <b>Firefox</b>', 'and again']);
    fox.complaints.length = 0; // the line was cut
  });

  await step('one signs up, in, and out for good', async () => {
    await page.goto(house.at('/register'));
    await page.type('[name=username]', 'ada');
    await page.type('[name=password]', PASSWORD);
    await page.press('Make the account');
    await page.sees("document.querySelector('.once code')");
    await page.type('[name=username]', 'ada');
    await page.type('[name=password]', `${PASSWORD}\uE007`);
    await page.sees("document.querySelector('#upload')");
    await page.goto(house.at('/account'));
    await page.sees(holds('Signed in as ada'));
    await page.type('form[action$="/me"] [name=password]', `${PASSWORD}\uE007`);
    await page.sees("document.querySelector('dialog button.warn')");
    await page.get("document.querySelector('dialog button.warn').click()");
    await page.sees("document.querySelector('#upload')");
    await page.goto(house.at('/account'));
    await page.sees(holds('You are not signed in.'));
    same(fox.complaints, []);
  });
});
