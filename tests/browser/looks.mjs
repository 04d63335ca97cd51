// How the pages look: nothing that axe finds wrong, in light and dark; no sideways scroll on a narrow phone; what others wrote, in
// whatever script or length, stays text and inside. `SHOTS=folder` keeps pictures of all of it.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { House, check, person, play, same, step } from './stage.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LONG = 'a'.repeat(120);
const NAMES = ['<img src=x onerror=alert(1)>.txt', `${LONG}.txt`, 'תמונה של הים.png', 'ملف ‏طويل.pdf', 'photo.jpg', 'notes.md', '日本語の長い名前のファイルです.webp', 'a b & c.tar.gz'];
const PAGES = ['/', '/#/trips', '/#/~ada', '/chat', '/login', '/register', '/reset-password', '/account', '/admin', '/file-list', '/file-list?prefix=trips', '/messages', '/rooms', '/sessions', '/tokens', '/missing'];
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

async function fill(house) {
  for (const name of NAMES) {
    const body = name.endsWith('.png') ? PNG : 'What is in it.\n<script>alert(1)</script>\n';
    await house.ask(`/upload?name=${encodeURIComponent(name)}`, { method: 'POST', body, headers: { 'Content-Type': 'application/octet-stream' } });
  }
  await house.ask('/dirs', { method: 'POST', body: new URLSearchParams({ path: 'trips/may' }) });
  const say = (name, message, room = 'lobby') => house.ask('/send', { method: 'POST', body: new URLSearchParams({ name, message, room }) });
  await say('bob', 'Hello <script>alert(1)</script>');
  await say('bob', 'https://example.org/' + LONG);
  await say('דניאל', 'שלום לכולם, מה שלומכם היום?');
  await say('W'.repeat(32), LONG.repeat(3));
  await say('bob', 'two\nlines');
  await say('bob', 'elsewhere', 'a-room-with-quite-a-long-name-32');
  await house.post('/admin/users', { username: 'ada', password: 'correct horse', admin: true });
  await house.post('/admin/users', { username: 'b'.repeat(32), password: 'correct horse' });
}

async function shoot(page, name) {
  if (!process.env.SHOTS) return;
  fs.mkdirSync(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`), fullPage: true });
}

async function settle(page, target) {
  await page.goto('about:blank');
  await page.goto(target, { waitUntil: 'load' });
  await page.waitForFunction(() => !/Looking|Connecting/.test(document.querySelector('main').innerText));
  await page.waitForTimeout(60);
}

async function findings(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`);
}

await play(async () => {
  const house = await House.open('house');
  await fill(house);
  const ways = [
    ['phone', { viewport: { width: 360, height: 740 }, colorScheme: 'light', bypassCSP: true }],
    ['phone-dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark', reducedMotion: 'reduce', bypassCSP: true }],
    ['desk', { viewport: { width: 1280, height: 800 }, colorScheme: 'light', bypassCSP: true }],
    ['desk-dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark', bypassCSP: true }],
  ];
  for (const [way, options] of ways.filter((_, place) => process.env.SHOTS || place % 3 === 0)) {
    await step(`every page is sound: ${way}`, async () => {
      const page = await person(house, options);
      page.on('dialog', (dialog) => check(false, `a dialog: ${dialog.message()}`));
      for (const isIn of [false, true]) {
        if (isIn) await page.request.post('/login', { form: { username: 'ada', password: 'correct horse' } });
        for (const target of PAGES.filter((each) => isIn || ['/', '/chat', '/login', '/register', '/reset-password', '/account', '/file-list', '/messages', '/missing'].includes(each))) {
          await settle(page, target);
          const name = `${target.replaceAll(/[^a-z0-9]+/g, '-')}${isIn ? '' : '-guest'}-${way}`.replace(/^-+/, '') || 'front';
          const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
          check(wide <= room, `${target} is ${wide} wide on ${room}`);
          await shoot(page, name);
          same(await findings(page), [], `${target}, ${way}${isIn ? '' : ', a guest'}`);
        }
      }
      await settle(page, '/');
      await page.getByRole('link', { name: /תמונה/ }).click();
      await page.locator('dialog img').waitFor();
      await shoot(page, `dialog-${way}`);
      same(await findings(page), [], `the dialog, ${way}`);
      await page.getByRole('button', { name: 'Rename' }).click();
      await page.locator('dialog input').waitFor();
      same(await findings(page), [], `the question, ${way}`);
      await shoot(page, `question-${way}`);
      await page.context().close();
    });
  }
});
