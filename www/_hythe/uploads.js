// Uploads, by tus: each goes on after any cut, also when the page was loaded anew; then the file must be chosen once more.

import { $, Trouble, at, button, fetched, make, sizeText, sleep, stored, tell } from './common.js';

// Each is `waiting`, `sending`, `paused`, `done`, `stuck` until somebody decides, or `left` by an earlier visit.
let all = [];
let running = 0;
const AT_ONCE = 2;
const SILENCE = 30_000;

const isOpen = ({ state }) => state === 'waiting' || state === 'sending';
const sum = (some, figure) => some.reduce((total, one) => total + figure(one), 0);
const factsOf = ({ name, size, modified, folder, url }) => ({ name, size, modified, folder, url });
const isOf = (one, facts) => ['name', 'size', 'modified', 'folder'].every((fact) => one[fact] === facts[fact]);
const percent = ({ sent, size }) => `${Math.floor((100 * sent) / (size || 1))} % of ${sizeText(size)}`;

/** Writes down which are unfinished, beside those of other tabs. */
function remember() {
	const others = (stored('uploads') || []).filter(({ url }) => all.every((one) => one.url !== url));
	stored('uploads', [...others, ...all.filter(({ url, state }) => url && state !== 'done' && state !== 'gone').map(factsOf)]);
}

export function upload(files) {
	for (const { file, folder } of files) {
		const facts = { name: file.name, size: file.size, modified: file.lastModified, folder };
		const one = all.find((each) => each.state === 'left' && isOf(each, facts)) || add(facts);
		queue(Object.assign(one, { file }));
	}
}

// All tabs are asked which uploads they have under way.
const tabs = new BroadcastChannel('hythe uploads ' + at(''));
const elsewhere = new Set();

tabs.onmessage = ({ data }) => {
	if (data) data.forEach((url) => elsewhere.add(url));
	else tabs.postMessage(all.filter(({ state }) => state !== 'left').map(({ url }) => url));
};

/** What an earlier visit has left unfinished. */
export async function resume() {
	tabs.postMessage(null);
	await sleep(200);
	for (const facts of (stored('uploads') || []).filter(({ url }) => !elsewhere.has(url) && all.every((one) => one.url !== url))) {
		const known = await fetched(facts.url).then((answer) => answer.json(), ({ status }) => !status && { offset: 0 });
		const one = add({ ...facts, sent: known?.offset });
		if (!known || known.offset === known.length) leave(one);
		else show(one, 'left', `${percent(one)} had come through. Choose the file again to go on.`, button('Choose it', () => $('file').click()), cancel(one, 'Discard'));
	}
}

function add(facts) {
	const one = { sent: 0, onConflict: 'error', line: make('p'), choices: make('p', 'choices'), ...facts };
	one.bar = make('progress', { ariaLabel: `Upload of ${one.name}`, max: one.size || 1 });
	one.row = make('li', '', make('bdi', 'file-name', one.name), one.line, one.bar, one.choices);
	$('upload-list').append(one.row);
	all.push(one);
	return one;
}

const cancel = (one, word = 'Cancel') => button(word, () => remove(one));
const goOn = (one, word) => button(word, () => queue(one));

function queue(one) {
	show(one, 'waiting', one.sent ? percent(one) : `${sizeText(one.size)} · waiting`, cancel(one));
	run();
}

function run() {
	const one = running < AT_ONCE && all.find(({ state }) => state === 'waiting');
	if (!one) return;
	running += 1;
	send(one).finally(() => {
		running -= 1;
		run();
	});
	run();
}

const MEND = [undefined, 408, 409, 423, 429, 500, 502, 503, 504];

