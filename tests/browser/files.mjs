// Files: sent by chooser and by drop, and all that one does with them.

import fs from 'node:fs';
import { House, check, drop, made, person, play, same, sha, shaOfFile, step, until } from './stage.mjs';

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
    check(bytes > 5_000 && bytes <= 60_000, `${bytes} bytes`);
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
    await until('it is stored', () => fs.existsSync(house.stored('<b>x.txt')));
    same(sha(fs.readFileSync(house.stored('dropped.txt'))), sha('dropped, ä'));
    await page.getByRole('link', { name: '<b>x.txt' }).waitFor();
  });
});
