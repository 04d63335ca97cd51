// The pages of one's account and of everybody's: what can be done with a row of a list, and the server's numbers. The forms work
// by themselves; common.js keeps them on their page.

import { $, ask, button, make, question, sizeText, tell } from './common.js';

/** A button that does something, and shows the page as it then is. */
const deed = (text, doing, className, isSure = () => true) => button(text, async () => {
  const answer = await isSure();
  if (answer) await doing(answer).then(() => location.reload(), (trouble) => tell(trouble.message));
}, className);

const end = (path) => () => ask(path, { method: 'DELETE' });
const grave = (title, answer) => () => question(title, answer, { isGrave: true });

const DEEDS = {
  sessions: ({ id, current }) => (current ? ['this one'] : [deed('End', end(`sessions/${id}`), 'pale warn')]),
  tokens: ({ id, label }) => [deed('Remove', end(`tokens/${id}`), 'pale warn', grave(`Remove the token “${label}”? What uses it stops working.`, 'Remove'))],
  users: ({ name, admin, disabled }) => {
    const path = `admin/users/${name}`;
    const set = (json) => ask(path, { method: 'PATCH', json });
    const giveCode = ({ code }) => question(`A code with which ${name} sets a new password, within 15 minutes`, '', { line: { value: code, readOnly: true } });
    return [
      button('Code', () => ask(`${path}/reset`, { method: 'POST' }).then(giveCode, (trouble) => tell(trouble.message))),
      deed(disabled ? 'Enable' : 'Disable', () => set({ disabled: !disabled })),
      deed(admin ? 'No admin' : 'Make admin', () => set({ admin: !admin })),
      deed('Quota', (line) => set({ quota: line * 1e6 || null }), 'pale', () => question(`How many megabytes ${name} may store; 0 for no limit`, 'Set', { line: { type: 'number', min: 0, value: 0 } })),
      deed('Delete', end(path), 'pale warn', grave(`Delete ${name}? Their own files go too.`, 'Delete')),
    ];
  },
};

/** Gives each row of a list what can be done with it. */
async function dressTable(name) {
  const table = $(name);
  const found = table && (await ask(name === 'users' ? 'admin/users' : name).catch(() => null));
  if (!found) return;
  const [head, ...rows] = table.rows;
  head.append(make('th', { scope: 'col' }, 'Do'));
  rows.forEach((row, place) => row.append(make('td', '', make('span', 'choices', ...DEEDS[name](found[name][place])))));
}

async function showNumbers() {
  const text = await fetch('metrics').then((answer) => (answer.ok ? answer.text() : ''));
  const of = (name) => +(new RegExp(`^hythe_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  const numbers = {
    'Up for': `${(of('uptime_seconds') / 3600).toFixed(1)} hours`,
    'Connections now': of('connections'),
    'Listening to the chat': of('listeners'),
    'Files stored': `${of('uploads_total')}, ${sizeText(of('uploaded_bytes_total'))}`,
    'Messages': of('messages_total'),
    'Told to come back later': of('throttled_total'),
    'Received and sent': `${sizeText(of('bytes_received_total'))}, ${sizeText(of('bytes_sent_total'))}`,
  };
  if (text) $('numbers').append(...Object.entries(numbers).map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))));
}

Object.keys(DEEDS).forEach(dressTable);
if ($('numbers')) showNumbers();
if ($('delete-me')) {
  $('delete-me').onclick = async () => {
    const password = await question('Your password, to delete the account', 'Delete the account', { line: { type: 'password' }, isGrave: true });
    if (password) await ask('me', { method: 'DELETE', json: { password } }).then(() => location.assign('./'), (trouble) => tell(trouble.message));
  };
}
