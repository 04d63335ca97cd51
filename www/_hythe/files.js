// The Files page: a folder of the shared files or of one's own, what is in it, and what one does with it. `#/trips` is a shared
// folder, `#/~ada` ada's own files. What is sent there is the affair of uploads.js.

import { $, ask, at, button, copy, link, make, question, server, sizeText, tell, timeElement } from './common.js';
import { resume, upload } from './uploads.js';

const PAGE = 200;
const list = { folder: '', entries: [], next: null, text: '', fresh: new Set(), looks: 0 };
let here;

const escapePath = (path) => path.split('/').map(encodeURIComponent).join('/');
const folderHref = (folder) => '#/' + escapePath(folder);
const inside = (folder, name) => (folder ? folder + '/' + name : name);
const above = (path) => path.split('/').slice(0, -1).join('/');
const nameOf = (path) => path.split('/').pop();
const isMine = (folder) => folder.startsWith('~');

function mayWrite() {
  return here.may.includes('shared_write') || (isMine(list.folder) && here.user);
}

/** Reads the folder, or what is found below it; shows it if anything has changed. */
async function load({ after } = {}) {
  const look = ++list.looks;
  const { folder } = list;
  const words = $('search').value.trim();
  const query = new URLSearchParams({ prefix: folder, q: words, limit: after ? PAGE : Math.min(Math.max(list.entries.length, PAGE), 1000) });
  if (after) query.set('after', after);
  try {
    const page = await ask(`file-list?${query}&sort=${$('sort').value}`);
    if (look !== list.looks) return;
    const entries = [...page.dirs.map((name) => ({ dir: name, path: inside(folder, name) })), ...page.files];
    const text = JSON.stringify([folder, words, entries, page.next]);
    if (after) list.entries.push(...entries);
    else if (text === list.text) return;
    else Object.assign(list, { entries, text });
    list.next = page.next;
    show(words, page.cut);
  } catch (trouble) {
    if (look !== list.looks || list.entries.length) return;
    const isAway = folder && trouble.status === 404;
    list.text = '';
    $('list').replaceChildren();
    $('list-note').replaceChildren(isAway ? 'There is no such folder.' : trouble.message, make('br'), isAway ? link('All files', '#/') : button('Try again', () => load(), 'pale'));
  }
}

function show(words, isCut) {
  const focused = document.activeElement?.closest('#list a')?.href;
  $('list').replaceChildren(...list.entries.map((entry) => (entry.dir ? folderRow(entry) : fileRow(entry))));
  $('list-note').textContent = isCut ? 'There are too many files to search them all; these were found first.' :
    list.entries.length ? '' :
    words ? `Nothing here has “${words}” in its name.` :
    list.folder ? 'There is nothing in this folder.' : mayWrite() ? 'Nothing is shared yet. Choose a file, or drop one here.' : 'Nothing is shared yet.';
  $('more').hidden = !list.next;
  if (focused) [...$('list').querySelectorAll('a')].find((each) => each.href === focused)?.focus();
  list.fresh.clear();
}

function row(href, kind, name, ...meta) {
  const badge = make('span', 'kind', kind);
  badge.ariaHidden = 'true';
  const entry = link('', href);
  entry.append(badge, make('bdi', 'file-name', name), make('span', 'meta', ...meta));
  return make('li', '', entry);
}

function folderRow({ dir, path }) {
  return row(folderHref(path), '▸', dir, 'Folder');
}

function fileRow(file) {
  const ending = /[^.]\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? 'file';
  const where = list.folder ? file.path.slice(list.folder.length + 1) : file.path;
  const item = row(file.url, ending, where, sizeText(file.size), ' · ', timeElement(new Date(file.modified)), file.owner && !isMine(file.path) ? ` · ${file.owner}` : '');
  item.classList.toggle('fresh', list.fresh.has(file.path));
  item.firstChild.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(file);
  };
  return item;
}

