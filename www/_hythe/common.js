// What all pages share: elements, questions to the server, dialogs, how things are written, the navigation, forms that stay on
// their page. What others wrote is only ever set as text.

export const $ = (id) => document.getElementById(id);
export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** An address of this site, below its prefix. */
export const at = (path) => new URL('../' + path, import.meta.url).href;

/** An element: its properties, or just its class, and what is in it. */
export function make(tag, facts, ...children) {
	const element = Object.assign(document.createElement(tag), typeof facts === 'string' ? { className: facts } : facts);
	element.append(...children);
	return element;
}

export const button = (text, onclick, className = 'pale') => make('button', { type: 'button', onclick, className }, text);
export const link = (text, href, facts) => make('a', { href, ...facts }, text);
export const signIn = () => link('Sign in', at('login?next=' + encodeURIComponent(location.pathname + location.hash)));

/** What went wrong, in a sentence. */
export class Trouble extends Error {
	constructor(status, body, retryAfter) {
		super(body?.detail?.replace(/^./u, (first) => first.toUpperCase()).replace(/[^.!?]$/u, '$&.') || (status ? `The server answered ${status}.` : 'The server cannot be reached.'));
		Object.assign(this, { code: body?.code, status, waitMs: Math.min(+retryAfter || 1, 60) * 1000 });
	}
}

/** Asks; anything but a good answer is a Trouble. */
export async function fetched(url, { headers, ...options } = {}) {
	const answer = await fetch(url, { ...options, headers: { Accept: 'application/json', ...headers } }).catch(() => null);
	if (!answer?.ok) throw new Trouble(answer?.status, await answer?.json().catch(() => null), answer?.headers.get('Retry-After'));
	return answer;
}

/** Asks for JSON, and sends it. */
export async function ask(path, { json, ...options } = {}) {
	if (json) options = { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(json), ...options, method: options.method || 'POST' };
	return (await fetched(at(path), options)).json();
}

/** What the server can do, who one is here, and what one may. */
export const server = ask('api').catch(() => ({ features: ['files', 'chat', 'accounts'], limits: {}, may: [], user: null, isAway: true }));

/** What is kept from visit to visit, unless storage is forbidden. */
export function stored(key, value, storage = 'localStorage') {
	try {
		if (value === undefined) return JSON.parse(window[storage].getItem('hythe.' + key));
		window[storage].setItem('hythe.' + key, JSON.stringify(value));
	} catch {
		return null;
	}
}

export function sizeText(bytes) {
	const step = Math.min(Math.floor(Math.log10(bytes || 1) / 3), 4);
	return `${(bytes / 1000 ** step).toFixed(step > 1 ? 1 : 0)} ${['bytes', 'kB', 'MB', 'GB', 'TB'][step]}`;
}

export const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
export const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
export const isSameDay = (a, b) => a.toDateString() === b.toDateString();

/** A moment, as short as it can be told. */
export const timeElement = (date, format = isSameDay(date, new Date()) ? clock : calendar) =>
	make('time', { dateTime: date.toISOString(), title: date.toLocaleString() }, format.format(date));

/** Says something that is over soon. */
export function tell(text) {
	const box = $('told') || document.body.appendChild(make('p', { id: 'told', role: 'status' }));
	box.textContent = text;
	clearTimeout(tell.timer);
	tell.timer = setTimeout(() => (box.textContent = ''), 6000);
}

/** Copies a text; where the browser keeps its clipboard shut, the old way. */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const box = make('textarea', { value: text });
		(document.querySelector('dialog[open]') || document.body).append(box);
		box.select();
		document.execCommand('copy');
		box.remove();
	}
	tell('Copied.');
}

export function dialog(className, name, ...children) {
	const box = make('dialog', { className, ariaLabel: name }, ...children);
	box.addEventListener('close', () => box.remove());
	document.body.append(box);
	box.showModal();
	return box;
}

/** Asks somebody; the answer is what was typed, or the name of the button. */
export function question(title, answer, { line, isGrave } = {}) {
	const input = line && make('input', { required: true, ariaLabel: title, dir: 'auto', ...line });
	const buttons = make('p', 'choices', ...(answer ? [make('button', { value: answer, className: isGrave ? 'warn' : '' }, answer)] : []), button(answer ? 'Cancel' : 'Close', () => box.close()));
	const box = dialog('question', title, make('form', { method: 'dialog' }, make('h2', '', title), ...(input ? [input] : []), buttons));
	if (input?.type === 'text') input.setSelectionRange(0, input.value.replace(/(.)\.[^.]*$/, '$1').length);
	return new Promise((done) => (box.onclose = () => done(box.returnValue && (input ? input.value.trim() : box.returnValue))));
}

function dressCodes() {
	for (const code of document.querySelectorAll('.once code')) {
		if (code.nextElementSibling?.tagName !== 'BUTTON') code.after(' ', button('Copy', () => copy(code.textContent)));
	}
}

const ONCE = {
	recovery_code: 'The recovery code. Write it down: it is shown only now, and sets a new password for a forgotten one',
	token: 'The token. It is shown only now',
	invite: 'An invite that makes one account, within a week',
};

/** Sends a form and stays: what was typed is still there when something is refused. */
async function submit(form) {
	document.querySelectorAll('main .once, main .error').forEach((old) => old.remove());
	const body = new URLSearchParams(new FormData(form));
	const press = form.querySelector('button');
	press.disabled = true;
	try {
		const answer = await (await fetched(form.action, { method: 'POST', body })).json();
		const once = Object.keys(ONCE).find((name) => answer[name]);
		const next = form.dataset.next && (form.elements.next?.value || at(form.dataset.next));
		if (!once && next) return location.assign(next);
		const text = once ? [ONCE[once] + ':', make('br'), make('code', '', answer[once])] : ['Done.'];
		const note = make('p', { className: 'once', role: 'status', tabIndex: -1 }, ...text, ...(next ? [make('br'), link('Go on', next)] : []));
		form.before(note);
		form.reset();
		form.hidden = Boolean(next);
		dressCodes();
		note.focus();
	} catch (trouble) {
		form.prepend(make('p', { className: 'error', role: 'alert' }, trouble.message));
	}
	press.disabled = false;
}

/** A button of a page that asks for something, perhaps after a question; then the page is shown as it is. */
addEventListener('click', async ({ target }) => {
	const { ask: what, json, sure, field, line } = target.dataset ?? {};
	if (!what) return;
	const answer = !sure || (await question(sure, target.textContent, field ? { line: { type: line } } : { isGrave: true }));
	if (!answer) return;
	const [method, path] = what.split(' ');
	const typed = field && { [field]: line === 'number' ? +answer || null : answer };
	try {
		const { code } = await ask(path, { method, json: json ? JSON.parse(json) : typed });
		if (code) await question('A code that sets a new password, once and within 15 minutes', '', { line: { value: code, readOnly: true } });
		else location.reload();
	} catch ({ message }) {
		tell(message);
	}
});

async function dressPage() {
	dressCodes();
	for (const time of document.querySelectorAll('main time')) time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
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
	else if (!location.pathname.endsWith('/account')) Object.assign(account, { textContent: 'Sign in', href: signIn().href });
}

dressPage();
