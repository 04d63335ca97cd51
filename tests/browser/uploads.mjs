// Large uploads: cut and taken up again, paused, given up, and gone on with after the page was loaded anew.

import fs from 'node:fs';
import { House, check, made, person, play, same, shaOfFile, step, until } from './stage.mjs';

const CHOOSER = 'input[type=file][name=file]';

/** Slows a page's uploads down, so that there is a middle to cut them in. */
async function slow(page, bytesPerSecond) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytesPerSecond });
}

/** Where an upload is, once the page has written it down. The one before it may be there still: a file takes its place before the page hears so. */
async function placeOf(page, name) {
  const all = await page.evaluate(() => JSON.parse(localStorage['hythe.uploads'] || '[]'));
  return all.find((one) => one.name === name)?.url;
}

/** How much of an upload has come, as the server has it. */
async function offset(page, name) {
  const url = await placeOf(page, name);
  return url ? page.evaluate((url) => fetch(url).then((answer) => answer.json()).then(({ offset }) => offset), url) : 0;
}

/** Waits until the page too has heard that it is stored: until then there are buttons beside it. */
async function stored(page, house, name) {
  await until('it is stored', () => fs.existsSync(house.stored(name)), 200_000);
  await until('the page has heard so', async () => (await row(page, name).getByRole('button').count()) === 0);
}

const row = (page, name) => page.locator('#upload-list li', { hasText: name });

await play(async () => {
  const house = await House.open('house');
  const page = await person(house);
  const offsets = [];
  page.on('request', (request) => request.method() === 'PATCH' && offsets.push(Number(request.headers()['upload-offset'])));

  await step('200 MiB are cut by the death of the server, and come through whole', async () => {
    const file = made('large.bin', 200 << 20);
    await page.goto('/');
    await slow(page, 60 << 20);
    await page.setInputFiles(CHOOSER, file);
    await page.getByText(/ % of 209/).waitFor();
    await until('a good part has come', async () => (await offset(page, 'large.bin')) > 40 << 20);
    await house.kill();
    await page.getByText('the connection was lost, trying again').waitFor();
    await slow(page, -1);
    await house.start();
    await stored(page, house, 'large.bin');
    await page.getByText('large.bin is stored.').waitFor();
    same(shaOfFile(house.stored('large.bin')), shaOfFile(file));
    check(offsets.length >= 2 && offsets.at(-1) > 0, `it began anew: ${offsets}`);
  });

  await step('an upload is paused and goes on', async () => {
    const file = made('paused.bin', 40 << 20);
    await slow(page, 2 << 20);
    await page.setInputFiles(CHOOSER, file);
    await until('some of it has come', async () => (await offset(page, 'paused.bin')) > 1 << 20);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('paused', { exact: false }).first().waitFor();
    const before = offsets.length;
    await page.waitForTimeout(300);
    same(offsets.length, before);
    await slow(page, -1);
    await page.getByRole('button', { name: 'Go on' }).click();
    await stored(page, house, 'paused.bin');
    check(offsets.at(-1) > 0, 'it began anew');
    same(shaOfFile(house.stored('paused.bin')), shaOfFile(file));
  });

  await step('an upload goes on after the page was loaded anew', async () => {
    const file = made('reloaded.bin', 40 << 20);
    await slow(page, 2 << 20);
    await page.setInputFiles(CHOOSER, file);
    await until('some of it has come', async () => (await offset(page, 'reloaded.bin')) > 1 << 20);
    await page.reload();
    await page.getByText('had come through.').waitFor();
    await slow(page, -1);
    await page.setInputFiles(CHOOSER, file);
    await stored(page, house, 'reloaded.bin');
    check(offsets.at(-1) > 0, 'it began anew');
    same(shaOfFile(house.stored('reloaded.bin')), shaOfFile(file));
  });

  await step('what is chosen while the page still asks for what was left is one upload', async () => {
    const early = await person(house);
    // The page waits so long for other tabs to say what they have under way.
    await early.addInitScript(() => {
      const after = window.setTimeout;
      window.setTimeout = (call, ms) => after(call, ms === 200 ? 2000 : ms);
    });
    await early.goto('/');
    await slow(early, 2 << 20);
    await early.setInputFiles(CHOOSER, made('early.bin', 40 << 20));
    await until('some of it has come', async () => (await offset(early, 'early.bin')) > 0);
    await early.waitForTimeout(3000);
    same(await row(early, 'early.bin').count(), 1);
    await slow(early, -1);
    await stored(early, house, 'early.bin');
    await early.close();
  });

  await step('an upload that is given up leaves nothing', async () => {
    await slow(page, 2 << 20);
    await page.setInputFiles(CHOOSER, made('cancelled.bin', 40 << 20));
    await until('some of it has come', async () => (await offset(page, 'cancelled.bin')) > 1 << 20);
    const url = await placeOf(page, 'cancelled.bin');
    await row(page, 'cancelled.bin').getByRole('button', { name: 'Cancel' }).click();
    await until('the server has forgotten it', async () => (await fetch(house.at(url))).status === 404);
    await until('the page too', async () => (await row(page, 'cancelled.bin').count()) === 0);
    check(!fs.existsSync(house.stored('cancelled.bin')), 'it is there');
  });
});