/** What a file looks or sounds like, where a browser can tell without danger. */
function preview({ type, url, name, size }) {
  const kind = type.split(';')[0];
  const source = { src: url + '?inline=1' };
  if (/^image\/(png|jpeg|gif|webp|avif)$/.test(kind)) return Object.assign(make('img'), source, { alt: `Picture: ${name}` });
  if (/^video\/(mp4|webm|ogg)$/.test(kind)) return Object.assign(make('video'), source, { controls: true, ariaLabel: name });
  if (/^audio\/(mpeg|mp3|ogg|wav|x-wav|flac|webm|mp4)$/.test(kind)) return Object.assign(make('audio'), source, { controls: true, ariaLabel: name });
  if (!/^text\/|json|xml|javascript|toml|yaml/.test(kind) || !size) return '';
  const text = Object.assign(make('pre', '', 'Looking…'), { tabIndex: 0, dir: 'auto', ariaLabel: `Text of ${name}`, role: 'region' });
  fetch(url, { headers: { Range: 'bytes=0-65535' } }).then((answer) => answer.text())
    .then((begin) => (text.textContent = begin + (size > 65536 ? '\n…' : '')), () => text.remove());
  return text;
}

/** A file from near: its preview, and all that can be done with it. */
function open(file) {
  const box = make('dialog', 'file');
  const close = () => box.close();
  const act = (deed) => async () => {
    close();
    await deed(file.path);
  };
  const download = Object.assign(link('Download', file.url), { download: file.name, className: 'press' });
  const title = Object.assign(make('h2', '', make('bdi', '', file.name)), { id: 'file-title' });
  box.append(
    title,
    make('p', 'soft', `${sizeText(file.size)} · ${new Date(file.modified).toLocaleString()}${file.owner ? ` · ${file.owner}` : ''}`),
    preview(file),
    make('p', 'choices', download, button('Copy link', () => copy(new URL(file.url, location).href), 'pale'),
      ...(mayWrite() ? [button('Rename', act(rename), 'pale'), button('Delete', act(remove), 'pale warn')] : []),
      button('Close', close, 'pale')),
  );
  box.setAttribute('aria-labelledby', 'file-title');
  box.onclose = () => {
    box.remove();
    [...$('list').querySelectorAll('a')].find((each) => each.getAttribute('href') === file.url)?.focus();
  };
  box.addEventListener('click', ({ target }) => target === box && close());
  document.body.append(box);
  box.showModal();
}

/** Does something, tells what came of it, and looks again. */
async function change(deed, done) {
  try {
    await deed();
    tell(done);
    await load();
    return true;
  } catch (trouble) {
    tell(trouble.message);
    return false;
  }
}

async function rename(path) {
  const name = await question(`A new name for “${nameOf(path)}”`, [['Rename', 'yes']], { value: nameOf(path) });
  if (!name || name === nameOf(path)) return null;
  const to = inside(above(path), name);
  const isDone = await change(() => ask('rename', { json: { from: path, to } }), `It is called ${name} now.`);
  return isDone && to;
}

async function remove(path) {
  const isSure = await question(`Delete “${nameOf(path)}”? It cannot be brought back.`, [['Delete', 'yes', 'warn']]);
  return isSure && change(() => ask('remove', { json: { name: path } }), `${nameOf(path)} is deleted.`);
}

async function makeFolder() {
  const name = await question('A name for the new folder', [['Make it', 'yes']], { value: '' });
  if (name) await change(() => ask('dirs', { json: { path: inside(list.folder, name) } }), `The folder ${name} is there.`);
}

/** Where one is, and what can be done with the folder. */
function showPlace() {
  const { folder } = list;
  const parts = folder ? folder.split('/') : [];
  const isHome = isMine(folder);
  const isRoot = !parts.length || (isHome && parts.length === 1);
  document.title = `${isRoot ? (isHome ? 'My files' : 'Files') : nameOf(folder)} · hythe`;
  $('title').textContent = isHome ? 'My files' : 'Files';
  for (const entry of document.querySelectorAll('.top nav a')) {
    if (entry.textContent === $('title').textContent) entry.ariaCurrent = 'page';
    else entry.removeAttribute('aria-current');
  }
  $('crumbs').hidden = isRoot;
  $('crumbs').replaceChildren(...(isHome ? [] : [link('All files', '#/')]), ...parts.map((part, depth) => {
    const crumb = link(isHome && !depth ? 'My files' : part, folderHref(parts.slice(0, depth + 1).join('/')));
    if (depth === parts.length - 1) crumb.ariaCurrent = 'location';
    crumb.dir = 'auto';
    return crumb;
  }));
  const leave = () => (location.hash = folderHref(above(folder)));
  const tools = [];
  if (mayWrite()) tools.push(button('New folder', makeFolder, 'pale'));
  if (!isRoot) {
    tools.push(Object.assign(link('Download all', at(`files/${escapePath(folder)}?archive=zip`)), { className: 'press pale' }));
    if (mayWrite()) {
      tools.push(
        button('Rename', async () => {
          const to = await rename(folder);
          if (to) location.replace(folderHref(to));
        }, 'pale'),
        button('Delete', async () => (await remove(folder)) && leave(), 'pale warn'),
      );
    }
  }
  $('folder-tools').replaceChildren(...tools);
  $('upload').hidden = !mayWrite() && !here.isAway;
}

