// The chat: two browsers talk, and nothing is lost or doubled.

import { House, person, play, same, step, until } from './stage.mjs';

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
    same([...ada.complaints, ...bob.complaints], []);
  });
});
