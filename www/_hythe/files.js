// The Files page: a folder of the shared files or of one's own, what is in it, and what one does with it. `#/trips` is a shared
// folder, `#/~ada` ada's own files. What is sent there is the affair of uploads.js.

import { $, ask, at, button, copy, dialog, link, make, question, server, signIn, sizeText, tell, timeElement } from './common.js';
import { resume, upload } from './uploads.js';

const PAGE = 200;
const list = { folder: '', entries: [], next: null, text: '', looks: 0 };
const here = await server;

const escapePath = (path) => path.split('/').map(encodeURIComponent).join('/');
const hrefOf = (folder) => '#/' + escapePath(folder);
const join = (...parts) => parts.filter(Boolean).join('/');
const above = (path) => path.split('/').slice(0, -1).join('/');
const nameOf = (path) => path.split('/').pop();
const isMine = (path) => path.startsWith('~');
const mayWrite = () => here.may.includes('shared_write') || (isMine(list.folder) && here.user);
const rowOf = (href) => [...$('list').querySelectorAll('a')].find((row) => row.getAttribute('href') === href);

/** Reads the folder, or what is found below it. */
async function load(after = '') {
	const look = ++list.looks;
	const { folder } = list;
	const q = $('search').value.trim();
	const limit = after ? PAGE : Math.min(Math.max(list.entries.length, PAGE), 1000);
	try {
		const page = await ask(`file-list?${new URLSearchParams({ prefix: folder, q, limit, after })}&sort=${$('sort').value}`);
		if (look !== list.looks) return;
		const entries = [...page.dirs.map((dir) => ({ dir, path: join(folder, dir) })), ...page.files];
		const text = JSON.stringify([folder, q, entries, page.next]);
		if (after) entries.unshift(...list.entries);
		else if (text === list.text) return;
		Object.assign(list, { entries, next: page.next, text: after ? '' : text });
		show(q, page.cut);
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
	const item = row(file.url, ending, where, sizeText(file.size), ' · ', timeElement(new Date(file.modified)), file.owner && !isMine(file.path) ? ` · ${file.owner}` : '');
	item.firstChild.onclick = (event) => {
		if (event.ctrlKey || event.metaKey || event.shiftKey) return;
		event.preventDefault();
		open(file);
	};
	return item;
}

/** What a file looks or sounds like, where a browser can tell without danger. */
function preview({ type, url, name, size }) {
	const [kind] = type.split(';');
	const facts = { src: url + '?inline=1', controls: true, ariaLabel: name };
	if (/^image\/(png|jpeg|gif|webp|avif)$/.test(kind)) return make('img', { ...facts, alt: name });
	const [, media] = /^(video|audio)\/(mp4|webm|ogg|mpeg|mp3|x?-?wav|flac)$/.exec(kind) ?? [];
	if (media) return make(media, facts);
	if (!/^text\/|json|xml|javascript|toml|yaml/.test(kind) || !size) return '';
	const text = make('pre', { tabIndex: 0, dir: 'auto', ariaLabel: `Text of ${name}`, role: 'region' });
	fetch(url, { headers: { Range: 'bytes=0-65535' } }).then(async (answer) => (text.textContent = (await answer.text()) + (size > 65536 ? '\n…' : '')));
	return text;
}

function open(file) {
	const close = () => box.close();
	const act = (deed) => () => {
		close();
		deed(file.path);
	};
	const box = dialog('file', file.name,
		make('h2', '', make('bdi', '', file.name)),
		make('p', 'soft', `${sizeText(file.size)} · ${new Date(file.modified).toLocaleString()}${file.owner ? ` · ${file.owner}` : ''}`),
		preview(file),
		make('p', 'choices', link('Download', file.url, { download: file.name, className: 'press' }), button('Copy link', () => copy(new URL(file.url, location).href)),
			...(mayWrite() ? [button('Rename', act(rename)), button('Delete', act(remove), 'pale warn')] : []), button('Close', close)));
	box.onclose = () => rowOf(file.url)?.focus();
	box.addEventListener('click', ({ target }) => target === box && close());
}

async function change(deed, done) {
	try {
		await deed;
		tell(done);
		await load();
		return true;
	} catch (trouble) {
		tell(trouble.message);
	}
}

async function rename(path) {
	const name = await question(`A new name for “${nameOf(path)}”`, 'Rename', { line: { value: nameOf(path) } });
	const to = join(above(path), name);
	if (!name || to === path) return;
	return (await change(ask('rename', { json: { from: path, to } }), `It is called ${name} now.`)) && to;
}

async function remove(path) {
	const isSure = await question(`Delete “${nameOf(path)}”? It cannot be brought back.`, 'Delete', { isGrave: true });
	return isSure && change(ask('remove', { json: { name: path } }), `${nameOf(path)} is deleted.`);
}

async function makeFolder() {
	const name = await question('A name for the new folder', 'Make it', { line: {} });
	if (name) change(ask('dirs', { json: { path: join(list.folder, name) } }), `The folder ${name} is there.`);
}

function showPlace() {
	const { folder } = list;
	const parts = folder ? folder.split('/') : [];
	const title = isMine(folder) ? 'My files' : 'Files';
	const isRoot = parts.length < (isMine(folder) ? 2 : 1);
	document.title = `${isRoot ? title : nameOf(folder)} · hythe`;
	$('title').textContent = title;
	for (const entry of document.querySelectorAll('.top nav a')) {
		if (entry.textContent === title) entry.ariaCurrent = 'page';
		else entry.removeAttribute('aria-current');
	}
	$('crumbs').hidden = isRoot;
	$('crumbs').replaceChildren(...(isMine(folder) ? [] : [link('All files', '#/')]), ...parts.map((part, depth) =>
		link(isMine(folder) && !depth ? 'My files' : part, hrefOf(parts.slice(0, depth + 1).join('/')), { dir: 'auto', ...(depth === parts.length - 1 && { ariaCurrent: 'location' }) })));
	const go = (to) => to && location.replace(hrefOf(to));
	$('folder-tools').replaceChildren(
		...(mayWrite() ? [button('New folder', makeFolder)] : []),
		...(isRoot ? [] : [link('Download all', at(`files/${escapePath(folder)}?archive=zip`), { className: 'press pale' })]),
		...(isRoot || !mayWrite() ? [] : [
			button('Rename', async () => go(await rename(folder))),
			button('Delete', async () => (await remove(folder)) && (location.hash = hrefOf(above(folder))), 'pale warn'),
		]),
	);
	$('upload').hidden = !mayWrite() && !here.isAway;
}

function openFolder() {
	let folder = '';
	try {
		folder = decodeURIComponent(/^#\/(.*)/.exec(location.hash)?.[1] ?? '');
	} catch {
		// An address that somebody has cut: the root is shown.
	}
	Object.assign(list, { folder, entries: [], next: null, text: '' });
	$('search').value = '';
	$('list').replaceChildren();
	$('more').hidden = true;
	$('list-note').textContent = 'Looking…';
	showPlace();
	if (here.may.includes('shared_read') || here.user || here.isAway) load();
	else $('list-note').replaceChildren('The files are for those who are signed in. ', signIn());
}

/** The files of an entry of a drop, each with the folder it lies in. */
async function filesOf(entry, folder) {
	if (entry.isFile) return [{ file: await new Promise((done, fail) => entry.file(done, fail)), folder }];
	const reader = entry.createReader();
	const found = [];
	for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length; ) found.push(...some);
	return (await Promise.all(found.map((each) => filesOf(each, join(folder, entry.name))))).flat();
}

function take({ items }) {
	const { folder } = list;
	// All are taken before the first wait: then the transfer is emptied.
	for (const item of [...items].filter(({ kind }) => kind === 'file')) {
		const [entry, file] = [item.webkitGetAsEntry?.(), item.getAsFile()];
		if (entry?.isDirectory) filesOf(entry, folder).then(send, () => tell(`${entry.name} cannot be read.`));
		else send([{ file, folder }]);
	}
}

const send = (files) => (mayWrite() ? upload(files) : tell('To upload, sign in first.'));

function start() {
	const main = document.querySelector('main');
	const on = (target, name, act) => target.addEventListener(name, act);
	const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files');
	let depth = 0;
	const enter = (step) => (event) => main.classList.toggle('dropping', hasFiles(event) && (depth += step) > 0);
	on(main, 'dragenter', enter(1));
	on(main, 'dragleave', enter(-1));
	on(window, 'dragover', (event) => hasFiles(event) && event.preventDefault());
	on(window, 'drop', (event) => {
		if (!hasFiles(event)) return;
		event.preventDefault(); // beside main too, or the browser leaves the page to show the file
		depth = 0;
		main.classList.remove('dropping');
		if (main.contains(event.target)) take(event.dataTransfer);
	});
	on(window, 'paste', ({ clipboardData }) => take(clipboardData));
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
	on(window, 'hashchange', openFolder);
	on(window, 'stored', () => load());
	on(document, 'visibilitychange', () => document.hidden || load());
	setInterval(() => document.hidden || load(), 30_000);
	openFolder();
	resume();
}

if (here.features.includes('files')) start();
else document.querySelector('section').replaceChildren(make('h1', '', 'Files'), make('p', 'note', 'This server shares no files.'));
