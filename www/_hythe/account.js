// The pages of one's account and of everybody's: what can be done with a row of a list, and the server's numbers. The forms work
// by themselves; common.js keeps them on their page.

import { $, ask, button, make, question, sizeText, tell } from './common.js';

/** Does something with a row, and shows the page as it then is. */
const deed = (text, doing, isGrave, question_) => button(text, async () => {
  if (question_ && !(await question(question_, [[text, 'yes', isGrave && 'warn']]))) return;
  try {
    await doing();
    location.reload();
  } catch (trouble) {
    tell(trouble.message);
  }
}, isGrave ? 'pale warn' : 'pale');

const end = (path) => () => ask(path, { method: 'DELETE' });

const DEEDS = {
  sessions: ({ id, current }) => (current ? ['this one'] : [deed('End', end(`sessions/${id}`), true)]),
  tokens: ({ id, label }) => [deed('Remove', end(`tokens/${id}`), true, `Remove the token “${label}”? What uses it stops working.`)],
  users: ({ name, admin, disabled }) => {
    const path = `admin/users/${encodeURIComponent(name)}`;
    const set = (json) => () => ask(path, { method: 'PATCH', json });
    return [
      button('Code', () => ask(`${path}/reset`, { method: 'POST' }).then(({ code }) => question(`A code with which ${name} sets a new password, within 15 minutes`, [], { value: code, readOnly: true }), (trouble) => tell(trouble.message)), 'pale'),
      deed(disabled ? 'Enable' : 'Disable', set({ disabled: !disabled })),
      deed(admin ? 'No admin' : 'Make admin', set({ admin: !admin })),
      button('Quota', async () => {
        const line = await question(`How many megabytes ${name} may store; 0 for no limit`, [['Set', 'yes']], { type: 'number', min: 0, value: '0' });
        if (line) await set({ quota: Number(line) * 1e6 || null })().then(() => location.reload(), (trouble) => tell(trouble.message));
      }, 'pale'),
      deed('Delete', end(path), true, `Delete ${name}? Their own files go too.`),
    ];
  },
};

/** Gives each row of a list what can be done with it. */
async function dressTable(name) {
  const table = $(name);
  const rows = table && (await ask(name === 'users' ? 'admin/users' : name).catch(() => null))?.[name];
  if (!rows) return;
  table.rows[0].append(Object.assign(make('th', '', 'Do'), { scope: 'col' }));
  [...table.rows].slice(1).forEach((row, place) => row.append(make('td', '', make('span', 'choices', ...DEEDS[name](rows[place])))));
}

async function showNumbers() {
  const text = await fetch('metrics').then((answer) => (answer.ok ? answer.text() : ''));
  const of = (name) => Number(new RegExp(`^hythe_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  if (!text) return;
  const hours = of('uptime_seconds') / 3600;
  const numbers = {
    'Up for': hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`,
    'Connections now': of('connections'),
    'Listening to the chat': of('listeners'),
    'Files stored': `${of('uploads_total')}, ${sizeText(of('uploaded_bytes_total'))}`,
    'Messages': of('messages_total'),
    'Told to come back later': of('throttled_total'),
    'Received and sent': `${sizeText(of('bytes_received_total'))}, ${sizeText(of('bytes_sent_total'))}`,
  };
  $('numbers').replaceChildren(...Object.entries(numbers).map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', String(value)))));
}

['sessions', 'tokens', 'users'].forEach(dressTable);
for (const form of document.querySelectorAll('form[action$="users"], #new-token')) {
  form.addEventListener('done', () => tell('It is in the list when the page is loaded again.'));
}
if ($('numbers') && $('users')) showNumbers();
if ($('delete-me')) {
  $('delete-me').onclick = async () => {
    const password = await question('Your password, to delete the account', [['Delete the account', 'yes', 'warn']], { type: 'password', value: '' });
    if (password) await ask('me', { method: 'DELETE', json: { password } }).then(() => location.assign('./'), (trouble) => tell(trouble.message));
  };
}