function openFolder() {
  const hash = location.hash.startsWith('#/') ? location.hash.slice(2) : '';
  let folder = '';
  try {
    folder = decodeURIComponent(hash);
  } catch {
    // An address that somebody has cut: the root is shown.
  }
  Object.assign(list, { folder, entries: [], next: null, text: '' });
  $('search').value = '';
  $('list').replaceChildren();
  $('more').hidden = true;
  $('list-note').textContent = 'Looking…';
  showPlace();
  if (here.may.includes('shared_read') || here.user || here.isAway) return load();
  $('list-note').replaceChildren('The files are for those who are signed in. ', link('Sign in', at('login?next=' + encodeURIComponent(location.pathname + location.hash))));
}

// -------------------------------------------------- What is dropped, chosen or pasted

/** The files of an entry of a drop, each with the folder it lies in. */
async function filesOf(entry, folder) {
  if (entry.isFile) return [{ file: await new Promise((done, fail) => entry.file(done, fail)), folder }];
  const reader = entry.createReader();
  const found = [];
  for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length; ) found.push(...some);
  const below = await Promise.all(found.map((each) => filesOf(each, inside(folder, entry.name))));
  return below.flat();
}

async function take(transfer) {
  const { folder } = list;
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  // Entries and files must be taken before the first wait: then the transfer is emptied.
  const taken = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  for (const [entry, file] of taken) {
    try {
      send(entry?.isDirectory ? await filesOf(entry, folder) : [{ file, folder }]);
    } catch {
      tell(`${entry.name} cannot be read.`);
    }
  }
}

function send(files) {
  if (!mayWrite()) return tell('To upload, sign in first.');
  upload(files);
}

function startDrops() {
  const main = document.querySelector('main');
  const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
  let depth = 0;
  const enter = (step) => (event) => main.classList.toggle('dropping', hasFiles(event) && (depth += step) > 0);
  main.addEventListener('dragenter', enter(1));
  main.addEventListener('dragleave', enter(-1));
  addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault());
  window.ondrop = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // beside main too, or the browser leaves the page to show the file
    depth = 0;
    main.classList.remove('dropping');
    if (main.contains(event.target)) take(event.dataTransfer);
  };
  window.onpaste = ({ clipboardData }) => clipboardData.files.length && take(clipboardData);
}

function startChoosers() {
  $('file').onchange = $('folder').onchange = ({ target }) => {
    send([...target.files].map((file) => ({ file, folder: [list.folder, above(file.webkitRelativePath)].filter(Boolean).join('/') })));
    target.value = '';
  };
  $('upload').onsubmit = $('tools').onsubmit = (event) => event.preventDefault();
}

let typing;
$('search').oninput = () => {
  clearTimeout(typing);
  typing = setTimeout(load, 200);
};
$('sort').onchange = () => load();
$('more').onclick = () => load({ after: list.next });
addEventListener('hashchange', () => openFolder());
addEventListener('stored', ({ detail }) => {
  list.fresh.add(detail);
  load();
});
document.addEventListener('visibilitychange', () => document.hidden || load());
setInterval(() => document.hidden || load(), 30_000);

here = await server;
if (!here.features.includes('files')) {
  document.querySelector('main section').replaceChildren(make('h1', '', 'Files'), make('p', 'note', 'This server shares no files.'));
} else {
  startDrops();
  startChoosers();
  openFolder();
  resume();
}
