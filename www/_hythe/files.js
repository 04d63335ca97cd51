// The Files page: what is in a folder, and what one does with it. `#/trips` is a shared folder, `#/~ada` ada's own files.

import { $, ask, at, button, copy, dialog, fetched, has, link, make, may, notForGuests, question, showOnly, sizeText, tell, timeElement, user } from './common.js';
import { resume, upload } from './uploads.js';

const PAGE = 200;
const list = { folder: '', entries: [], next: null, text: '', looks: 0 };

const escapePath = (path) => path.split('/').map(encodeURIComponent).join('/');
const hrefOf = (folder) => '#/' + escapePath(folder);
const join = (...parts) => parts.filter(Boolean).join('/');
const above = (path) => path.split('/').slice(0, -1).join('/');
const nameOf = (path) => path.split('/').pop();
const isMine = (path) => path.startsWith('~');
const ownerOf = ({ path, owner }) => (owner && !isMine(path) ? ` · ${owner}` : '');
const mayWrite = () => may('shared_write') || (isMine(list.folder) && user);
const rowOf = (href) => $('list').querySelector(`[href="${CSS.escape(href)}"]`);

/** Reads the folder, or what is found below it. */
async function load(after = '') {
	const look = ++list.looks;
	const { folder } = list;
	const q = $('search').value.trim();
	const limit = after ? PAGE : Math.min(Math.max(list.entries.length, PAGE), 1000);
	try {
		const { dirs, files, next, cut } = await ask(`file-list?${new URLSearchParams({ prefix: folder, q, limit, after })}&sort=${$('sort').value}`);
		if (look !== list.looks) return;
		const entries = [...dirs.map((dir) => ({ dir, path: join(folder, dir) })), ...files];
		const text = JSON.stringify([q, entries, next]);
		if (text === list.text) return;
		if (after) entries.unshift(...list.entries);
		Object.assign(list, { entries, next, text });
		show(q, cut);
	} catch (trouble) {
		if (look !== list.looks || list.entries.length) return;
		const isAway = folder && trouble.status === 404;
		$('list').replaceChildren();
		$('list-note').replaceChildren(isAway ? 'There is no such folder. ' : trouble.message, isAway ? link('All files', '#/') : button('Try again', () => load()));
	}
}

function show(words, isCut) {
	const focused = document.activeElement?.closest('#list a')?.getAttribute('href');
	$('list').replaceChildren(...list.entries.map((entry) => (entry.dir ? row(hrefOf(entry.path), '▸', entry.dir, 'Folder') : fileRow(entry))));
	$('list-note').textContent = isCut ? 'There are too many files to search them all.' :
		list.entries.length ? '' :
		words ? `Nothing here has “${words}” in its name.` :
		list.folder ? 'There is nothing in this folder.' : `Nothing is shared yet.${mayWrite() ? ' Choose a file, or drop one here.' : ''}`;
	$('more').hidden = !list.next;
	if (focused) rowOf(focused)?.focus();
}

function row(href, kind, name, ...meta) {
	const entry = link(make('span', { className: 'kind', ariaHidden: 'true' }, kind), href);
	entry.append(make('bdi', 'file-name', name), make('span', 'meta', ...meta));
	return make('li', '', entry);
}

function fileRow(file) {
	const ending = /[^.]\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? 'file';
	const where = list.folder ? file.path.slice(list.folder.length + 1) : file.path;
	const item = row(file.url, ending, where, sizeText(file.size), ' · ', timeElement(new Date(file.modified)), ownerOf(file));
	item.firstChild.onclick = (event) => {
		if (event.ctrlKey || event.metaKey || event.shiftKey) return;
		event.preventDefault();
		open(file);
	};
	return item;
}

/** What a file looks or sounds like, if the browser knows its kind. */
function preview({ type, url, name, size }) {
	const media = { image: 'img', video: 'video', audio: 'audio' }[type.split('/')[0]];
	if (media) return make(media, { src: url + '?inline=1', controls: true, ariaLabel: name, alt: name, onerror: ({ target }) => target.remove() });
	if (!/^text\/|json|xml|script|toml|yaml/.test(type) || !size) return '';
	const text = make('pre', { tabIndex: 0, dir: 'auto', ariaLabel: `Text of ${name}`, role: 'region' });
	fetched(url, { headers: { Range: 'bytes=0-65535' } })
		.then(async (answer) => (await answer.text()) + (size > 65536 ? '\n…' : ''))
		.catch(({ message }) => message).then((told) => (text.textContent = told));
	return text;
}

function open(file) {
	const close = () => box.close();
	const act = (deed) => () => {
		close();
		deed(file.path);
	};
	const box = dialog(file.name,
		make('h2', '', make('bdi', '', file.name)),
		make('p', 'soft', `${sizeText(file.size)} · ${new Date(file.modified).toLocaleString()}`, ownerOf(file)),
		preview(file),
		make('p', 'choices', link('Download', file.url, { download: file.name, className: 'press' }), button('Copy link', () => copy(new URL(file.url, location).href)),
			...(mayWrite() ? [button('Rename', act(rename)), button('Delete', act(remove), 'pale warn')] : []), button('Close', close)));
	box.onclose = () => rowOf(file.url)?.focus();
	box.addEventListener('click', ({ target }) => target === box && close());
}

