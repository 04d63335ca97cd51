// What all pages share: elements, questions to the server, dialogs, how things are written, the navigation, forms that stay on
// their page. What others wrote is only ever set as text.

export const $ = (id) => document.getElementById(id);
export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** An address of this site, below whatever prefix it has. */
export const at = (path) => new URL('../' + path, import.meta.url).href;

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

export function button(text, press, className) {
  return Object.assign(make('button', className, text), { type: 'button', onclick: press });
}

export function link(text, href) {
  return Object.assign(make('a', '', text), { href });
}

/** What went wrong, in a sentence: the server's own where it gave one. */
export class Trouble extends Error {
  constructor(status, body, retryAfter) {
    super(body?.detail?.replace(/^./u, (first) => first.toUpperCase()).replace(/[^.!?]$/u, '$&.') || (status ? `The server answered ${status}.` : 'The server cannot be reached. Check the connection, then try again.'));
    Object.assign(this, { code: body?.code, status, waitMs: Math.min(Number(retryAfter) || 1, 60) * 1000 });
  }
}

/** Asks for JSON; anything but a good answer is a Trouble. */
export async function ask(path, { json, headers, ...options } = {}) {
  if (json) Object.assign(options, { body: JSON.stringify(json), method: options.method || 'POST' });
  const response = await fetch(at(path), {
    ...options,
    headers: { Accept: 'application/json', ...(json && { 'Content-Type': 'application/json' }), ...headers },
  }).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (!response?.ok || !body) throw new Trouble(response?.status, body, response?.headers.get('Retry-After'));
  return body;
}

/** What the server can do, who one is here, and what one may. */
export const server = ask('api').catch(() => ({ features: ['files', 'chat', 'accounts'], limits: {}, may: [], user: null, isAway: true }));

/** What is kept from visit to visit. Storage may be forbidden; the page then forgets, and works. */
export function stored(key, value, storage = 'localStorage') {
  try {
    if (value === undefined) return JSON.parse(window[storage].getItem('hythe.' + key));
    window[storage].setItem('hythe.' + key, JSON.stringify(value));
  } catch {
    return null;
  }
}

export function sizeText(bytes) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 4);
  const style = { style: 'unit', unit: units[step], unitDisplay: step ? 'short' : 'long', maximumFractionDigits: step > 1 ? 1 : 0 };
  return new Intl.NumberFormat('en', style).format(bytes / 1000 ** step);
}

export const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
export const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
export const isSameDay = (a, b) => a.toDateString() === b.toDateString();

/** A moment, as short as it can be told. */
export function timeElement(date, format = isSameDay(date, new Date()) ? clock : calendar) {
  const element = make('time', '', format.format(date));
  return Object.assign(element, { dateTime: date.toISOString(), title: date.toLocaleString() });
}

/** Says something that is over soon: it is seen at the foot of the page, and read out. */
export function tell(text) {
  const box = $('told') || document.body.appendChild(Object.assign(make('p'), { id: 'told', role: 'status' }));
  box.textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => (box.textContent = ''), 6000);
}

/** Copies a text; where the browser keeps its clipboard shut, the old way. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = Object.assign(make('textarea'), { value: text });
    (document.querySelector('dialog[open]') || document.body).append(box);
    box.select();
    document.execCommand('copy');
    box.remove();
  }
  tell('Copied.');
}

/** A dialog that asks; what is answered is the value of the button, and what was typed if there is a line to type in. */
export function question(title, answers, line) {
  const box = make('dialog', 'question');
  const input = line && Object.assign(make('input'), { type: 'text', name: 'line', required: true, ariaLabel: title, dir: 'auto', ...line });
  const form = make('form', '', make('h2', '', title), ...(input ? [input] : []));
  form.method = 'dialog';
  form.append(make('p', 'choices', ...answers.map(([text, value, className]) => Object.assign(make('button', className, text), { value })), button(answers.length ? 'Cancel' : 'Close', () => box.close(''), 'pale')));
  box.ariaLabel = title;
  box.append(form);
  document.body.append(box);
  box.showModal();
  if (input?.type === 'text') input.setSelectionRange(0, input.value.replace(/(.)\.[^.]*$/, '$1').length);
  return new Promise((done) => {
    box.onclose = () => {
      box.remove();
      done(box.returnValue && (input ? input.value.trim() : box.returnValue));
    };
  });
}

/** A code that is shown once gets a button that copies it. */
function dressCodes() {
  for (const code of document.querySelectorAll('.once code')) {
    if (code.nextElementSibling?.tagName !== 'BUTTON') code.after(' ', button('Copy', () => copy(code.textContent)));
  }
}

const WHAT = {
  recovery_code: 'The recovery code. Write it down: it is shown only now, and sets a new password for a forgotten one',
  token: 'The token. It is shown only now',
  code: 'A code that sets a new password, once and within 15 minutes',
  invite: 'An invite that makes one account, within a week',
};

/** Forms that stay on their page: what was typed is still there when something is refused. */
export async function submit(form, body = new URLSearchParams(new FormData(form))) {
  for (const old of document.querySelectorAll('main .once, main .error')) old.remove();
  const press = form.querySelector('button');
  press.disabled = true;
  try {
    const answer = await ask(form.getAttribute('action').replace(new URL(at('')).pathname, ''), { method: 'POST', body });
    const once = Object.keys(WHAT).find((name) => answer[name]);
    const next = form.dataset.next && (form.elements.next?.value || at(form.dataset.next));
    if (!once && next) return location.assign(next);
    const text = once ? [WHAT[once] + ':', make('br'), make('code', '', answer[once])] : ['Done.'];
    const note = Object.assign(make('p', 'once', ...text, ...(next ? [make('br'), link('Go on', next)] : [])), { role: 'status', tabIndex: -1 });
    form.before(note);
    form.reset();
    form.hidden = Boolean(next);
    dressCodes();
    note.focus();
    form.dispatchEvent(new Event('done', { bubbles: true }));
  } catch (trouble) {
    form.prepend(Object.assign(make('p', 'error', trouble.message), { role: 'alert' }));
  }
  press.disabled = false;
}

async function dressPage() {
  dressCodes();
  for (const time of document.querySelectorAll('main time')) time.replaceWith(timeElement(new Date(time.dateTime), moment));
  for (const form of document.querySelectorAll('form[data-stays]')) {
    form.onsubmit = (event) => {
      event.preventDefault();
      submit(form);
    };
  }
  const { user, features } = await server;
  const [files, mine, chat, account] = document.querySelectorAll('.top nav a');
  files.hidden = !features.includes('files');
  chat.hidden = !features.includes('chat');
  account.hidden = !features.includes('accounts');
  mine.hidden = files.hidden || !user;
  if (user) mine.href = at('files-ui#/~' + user);
  else if (!location.pathname.endsWith('/account')) Object.assign(account, { textContent: 'Sign in', href: at('login?next=' + encodeURIComponent(location.pathname + location.hash)) });
}

dressPage();