/** Sends one, from where the server has it, until it is there or is refused. */
async function send(one) {
	show(one, 'sending', percent(one), button('Pause', () => pause(one)), cancel(one));
	for (let fails = 0; one.state === 'sending'; ) {
		const before = one.sent;
		try {
			if (!one.url || !(await find(one))) await begin(one);
			if (one.sent < one.size) await sendRest(one);
			return finish(one);
		} catch (trouble) {
			if (one.state !== 'sending') return;
			if (!MEND.includes(trouble.status || undefined) || trouble.code === 'file_exists') return refuse(one, trouble);
			fails = one.sent > before ? 0 : fails + 1;
			one.line.textContent = `${percent(one)} · the connection was lost, trying again`;
			await sleep(Math.max(Math.min(500 * 2 ** fails, 15_000), trouble.status === 429 && trouble.waitMs));
			// A file that was changed or taken away cannot be sent, and only reading it tells.
			await one.file.slice(one.sent, one.sent + 1).arrayBuffer().catch(() => refuse(one, new Trouble(0, { detail: 'the file cannot be read any more' })));
		}
	}
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const TUS = { 'Tus-Resumable': '1.0.0' };

async function begin(one) {
	const [first, ...below] = one.folder.split('/');
	const isMine = first.startsWith('~');
	const metadata = { filename: one.name, on_conflict: one.onConflict, dir: isMine ? below.join('/') : one.folder, private: isMine ? '1' : '0' };
	const fields = { ...TUS, 'Upload-Length': one.size, 'Upload-Metadata': Object.entries(metadata).map(([key, value]) => `${key} ${base64(value)}`).join(',') };
	const answer = await fetched(at('tus'), { method: 'POST', headers: fields });
	await answer.text(); // or the browser counts it as broken off
	Object.assign(one, { url: answer.headers.get('Location'), sent: 0, place: answer.headers.get('Content-Location') });
	remember();
}

/** Learns how much the server has; nothing if it knows no such upload any more. */
async function find(one) {
	const answer = await fetched(one.url).catch((trouble) => {
		if (trouble.status !== 404) throw trouble;
	});
	if (!answer) return (one.url = null);
	one.sent = (await answer.json()).offset;
	one.place = answer.headers.get('Content-Location');
	return true;
}

/** Sends what is left, in pieces of about a second: on the way nothing is told. */
async function sendRest(one) {
	for (let most = 1 << 16; one.sent < one.size; most = Math.max(Math.min(most * 8, one.rate), 1 << 14)) {
		const [from, since] = [one.sent, performance.now()];
		one.stop = new AbortController();
		const { headers } = await fetched(one.url, {
			method: 'PATCH',
			headers: { ...TUS, 'Upload-Offset': from, 'Content-Type': 'application/offset+octet-stream' },
			body: one.file.slice(from, from + most),
			signal: AbortSignal.any([one.stop.signal, AbortSignal.timeout(SILENCE)]),
		});
		one.sent = +headers.get('Upload-Offset');
		one.rate = Math.ceil(((one.sent - from) * 1000) / (performance.now() - since + 1));
		one.place = headers.get('Content-Location');
		one.bar.value = one.sent;
		one.line.textContent = percent(one);
		showOverall();
	}
}

function finish(one) {
	const name = decodeURIComponent((one.place || '').split('/').pop()) || one.name;
	show(one, 'done', name === one.name ? 'Stored' : `Stored as ${name}`);
	remember();
	dispatchEvent(new Event('stored'));
	setTimeout(() => forget(one), 4000);
	const count = all.filter(({ state }) => state === 'done').length;
	if (!all.some(isOpen)) tell(count === 1 ? `${name} is stored.` : `${count} files are stored.`);
}

function refuse(one, why) {
	one.isTaken = why.code === 'file_exists';
	if (one.isTaken) show(one, 'stuck', 'There is a file of this name already.', ...answers([one]));
	else show(one, 'stuck', why.message, goOn(one, 'Try again'), cancel(one, 'Dismiss'));
}

function answers(some) {
	const again = (onConflict) => () => some.forEach((one) => queue(Object.assign(one, { onConflict, isTaken: false })));
	return [button('Keep both', again('rename')), button('Replace', again('overwrite')), button('Skip', () => some.forEach(remove))];
}

function pause(one) {
	show(one, 'paused', `${percent(one)} · paused`, goOn(one, 'Go on'), cancel(one));
	one.stop?.abort();
	one.choices.firstChild.focus();
}

function show(one, state, text, ...choices) {
	one.state = state;
	one.row.className = state;
	one.line.textContent = text;
	one.bar.hidden = state === 'stuck' || state === 'done';
	one.bar.value = one.sent;
	one.choices.replaceChildren(...choices);
	showOverall();
}

function leave(one) {
	one.state = 'gone';
	one.stop?.abort();
	remember();
	forget(one);
}

function remove(one) {
	leave(one);
	if (one.url) fetched(one.url, { method: 'DELETE', headers: TUS }).catch(() => {});
}

function forget(one) {
	if (one.row.contains(document.activeElement)) $('file').focus();
	all = all.filter((each) => each !== one);
	one.row.remove();
	showOverall();
}

/** How fast it goes, and how long it will take. */
function pace(open) {
	const rate = sum(open, (one) => one.rate || 0);
	const time = sum(open, (one) => one.size - one.sent) / rate;
	return rate ? ` · ${sizeText(rate)}/s · ${time < 90 ? `${Math.ceil(time)} s` : `${Math.ceil(time / 60)} min`} left` : '';
}

function showOverall() {
	const open = all.filter(isOpen);
	const taken = all.filter((one) => one.isTaken);
	$('overall').textContent = open.length ? `Uploading${all.length > 1 ? `, ${open.length} of ${all.length} to go` : ''}${pace(open)}` : 'Uploads';
	$('overall-bar').hidden = !open.length || all.length === 1;
	$('overall-bar').max = sum(all, (one) => one.size) || 1;
	$('overall-bar').value = sum(all, (one) => one.sent);
	$('uploads').hidden = !all.length;
	$('for-all').replaceChildren(...(taken.length > 1 ? [`All ${taken.length}: `, ...answers(taken)] : []));
}

addEventListener('beforeunload', (event) => all.some(isOpen) && event.preventDefault());
