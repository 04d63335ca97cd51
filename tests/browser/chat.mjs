// The chat: two browsers talk, and nothing is lost or doubled.

import { House, check, listen, person, play, same, step, until } from './stage.mjs';

const texts = (page) => page.locator('#messages .text').allTextContents();

await play(async () => {
  const house = await House.open('house');
  const [ada, bob] = [await person(house), await person(house)];

  await step('two browsers talk', async () => {
    await ada.goto('/chat');
    await bob.goto('/chat');
    await ada.locator('[name=message]').fill('Hello <b>Bob</b>');
    await ada.locator('[name=message]').press('Enter');
    await bob.getByText('Hello <b>Bob</b>').waitFor();
    await bob.locator('[name=message]').fill('Hello Ada');
    await bob.locator('[name=message]').press('Enter');
    await until('both have both', async () => (await texts(ada)).length === 2 && (await texts(bob)).length === 2);
    same(await texts(ada), await texts(bob));
    same(await ada.locator('#messages b').count(), 0);
    same([...ada.complaints, ...bob.complaints], []);
  });

  const say = async (page, text) => {
    await page.locator('[name=message]').fill(text);
    await page.locator('[name=message]').press('Enter');
  };

  await step('what is said stands there at once, marked until the server has it', async () => {
    let go;
    await ada.route('**/send', async (route) => {
      await new Promise((done) => (go = done));
      await route.continue();
    });
    await say(ada, 'slowly');
    await ada.locator('.own.waiting', { hasText: 'slowly' }).getByText('Sending…').waitFor();
    await until('it is on its way', () => go);
    go();
    await ada.locator('.own:not(.waiting)', { hasText: 'slowly' }).waitFor();
    await ada.unroute('**/send');
    await bob.getByText('slowly').waitFor();
  });

  await step('the server dies and comes back, and nothing is lost or doubled', async () => {
    await house.kill();
    await ada.getByText('Reconnecting…').waitFor();
    await say(ada, 'while it was away 1');
    await say(ada, 'while it was away 2');
    await ada.getByText('Not sent yet.').first().waitFor();
    await house.start();
    await house.ask('/send', { method: 'POST', body: new URLSearchParams({ message: 'from outside', name: 'eve' }) });
    const all = (page) => async () => (await texts(page)).length === 6 && (await page.locator('.waiting').count()) === 0;
    await until('ada has all', all(ada));
    await until('bob has all', all(bob));
    same(await texts(ada), await texts(bob));
    same((await texts(ada)).slice(3).sort(), ['from outside', 'while it was away 1', 'while it was away 2']);
  });

  await step('an answer that is lost makes no second message', async () => {
    await ada.route('**/send', async (route) => {
      await route.fetch();
      await route.abort();
    }, { times: 1 });
    await say(ada, 'only once');
    await until('it is acknowledged', async () => (await ada.locator('.waiting').count()) === 0);
    await bob.getByText('only once').waitFor();
    await ada.reload();
    await ada.getByText('only once').first().waitFor();
    same((await texts(ada)).filter((text) => text === 'only once').length, 1);
    const { messages } = await house.ask('/messages');
    same(messages.filter(({ message }) => message === 'only once').length, 1);
  });

  await step('what is refused is told, and can be sent again or thrown away', async () => {
    await house.post('/admin/users', { username: 'carol', password: 'correct horse' });
    await ada.locator('#name').fill('Carol');
    await say(ada, 'as somebody else');
    await ada.getByRole('alert').getByText("Not sent. Carol is an account's name.").waitFor();
    await ada.locator('#name').fill('ada');
    await ada.getByRole('button', { name: 'Send again' }).click();
    await bob.getByText('as somebody else').waitFor();
    await ada.getByText('Live').waitFor();
  });

  await step('who types is seen, and who is there', async () => {
    await ada.locator('[name=message]').pressSequentially('hm');
    await bob.getByText('ada is typing…').waitFor();
    await bob.locator('#who', { hasText: 'ada' }).waitFor();
    await ada.locator('[name=message]').fill('');
  });

  await step('rooms are apart, and what is unread in others is counted', async () => {
    await bob.locator('#room').fill('den');
    await bob.getByRole('button', { name: 'Open' }).click();
    await bob.getByText('No one has spoken here yet.').waitFor();
    await say(bob, 'in the den');
    await until('it is there', async () => (await texts(bob)).length === 1);
    await say(ada, 'in the lobby <i>1</i>');
    await say(ada, 'in the lobby 2');
    await bob.getByRole('link', { name: 'lobby 2 new' }).waitFor();
    same(await texts(bob), ['in the den']);
    await bob.getByRole('link', { name: 'lobby 2 new' }).click();
    await bob.getByText('in the lobby 2').waitFor();
    await ada.reload();
    await ada.getByRole('link', { name: 'den' }).click();
    await ada.getByText('in the den').waitFor();
    await ada.goto('/chat');
  });

  await step('the history goes back without end', async () => {
    for (let number = 0; number < 350; number += 1) {
      await house.ask('/send', { method: 'POST', body: new URLSearchParams({ message: `number ${number}`, name: 'eve', room: 'long' }) });
    }
    await bob.goto('/chat#long');
    await bob.getByText('number 349', { exact: true }).waitFor();
    check((await texts(bob)).length < 350, 'all came at once');
    await until('the first is there', async () => {
      await bob.locator('#log').evaluate((log) => (log.scrollTop = 0));
      return (await texts(bob)).length === 350;
    });
    same((await texts(bob))[0], 'number 0');
    same((await texts(bob)).map((text) => Number(text.slice(7))), [...Array(350).keys()]);
  });

  await step('several tabs have one line, and the next takes it over', async () => {
    const lines = [];
    const context = ada.context();
    const tabs = [ada];
    await ada.goto('about:blank');
    for (let number = 0; number < 3; number += 1) {
      const tab = number ? listen(await context.newPage()) : ada;
      tab.on('websocket', () => lines.push(number));
      await tab.goto('/chat');
      await tab.getByText('Live').waitFor();
      if (number) tabs.push(tab);
    }
    same([...new Set(lines)], [0], 'who opened lines');
    await house.ask('/send', { method: 'POST', body: new URLSearchParams({ message: 'to all tabs', name: 'eve' }) });
    for (const tab of tabs) await tab.getByText('to all tabs').waitFor();
    await tabs[0].goto('about:blank');
    await house.ask('/send', { method: 'POST', body: new URLSearchParams({ message: 'to the others', name: 'eve' }) });
    for (const tab of tabs.slice(1)) await tab.getByText('to the others').waitFor();
    await tabs[1].close();
    await tabs[2].close();
  });

  for (const [name, block] of [
    ['event stream', () => { window.WebSocket = class { constructor() { throw new Error('no sockets here'); } }; }],
    ['long poll', () => {
      window.WebSocket = class { constructor() { throw new Error('no sockets here'); } };
      window.EventSource = class { constructor() { setTimeout(() => this.onerror()); } addEventListener() {} close() {} };
    }],
  ]) {
    await step(`where WebSockets do not pass, it goes by ${name}`, async () => {
      const carl = await person(house);
      await carl.addInitScript(block);
      await carl.goto('/chat');
      await carl.locator('#link[data-state=live]').waitFor();
      await say(bob, `over ${name}?`);
      const heard = bob.url().includes('#long') ? bob.goto('/chat').then(() => say(bob, `over ${name}`)) : say(bob, `over ${name}`);
      await heard;
      await carl.getByText(`over ${name}`, { exact: true }).waitFor();
      await say(carl, `back by ${name}`);
      await bob.getByText(`back by ${name}`).waitFor();
      await house.restart();
      await say(bob, `again over ${name}`);
      await carl.getByText(`again over ${name}`).waitFor();
      same((await texts(carl)).filter((text) => text === `back by ${name}`).length, 1);
      await carl.context().close();
    });
  }
});
