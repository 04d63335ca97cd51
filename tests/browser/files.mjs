// Files: sent by chooser and by drop, and all that one does with them.

import fs from 'node:fs';
import { House, check, drop, made, person, play, same, sha, shaOfFile, step, until } from './stage.mjs';

/** Waits until a name can be typed. */
const asked = (page) => until('a name is asked for', () => page.locator('dialog input').evaluateAll((all) => all.includes(document.activeElement)));

await play(async () => {
  const house = await House.open('house');
  const page = await person(house);

  await step('the first visit fails at nothing and costs at most 60 KB', async () => {
    let bytes = 0;
    page.on('response', async (response) => {
      const { responseBodySize, responseHeadersSize } = await response.request().sizes();
      bytes += responseBodySize + responseHeadersSize;
    });
    await page.goto('/', { waitUntil: 'networkidle' });
    same(page.complaints, [], 'complaints');
    await until('it is all counted', () => bytes > 5_000);
    check(bytes <= 60_000, `${bytes} bytes`);
  });

  await step('so is the first visit of every page', async () => {
    for (const target of ['/files-ui', '/chat', '/login', '/register', '/reset-password', '/account', '/admin', '/file-list', '/messages', '/rooms']) {
      const visitor = await person(house);
      let bytes = 0;
      visitor.on('response', async (response) => {
        const { responseBodySize, responseHeadersSize } = await response.request().sizes().catch(() => ({ responseBodySize: 0, responseHeadersSize: 0 }));
        bytes += responseBodySize + responseHeadersSize;
      });
      await visitor.goto(target);
      await visitor.waitForTimeout(300);
      await until('it is all counted', () => bytes > 5_000);
      same(visitor.complaints, [], target);
      check(bytes <= 60_000, `${target} costs ${bytes} bytes`);
      await visitor.context().close();
    }
  });

  await step('a file is sent by the chooser, byte for byte', async () => {
    const file = made('photo.bin', 3_000_001);
    await page.setInputFiles('input[type=file][name=file]', file);
    await page.getByText('photo.bin').first().waitFor();
    await until('it is stored', () => fs.existsSync(house.stored('photo.bin')));
    same(shaOfFile(house.stored('photo.bin')), shaOfFile(file));
  });

  await step('a file is sent by a drop anywhere on main', async () => {
    await drop(page, 'main', [{ name: 'dropped.txt', text: 'dropped, ä' }, { name: '<b>x.txt', text: 'x' }]);
    await until('they are stored', () => fs.existsSync(house.stored('<b>x.txt')) && fs.existsSync(house.stored('dropped.txt')));
    same(sha(fs.readFileSync(house.stored('dropped.txt'))), sha('dropped, ä'));
    await page.getByRole('link', { name: '<b>x.txt' }).waitFor();
    same(await page.locator('main b').count(), 0);
  });

  await step('a folder is sent with all that is in it', async () => {
    made('trip/day one/a.txt', 10);
    made('trip/b.txt', 20);
    await page.setInputFiles('#folder', 'trip');
    await until('they are stored', () => fs.existsSync(house.stored('trip/day one/a.txt')) && fs.existsSync(house.stored('trip/b.txt')));
    await page.getByRole('link', { name: 'trip', exact: false }).first().click();
    await page.getByRole('link', { name: 'day one' }).waitFor();
    await page.getByRole('link', { name: 'All files' }).click();
    await page.getByRole('link', { name: 'dropped.txt' }).waitFor();
  });

  await step('a name that is taken is asked about: skip, keep both, replace', async () => {
    const send = (text) => drop(page, 'main', [{ name: 'dropped.txt', text }]);
    const answer = async (name) => {
      await page.getByText('There is a file of this name already.').waitFor();
      await page.getByRole('button', { name }).click();
    };
    await send('skipped');
    await answer('Skip');
    await send('both');
    await answer('Keep both');
    await until('both are there', () => fs.existsSync(house.stored('dropped (2).txt')));
    same(fs.readFileSync(house.stored('dropped.txt'), 'utf8'), 'dropped, ä');
    await send('replaced');
    await answer('Replace');
    await until('it is replaced', () => fs.readFileSync(house.stored('dropped.txt'), 'utf8') === 'replaced');
    await drop(page, 'main', [{ name: 'dropped.txt', text: 'x' }, { name: 'dropped (2).txt', text: 'y' }]);
    await page.getByText('All 2:').waitFor();
    await page.locator('#for-all').getByRole('button', { name: 'Replace' }).click();
    await until('both are replaced', () => fs.readFileSync(house.stored('dropped (2).txt'), 'utf8') === 'y');
  });

  await step('a text is looked at as text', async () => {
    await drop(page, 'main', [{ name: 'page.html', text: '<script>document.title = "caught"</script>' }]);
    await page.getByRole('link', { name: 'page.html' }).click();
    await page.locator('dialog pre').getByText('<script>document.title').waitFor();
    check((await page.title()) !== 'caught', 'a script ran');
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('dialog').getByRole('link', { name: 'Download' }).click()]);
    same(fs.readFileSync(await download.path(), 'utf8'), fs.readFileSync(house.stored('page.html'), 'utf8'));
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
  });

  await step('of a text that is gone the preview tells so', async () => {
    await drop(page, 'main', [{ name: 'gone.txt', text: 'x' }]);
    await page.getByRole('link', { name: 'gone.txt' }).waitFor();
    fs.rmSync(house.stored('gone.txt'));
    await page.getByRole('link', { name: 'gone.txt' }).click();
    await page.locator('dialog pre').getByText('there is nothing here.', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('dialog').waitFor({ state: 'detached' });
  });

  await step('a file is renamed and deleted, by the keyboard alone', async () => {
    await page.getByRole('link', { name: 'page.html' }).press('Enter');
    await page.getByRole('button', { name: 'Rename' }).press('Enter');
    await asked(page);
    await page.keyboard.type('other');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'other.html' }).waitFor();
    await until('it has its name', () => fs.existsSync(house.stored('other.html')));
    check(fs.existsSync(house.stored('other.html')) && !fs.existsSync(house.stored('page.html')), 'it is where it was');
    await page.getByRole('link', { name: 'other.html' }).press('Enter');
    await page.getByRole('button', { name: 'Delete' }).press('Enter');
    await page.getByRole('heading', { name: 'It cannot be brought back' }).waitFor();
    await page.keyboard.press('Enter');
    await until('it is gone', () => !fs.existsSync(house.stored('other.html')));
  });

  await step('a folder is made, filled, renamed, searched and left', async () => {
    await page.getByRole('button', { name: 'New folder' }).click();
    await asked(page);
    await page.keyboard.type('<i>new</i>');
    await page.keyboard.press('Enter');
    await page.getByText('a name').first().waitFor({ timeout: 1 }).catch(() => {});
    await page.getByRole('button', { name: 'New folder' }).waitFor();
    await page.getByRole('button', { name: 'New folder' }).click();
    await asked(page);
    await page.keyboard.type('fresh & new');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'fresh & new' }).click();
    await page.getByText('There is nothing in this folder.').waitFor();
    await drop(page, 'main', [{ name: 'needle.txt', text: 'n' }]);
    await page.getByRole('link', { name: 'needle.txt' }).waitFor();
    await page.locator('#folder-tools').getByRole('button', { name: 'Rename' }).click();
    await asked(page);
    await page.keyboard.press('Control+A');
    await page.keyboard.type('renamed');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/#/renamed');
    await page.getByRole('link', { name: 'needle.txt' }).waitFor();
    check(fs.existsSync(house.stored('renamed/needle.txt')), 'it is not there');
    await page.goto('/');
    await page.getByRole('searchbox').fill('needle');
    await page.getByRole('link', { name: 'renamed/needle.txt' }).waitFor();
    same(await page.locator('#list li').count(), 1);
    await page.getByRole('searchbox').fill('nothing like it');
    await page.getByText('Nothing here has “nothing like it” in its name.').waitFor();
  });

  await step('what cannot be done is told in a sentence', async () => {
    await page.goto('/#/trip');
    await page.locator('#folder-tools').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete' }).last().click();
    await page.locator('#told', { hasText: 'not empty' }).waitFor();
    await page.goto('/#/no/such');
    await page.getByText('There is no such folder.').waitFor();
  });

  await step('many files come page by page, sorted by the server', async () => {
    for (let number = 0; number < 450; number += 1) fs.writeFileSync(house.stored(`trip/${String(number).padStart(3, '0')}.txt`), 'x'.repeat(number));
    await page.goto('/#/trip');
    await page.locator('#sort').selectOption({ label: 'Largest first' });
    await page.getByRole('link', { name: '449.txt' }).waitFor();
    await page.getByRole('button', { name: 'Show more' }).click();
    // A second click while the first page is still on its way asks for nothing.
    await page.getByRole('link', { name: '060.txt' }).waitFor();
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByRole('link', { name: '000.txt' }).waitFor();
    same(await page.locator('#list li').count(), 452);
  });
});
