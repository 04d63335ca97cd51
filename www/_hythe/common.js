// What all pages share. What others wrote is only ever set as text.

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
export const notForGuests = (what) => [`${what} for those who are signed in. `, signIn()];

/** A page that has nothing for whoever sees it. */
export const showOnly = (title, ...text) => document.querySelector('section').replaceChildren(make('h1', '', title), make('p', 'note', ...text));

export class Trouble extends Error {
	constructor(status, body, retryAfter) {
		super(body?.detail?.replace(/[^.!?]$/u, '$&.') || (status ? `The server answered ${status}.` : 'The server cannot be reached.'));
		Object.assign(this, { code: body?.code, status, waitMs: Math.min(+retryAfter || 1, 60) * 1000 });
	}
}

/** Asks; anything but a good answer is a Trouble. */
export async function fetched(url, { headers, ...options } = {}) {
	const answer = await fetch(url, { ...options, headers: { Accept: 'application/json', ...headers } }).catch(() => null);
	if (!answer?.ok) throw new Trouble(answer?.status, await answer?.json().catch(() => null), answer?.headers.get('Retry-After'));
	return answer;
}

/** Asks for JSON; with fields, by a form. */
export const ask = async (path, fields, options) =>
	(await fetched(at(path), { ...(fields && { method: 'POST', body: new URLSearchParams(fields) }), ...options })).json();


/** What is kept for other visits, unless storage is forbidden. */
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

export const timeElement = (date, format = isSameDay(date, new Date()) ? clock : calendar) =>
	make('time', { dateTime: date.toISOString(), title: date.toLocaleString() }, format.format(date));

export function tell(text) {
	$('told').textContent = text;
	clearTimeout(tell.timer);
	if (text) tell.timer = setTimeout(tell, 6000, '');
}

/** Copies a text; where the browser keeps its clipboard shut, the old way. */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const box = make('textarea', { value: text });
		(document.querySelector('dialog') || document.body).append(box);
		box.select();
		document.execCommand('copy');
		box.remove();
	}
	tell('Copied.');
}

export function dialog(name, ...children) {
	const box = make('dialog', { ariaLabel: name }, ...children);
	box.addEventListener('close', () => box.remove());
	document.body.append(box);
	box.showModal();
	return box;
}

/** Asks for a line, or just whether; answers with what was typed, or the button's name. */
export function question(title, answer, line) {
	const input = line === undefined ? '' : make('input', { required: true, ariaLabel: title, dir: 'auto', value: line });
	const buttons = make('p', 'choices', make('button', { value: answer, className: input ? '' : 'warn' }, answer), button('Cancel', () => box.close()));
	const box = dialog(title, make('form', { method: 'dialog' }, make('h2', '', title), input, buttons));
	if (input) input.setSelectionRange(0, line.replace(/(.)\.[^.]*$/, '$1').length);
	return new Promise((done) => (box.onclose = () => done(box.returnValue && (input ? input.value.trim() : box.returnValue))));
}

/** A form asks before it does what cannot be undone. */
addEventListener('submit', async (event) => {
	const { target, submitter } = event;
	if (!target.dataset.sure) return;
	event.preventDefault();
	if (await question(target.dataset.sure, submitter.textContent)) target.submit();
});

function dressPage() {
	for (const code of document.querySelectorAll('.once code')) code.after(' ', button('Copy', () => copy(code.textContent)));
	for (const time of document.querySelectorAll('main time')) time.textContent = new Date(time.dateTime).toLocaleString();
	const links = document.querySelectorAll('.top nav a');
	const [, mine, , account] = links;
	['files', 'files', 'chat', 'accounts'].forEach((part, place) => (links[place].hidden = !has(part)));
	mine.hidden ||= !user;
	if (user) mine.href = at('files-ui#/~' + user);
	else if (!location.pathname.endsWith('/account')) Object.assign(account, { textContent: 'Sign in', href: signIn().href });
}

// While the server cannot be reached everything is there, and says so when it is used.
export const { user, features, may: rights } = await ask('api').catch(() => ({}));
export const has = (part) => !features || features.includes(part);
export const may = (what) => !rights || rights.includes(what);

dressPage();