/** Asks for a change, and tells whether it was made. */
async function change(path, fields, done) {
	try {
		await ask(path, fields);
		tell(done);
		await load();
		return true;
	} catch (trouble) {
		tell(trouble.message);
	}
}

async function rename(path) {
	const name = await question(`A new name for “${nameOf(path)}”`, 'Rename', nameOf(path));
	const to = join(above(path), name);
	return name && to !== path && (await change('rename', { from: path, to }, `It is called ${name} now.`)) && to;
}

async function remove(path) {
	const isSure = await question(`Delete “${nameOf(path)}”? It cannot be brought back.`, 'Delete');
	return isSure && change('remove', { name: path }, `${nameOf(path)} is deleted.`);
}

async function makeFolder() {
	const name = await question('A name for the new folder', 'Make it', '');
	if (name) change('dirs', { path: join(list.folder, name) }, `The folder ${name} is there.`);
}

function showPlace() {
	const { folder } = list;
	const parts = folder ? folder.split('/') : [];
	const title = isMine(folder) ? 'My files' : 'Files';
	const isRoot = parts.length < (isMine(folder) ? 2 : 1);
	document.title = `${isRoot ? title : nameOf(folder)} · hythe`;
	$('title').textContent = title;
	for (const entry of document.querySelectorAll('.top nav a')) entry.ariaCurrent = entry.textContent === title ? 'page' : null;
	$('crumbs').hidden = isRoot;
	const crumbs = parts.map((part, depth) => link(isMine(folder) && !depth ? title : part, hrefOf(parts.slice(0, depth + 1).join('/')), { dir: 'auto' }));
	if (!isMine(folder)) crumbs.unshift(link('All files', '#/'));
	crumbs.at(-1).ariaCurrent = 'location';
	$('crumbs').replaceChildren(...crumbs);
	const go = (to) => location.replace(hrefOf(to));
	$('folder-tools').replaceChildren(
		...(mayWrite() ? [button('New folder', makeFolder)] : []),
		...(isRoot ? [] : [link('Download all', at(`files/${escapePath(folder)}?archive=zip`), { className: 'press pale' })]),
		...(isRoot || !mayWrite() ? [] : [
			button('Rename', async () => go((await rename(folder)) || folder)),
			button('Delete', async () => (await remove(folder)) && go(above(folder)), 'pale warn'),
		]),
	);
	$('upload').hidden = !mayWrite();
}

function openFolder() {
	let folder = '';
	try {
		folder = decodeURIComponent(/^#\/(.*)/.exec(location.hash)?.[1] ?? '');
	} catch {
		// Somebody has cut the address: the root is shown.
	}
	Object.assign(list, { folder, entries: [], next: null, text: '' });
	$('search').value = '';
	$('list').replaceChildren();
	$('more').hidden = true;
	$('list-note').textContent = 'Looking…';
	showPlace();
	if (may('shared_read') || user) load();
	else $('list-note').replaceChildren(...notForGuests('The files are'));
}

/** The files of what was dropped, each with its folder. */
async function filesOf(entry, folder) {
	if (entry.isFile) return [{ file: await new Promise((done, fail) => entry.file(done, fail)), folder }];
	const reader = entry.createReader();
	const files = [];
	// It gives some at a time.
	for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length; ) {
		for (const each of some) files.push(...(await filesOf(each, join(folder, entry.name))));
	}
	return files;
}

function take({ items }) {
	const { folder } = list;
	// After the first wait the transfer is empty.
	for (const item of [...items].filter(({ kind }) => kind === 'file')) {
		const entry = item.webkitGetAsEntry();
		if (entry) filesOf(entry, folder).then(send, () => tell(`${entry.name} cannot be read.`));
		else send([{ file: item.getAsFile(), folder }]);
	}
}

const send = (files) => (mayWrite() ? upload(files) : tell('To upload, sign in first.'));

function start() {
	const main = document.querySelector('main');
	const drop = (isOver, act) => (event) => {
		if (!event.dataTransfer.types.includes('Files')) return;
		event.preventDefault(); // everywhere, or the browser leaves the page to show the file
		main.classList.toggle('dropping', Boolean(isOver || event.relatedTarget));
		if (act && main.contains(event.target)) take(event.dataTransfer);
	};
	window.ondragover = drop(true);
	window.ondragleave = drop(false);
	window.ondrop = drop(false, true);
	window.onpaste = ({ clipboardData }) => take(clipboardData);
	$('file').onchange = $('folder').onchange = ({ target }) => {
		send([...target.files].map((file) => ({ file, folder: join(list.folder, above(file.webkitRelativePath)) })));
		target.value = '';
	};
	$('upload').onsubmit = $('tools').onsubmit = (event) => event.preventDefault();
	let typing;
	$('search').oninput = () => {
		clearTimeout(typing);
		typing = setTimeout(load, 200);
	};
	$('sort').onchange = () => load();
	$('more').onclick = () => load(list.next);
	window.onhashchange = openFolder;
	addEventListener('stored', () => load());
	document.onvisibilitychange = () => document.hidden || load();
	setInterval(() => document.hidden || load(), 30_000);
	openFolder();
	resume();
}

if (has('files')) start();
else showOnly('Files', 'This server shares no files.');
