// Accounts: from making one to a new password and back in; tokens, sessions, one's own files, and those who look after others.

import fs from 'node:fs';
import { House, check, person, play, same, step, until } from './stage.mjs';

const PASSWORD = 'correct horse';

async function signIn(page, name, password = PASSWORD) {
  await page.goto('/login');
  await page.getByLabel('Username').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

// The link to one's files is there for those who may not follow it too.
const isIn = (page) => page.waitForURL((url) => !url.pathname.endsWith('/login'));

await play(async () => {
  const house = await House.open('house');
  const page = await person(house, { permissions: ['clipboard-read', 'clipboard-write'] });
  let code;

  await step('an account is made, and its recovery code is shown once and copied', async () => {
    await page.goto('/register');
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Password').fill('short');
    await page.getByRole('button', { name: 'Make the account' }).click();
    check(page.url().endsWith('/register'), 'it went on');
    await page.getByLabel('Password').fill('password1');
    await page.getByRole('button', { name: 'Make the account' }).click();
    await page.getByRole('alert').getByText('one of the first that are guessed').waitFor();
    same(await page.getByLabel('Username').inputValue(), 'ada', 'what was typed');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Make the account' }).click();
    code = await page.locator('.once code').innerText();
    await page.getByRole('button', { name: 'Copy' }).click();
    await until('it is copied', async () => (await page.evaluate(() => navigator.clipboard.readText())) === code);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.goto('/login');
    check(!(await page.content()).includes(code), 'it is shown again');
  });

  await step('a wrong password is told, a right one leads where one wanted to go', async () => {
    await page.goto('/sessions');
    check(page.url().includes('/login?next=%2Fsessions'), page.url());
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Password').fill('wrong horse');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('The username or the password is not right.').waitFor();
    same(await page.getByLabel('Username').inputValue(), 'ada', 'what was typed');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByLabel('Password').press('Enter');
    await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  });

  await step('one signs out, sets a new password with the code, and signs in with it', async () => {
    await page.goto('/account');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('link', { name: 'Sign in' }).click();
    await page.getByRole('link', { name: 'Forgot the password?' }).click();
    await page.getByLabel('Username').fill('ada');
    await page.getByLabel('Code').fill('AAAA-BBBB');
    await page.getByLabel('New password').fill('another horse');
    await page.getByRole('button', { name: 'Set the password' }).click();
    await page.getByRole('alert').getByText('The code is not right').waitFor();
    same(await page.getByLabel('Code').inputValue(), 'AAAA-BBBB', 'what was typed');
    await page.getByLabel('Code').fill(code);
    await page.getByLabel('New password').fill('another horse');
    await page.getByRole('button', { name: 'Set the password' }).click();
    const next = await page.locator('.once code').innerText();
    check(next !== code, 'it is the same code');
    await signIn(page, 'ada', 'another horse');
    await isIn(page);
  });

  await step('a password is changed', async () => {
    await page.goto('/account');
    await page.getByLabel('Password now').fill('another horse');
    await page.getByLabel('New password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Change it' }).click();
    await page.getByText('Done.').waitFor();
  });

  await step('my files are mine', async () => {
    await page.goto('/');
    await page.getByRole('link', { name: 'My files' }).click();
    await page.getByRole('heading', { name: 'My files' }).waitFor();
    await page.setInputFiles('input[type=file][name=file]', { name: 'mine.txt', mimeType: 'text/plain', buffer: Buffer.from('mine') });
    await page.getByRole('link', { name: 'mine.txt' }).waitFor();
    check(!fs.existsSync(house.stored('mine.txt')), 'it is shared');
    const eve = await person(house);
    await eve.goto('/#/~ada');
    await eve.getByText('There is no such folder.').waitFor();
    await eve.context().close();
    await page.goto('/');
    await page.getByText('Nothing is shared yet.').waitFor();
  });

  await step('a token is made, shown once, used and removed', async () => {
    await page.goto('/account');
    await page.getByLabel('What it is for').fill('<b>backup</b>');
    await page.getByLabel('change files').check();
    await page.getByRole('button', { name: 'Make the token' }).click();
    const token = await page.locator('.once code').innerText();
    const answer = await fetch(house.at('/me'), { headers: { Authorization: `Bearer ${token}` } });
    same((await answer.json()).user, 'ada');
    await page.getByRole('cell', { name: '<b>backup</b>' }).waitFor();
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.locator('#tokens').waitFor({ state: 'detached' });
    same((await fetch(house.at('/me'), { headers: { Authorization: `Bearer ${token}` } })).status, 401);
  });

  await step('another session is ended', async () => {
    const other = await person(house);
    await signIn(other, 'ada');
    await isIn(other);
    await page.reload();
    await page.getByText('this one').waitFor();
    await page.getByRole('button', { name: 'End' }).first().click();
    await page.getByRole('button', { name: 'End' }).waitFor({ state: 'detached' });
    await other.goto('/account');
    await other.getByText('You are not signed in.').waitFor();
    await other.context().close();
  });

  await step('an admin looks after users, and their names are text', async () => {
    await page.goto('/admin');
    await page.getByText('This is for admins.').waitFor();
    await house.ask('/admin/users/ada', { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: '{"admin":true}' });
    await page.reload();
    await page.getByText('Up for').waitFor();
    await page.getByLabel('Username').fill('eve');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Make it' }).click();
    await page.locator('.once code').waitFor();
    const eve = page.getByRole('row', { name: /^eve/ });
    await eve.getByRole('button', { name: 'Disable' }).click();
    await eve.getByRole('button', { name: 'Enable' }).click();
    await eve.getByRole('button', { name: 'Code' }).click();
    await page.getByText('sets a new password, once and within 15 minutes').waitFor();
    const once = await page.locator('.once code').innerText();
    const other = await person(house);
    await other.goto('/reset-password');
    await other.getByLabel('Username').fill('eve');
    await other.getByLabel('Code').fill(once);
    await other.getByLabel('New password').fill('third horse');
    await other.getByRole('button', { name: 'Set the password' }).click();
    await other.locator('.once code').waitFor();
    await other.context().close();
    await eve.getByLabel('Bytes that eve may store').fill('5000000');
    await eve.getByRole('button', { name: 'Quota' }).click();
    await eve.getByText('5.0 MB').waitFor();
    await page.getByRole('button', { name: 'Give one out' }).click();
    await page.locator('.once code').waitFor();
    await eve.getByRole('button', { name: 'Delete' }).click();
    await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
    await eve.waitFor({ state: 'detached' });
  });

  await step('an account is deleted by whom it belongs to', async () => {
    await page.goto('/account');
    const end = async (password) => {
      await page.getByLabel('Password, to be sure').fill(password);
      await page.getByRole('button', { name: 'Delete the account' }).click();
      await page.locator('dialog').getByRole('button', { name: 'Delete the account' }).click();
    };
    await end('wrong');
    await page.getByRole('alert').getByText('not right').waitFor();
    await end(PASSWORD);
    await page.waitForURL((url) => url.pathname === '/');
    await page.goto('/account');
    await page.getByText('You are not signed in.').waitFor();
  });

  await step('where guests may do nothing, they are told what to do', async () => {
    const shut = await House.open('shut', ['--shared-read', 'user', '--shared-write', 'user', '--chat-read', 'user', '--chat-write', 'user', '--signup', 'closed']);
    const guest = await person(shut);
    await guest.goto('/', { waitUntil: 'networkidle' });
    await guest.getByText('The files are for those who are signed in.').waitFor();
    await guest.goto('/chat', { waitUntil: 'networkidle' });
    await guest.getByText('The chat is for those who are signed in.').waitFor();
    same(guest.complaints, []);
    await guest.goto('/register');
    await guest.getByText('No accounts are made here').waitFor();
    await guest.goto('/messages');
    check(guest.url().includes('/login?next=%2Fmessages'), guest.url());
  });

  await step('all of it works below a prefix', async () => {
    const below = await House.open('below', ['--path-prefix', '/p']);
    const visitor = await person(below);
    await visitor.goto(new URL('/p/', below.url).href, { waitUntil: 'networkidle' });
    same(visitor.complaints, []);
    await visitor.setInputFiles('input[type=file][name=file]', { name: 'below.txt', mimeType: 'text/plain', buffer: Buffer.from('below') });
    await visitor.getByRole('link', { name: 'below.txt' }).click();
    await visitor.locator('dialog pre').getByText('below').waitFor();
    await visitor.keyboard.press('Escape');
    await visitor.getByRole('link', { name: 'Chat' }).click();
    await visitor.getByText('Live').waitFor();
    await visitor.locator('[name=message]').fill('Hello from below');
    await visitor.locator('[name=message]').press('Enter');
    await visitor.locator('.own:not(.waiting)', { hasText: 'Hello from below' }).waitFor();
    await visitor.getByRole('link', { name: 'Sign in' }).click();
    await visitor.getByRole('link', { name: 'Make an account' }).click();
    await visitor.getByLabel('Username').fill('ada');
    await visitor.getByLabel('Password').fill(PASSWORD);
    await visitor.getByRole('button', { name: 'Make the account' }).click();
    await visitor.locator('.once code').waitFor();
    await visitor.getByLabel('Username').fill('ada');
    await visitor.getByLabel('Password').fill(PASSWORD);
    await visitor.getByRole('button', { name: 'Sign in' }).click();
    await visitor.waitForURL((url) => !/\/(login|register)$/.test(url.pathname));
    await visitor.getByRole('link', { name: 'My files' }).click();
    await visitor.getByRole('heading', { name: 'My files' }).waitFor();
    check(new URL(visitor.url()).pathname === '/p/files-ui', visitor.url());
  });
});
