// Every form, with script switched off.

import fs from 'node:fs';
import { House, check, made, person, play, same, shaOfFile, step, until } from './stage.mjs';

const PASSWORD = 'correct horse';

await play(async () => {
  const house = await House.open('house');
  const page = await person(house, { javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  const press = (name) => page.getByRole('button', { name, exact: true }).first().click();

  await step('a file is sent from the front page, listed and downloaded', async () => {
    const file = made('photo.bin', 2_000_003);
    await page.goto('/');
    await page.setInputFiles('input[type=file][name=file]', file);
    await press('Upload');
    await until('it is stored', () => fs.existsSync(house.stored('photo.bin')));
    await page.waitForURL(house.at('/'));
    same(shaOfFile(house.stored('photo.bin')), shaOfFile(file));
    await page.getByRole('link', { name: 'The list of files' }).click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'photo.bin' }).click()]);
    same(shaOfFile(await download.path()), shaOfFile(file));
  });

  await step('what is refused is told on the page', async () => {
    await page.goto('/');
    await page.setInputFiles('input[type=file][name=file]', 'photo.bin');
    await press('Upload');
    await page.getByRole('alert').getByText('photo.bin exists').or(page.getByRole('alert').getByText('taken')).waitFor();
    check(await page.locator('input[type=file][name=file]').isVisible(), 'the form is gone');
  });

  await step('a folder is made and filled; a file is renamed and deleted', async () => {
    await page.goto('/file-list');
    await page.getByLabel('New folder').fill('trips & more');
    await press('Make the folder');
    await page.getByRole('link', { name: 'trips & more/' }).click();
    await page.setInputFiles('input[type=file]', { name: '<i>a</i>.txt', mimeType: 'text/plain', buffer: Buffer.from('a') });
    await press('Upload');
    await until('it is stored', () => ['i>.txt', '<i>a</i>.txt'].some((name) => fs.existsSync(house.stored(`trips & more/${name}`))));
    await page.waitForURL('**/file-list?prefix=trips*');
    await page.getByText('Change', { exact: true }).last().click();
    await page.getByLabel('New path').last().fill('trips & more/b.txt');
    await press('Rename');
    await page.getByRole('link', { name: 'b.txt' }).waitFor();
    await page.getByText('Change', { exact: true }).last().click();
    await press('Delete');
    await page.getByText('There is nothing here.').waitFor();
    check(page.url().includes('/file-list?prefix=trips'), page.url());
  });

  await step('files are searched and sorted', async () => {
    await page.goto('/file-list');
    await page.getByLabel('Search the files').fill('photo');
    await press('Show');
    await page.getByRole('link', { name: 'photo.bin' }).waitFor();
    await until('the others are not', async () => (await page.getByRole('link', { name: 'trips & more/' }).count()) === 0);
  });

  let code;
  await step('an account is made, its code shown once; one signs in', async () => {
    await page.goto('/register');
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Password').fill(PASSWORD);
    await press('Make the account');
    code = await page.locator('.once code').innerText();
    await page.goto('/sessions');
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Password').fill('wrong horse');
    await press('Sign in');
    await page.getByRole('alert').getByText('The username or the password is not right.').waitFor();
    same(await page.getByLabel('Username').inputValue(), 'ada');
    await page.getByLabel('Password').fill(PASSWORD);
    await press('Sign in');
    await page.waitForURL(house.at('/sessions'));
    check(!(await page.content()).includes(code), 'the code is shown again');
  });

  await step('my files are reached and filled', async () => {
    await page.getByRole('link', { name: 'My files' }).click();
    await page.getByRole('heading', { name: 'Files in ~ada' }).waitFor();
    await page.setInputFiles('input[type=file]', { name: 'mine.txt', mimeType: 'text/plain', buffer: Buffer.from('mine') });
    await press('Upload');
    await page.getByRole('link', { name: 'mine.txt' }).waitFor();
    check(!fs.existsSync(house.stored('mine.txt')), 'it is shared');
  });

  await step('one talks and reads', async () => {
    await page.goto('/chat');
    await page.locator('[name=message]').fill('Hello <b>all</b>');
    await press('Send');
    await page.getByText('Hello <b>all</b>').waitFor();
    await page.getByLabel('Message').fill('again');
    await press('Send');
    await page.getByText('again').waitFor();
    await page.getByRole('link', { name: 'All rooms' }).click();
    await page.getByRole('link', { name: 'lobby' }).waitFor();
    await page.goto('/messages?room=den');
    await page.getByLabel('Message').fill('in the den');
    await press('Send');
    await page.getByText('in the den').waitFor();
    same(page.url(), house.at('/messages?room=den'));
  });

  await step('a password is changed, a token made, one signs out and sets a new password', async () => {
    await page.goto('/account');
    await page.getByLabel('Password now').fill('not it');
    await page.getByLabel('New password').fill('another horse');
    await press('Change it');
    await page.getByRole('alert').getByText('not right').waitFor();
    await page.getByLabel('Password now').fill(PASSWORD);
    await page.getByLabel('New password').fill('another horse');
    await press('Change it');
    await page.getByText('Signed in as ada').waitFor();
    await page.getByLabel('What it is for').fill('backup');
    await press('Make the token');
    check((await page.locator('.once code').innerText()).startsWith('hyt_'), 'no token');
    await page.getByRole('cell', { name: 'backup' }).waitFor();
    await press('Remove');
    await page.getByText('Done.').waitFor();
    await until('it is gone', async () => (await page.getByRole('cell', { name: 'backup' }).count()) === 0);
    const other = await person(house);
    await other.request.post('/login', { form: { username: 'ada', password: 'another horse' } });
    await page.reload();
    await press('End');
    await page.getByText('Done.').waitFor();
    await until('it has ended', async () => (await other.request.get('/me')).status() === 401);
    await other.context().close();
    await press('Sign out');
    await page.goto('/reset-password');
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Code').fill(code);
    await page.getByLabel('New password').fill(PASSWORD);
    await press('Set the password');
    await page.locator('.once code').waitFor();
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Password').fill(PASSWORD);
    await press('Sign in');
    await page.goto('/account');
    await page.getByText('Signed in as ada').waitFor();
  });

  await step('an admin makes accounts and gives out invites', async () => {
    await house.ask('/admin/users/ada', { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: '{"admin":true}' });
    await page.goto('/admin');
    await page.getByLabel('Username').fill('eve');
    await page.getByLabel('Password').fill(PASSWORD);
    await press('Make it');
    await page.getByRole('cell', { name: 'eve' }).waitFor();
    await press('Give one out');
    await page.locator('.once code').waitFor();
    const eve = page.getByRole('row', { name: /^eve/ });
    await eve.getByRole('button', { name: 'Disable' }).click();
    await eve.getByRole('button', { name: 'Enable' }).click();
    await eve.getByLabel('Bytes that eve may store').fill('5000000');
    await eve.getByRole('button', { name: 'Quota' }).click();
    await eve.getByText('5.0 MB').waitFor();
    await eve.getByRole('button', { name: 'Code' }).click();
    await page.getByText('sets a new password, once and within 15 minutes').waitFor();
    await eve.getByRole('button', { name: 'Delete' }).click();
    await eve.waitFor({ state: 'detached' });
  });

  await step('an account is deleted by whom it belongs to', async () => {
    await page.goto('/account');
    await page.getByLabel('Password, to be sure').fill(PASSWORD);
    await press('Delete the account');
    await page.goto('/account');
    await page.getByText('You are not signed in.').waitFor();
  });
});
