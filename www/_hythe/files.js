// The Files page: the list and uploads.

import { $, Trouble, ask, at, button, calendar, clock, isSameDay, make, sizeText, timeElement } from './common.js';

// -------------------------------------------------- Files: the list

const LIST_MOST = 5000;
const list = { folder: '', files: [], dirs: [], text: '', fresh: new Set() };

const orders = {
  newest: (a, b) => b.modified.localeCompare(a.modified),
  oldest: (a, b) => a.modified.localeCompare(b.modified),
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  largest: (a, b) => b.size - a.size,
};

const escapePath = (path) => path.split('/').map(encodeURIComponent).join('/');

/** Reads the folder that is shown, and shows it if anything has changed. */
async function loadList() {
  const { folder } = list;
  const files = [];
  const dirs = [];
  let after;
  try {
    do {
      const query = new URLSearchParams({ prefix: folder, limit: 500 });
      if (after) query.set('after', after);
      const page = await ask('file-list?' + query);
      files.push(...page.files);
      dirs.push(...page.dirs);
      after = page.next;
    } while (after && files.length < LIST_MOST);
  } catch (trouble) {
    if (!list.files.length) $('list-note').replaceChildren(trouble.message, make('br'), button('Try again', loadList));
    return;
  }
  const text = JSON.stringify([folder, files, dirs]);
  if (folder !== list.folder || text === list.text) return;
  Object.assign(list, { files, dirs: [...new Set(dirs)], text });
  showList();
}

function showList() {
  const words = $('search').value.trim();
  const isWanted = (name) => name.toLowerCase().includes(words.toLowerCase());
  const files = list.files.filter((file) => isWanted(file.name)).sort(orders[$('sort').value]);
  const rows = [...list.dirs.filter(isWanted).sort().map(folderRow), ...files.map(fileRow)];
  const up = list.folder.split('/').slice(0, -1).join('/');
  const focused = document.activeElement.getAttribute('href');

  $('list').replaceChildren(...(list.folder ? [row('#/' + escapePath(up), '↑', up || 'All files', 'Up from ' + list.folder)] : []), ...rows);
  $('list-note').textContent = rows.length ? '' :
    words ? `No file here has “${words}” in its name.` :
    list.folder ? 'This folder is empty.' : 'Nothing is shared yet. Choose a file, or drop one here.';
  if (focused) $('list').querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  list.fresh.clear();
}

function row(href, kind, name, ...meta) {
  const badge = make('span', 'kind', kind);
  badge.ariaHidden = 'true';
  const link = make('a', '', badge, make('bdi', 'file-name', name), make('span', 'meta', ...meta));
  link.href = href;
  return make('li', '', link);
}

function folderRow(dir) {
  return row('#/' + escapePath(list.folder ? `${list.folder}/${dir}` : dir), '▸', dir, 'Folder');
}

function fileRow(file) {
  const ending = /[^.]\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? 'file';
  const date = new Date(file.modified);
  const time = timeElement(date, isSameDay(date, new Date()) ? clock : calendar);
  const item = row(at('files/') + escapePath(file.path), ending, file.name, sizeText(file.size), ' · ', time);
  item.firstChild.download = file.name;
  item.classList.toggle('fresh', list.fresh.has(file.path));
  return item;
}

function openFolder(folder) {
  if (list.text && folder === list.folder) return;
  Object.assign(list, { folder, files: [], dirs: [], text: '' });
  $('search').value = '';
  $('list').replaceChildren();
  $('list-note').textContent = 'Looking…';
  loadList();
}

// -------------------------------------------------- Files: uploads

// Each upload is `waiting`, `sending`, `done`, or `stuck` until someone chooses what becomes of it.
const uploads = { all: [], isRunning: false, most: 0, since: 0, sentBefore: 0 };
const isOpen = (one) => one.state === 'waiting' || one.state === 'sending';
const total = (all, figure) => all.reduce((sum, one) => sum + figure(one), 0);

function upload(files) {
  for (const file of files) {
    const one = { file, folder: list.folder, sent: 0, line: make('p'), bar: make('progress'), choices: make('div', 'choices') };
    one.bar.ariaLabel = `Upload of ${file.name}`;
    one.row = make('li', '', make('bdi', 'file-name', file.name), one.line, one.bar, one.choices);
    $('upload-list').append(one.row);
    uploads.all.push(one);
    if (uploads.most && file.size > uploads.most) {
      show(one, 'stuck', `${sizeText(file.size)} is too large: the server takes ${sizeText(uploads.most)} a file at most.`, button('Dismiss', () => remove(one)));
    } else {
      wait(one);
    }
  }
  runUploads();
}

function wait(one, onConflict = 'error') {
  Object.assign(one, { onConflict, sent: 0 });
  one.bar.value = 0;
  show(one, 'waiting', `${sizeText(one.file.size)} · waiting`, button('Cancel', () => remove(one)));
}

/** Sends what waits, one after the other. */
async function runUploads() {
  if (uploads.isRunning) return;
  Object.assign(uploads, { isRunning: true, since: performance.now(), sentBefore: total(uploads.all, (one) => one.sent) });
  let count = 0;
  for (let one; (one = uploads.all.find((each) => each.state === 'waiting')); ) {
    const { status, response } = await transfer(one);
    const again = (choice) => () => {
      wait(one, choice);
      runUploads();
    };
    const drop = () => remove(one);
    if (!uploads.all.includes(one)) continue;
    if (status === 201) {
      const file = response.files[0];
      count += 1;
      one.sent = one.file.size;
      list.fresh.add(file.path);
      show(one, 'done', file.name === one.file.name ? 'Stored' : `Stored as ${file.name}`);
      setTimeout(drop, 4000);
    } else if (response?.code === 'file_exists') {
      show(one, 'stuck', 'There is a file of this name already.', button('Keep both', again('rename')), button('Replace', again('overwrite')), button('Skip', drop));
    } else {
      const why = status ? new Trouble(status, response).message : 'The connection was lost; nothing of this file was kept.';
      show(one, 'stuck', why, button('Try again', again(one.onConflict)), button('Dismiss', drop));
    }
  }
  uploads.isRunning = false;
  showOverall();
  if (count) $('upload-status').textContent = count === 1 ? 'One file is stored.' : `${count} files are stored.`;
  if (count) loadList();
}

function transfer(one) {
  const form = new FormData();
  if (one.folder) form.append('dir', one.folder);
  form.append('file', one.file);
  const request = (one.request = new XMLHttpRequest()); // fetch tells no progress
  request.open('POST', at(`upload?on_conflict=${one.onConflict}`));
  request.responseType = 'json';
  request.setRequestHeader('Accept', 'application/json');
  request.upload.onprogress = ({ loaded, total: all }) => {
    one.sent = Math.min(one.file.size, loaded);
    one.bar.value = loaded / all;
    one.line.textContent = loaded < all ? `${Math.floor((100 * loaded) / all)} % of ${sizeText(one.file.size)}` : 'Being stored…';
    showOverall();
  };
  show(one, 'sending', sizeText(one.file.size), button('Cancel', () => remove(one)));
  return new Promise((done) => {
    request.onloadend = () => done(request);
    request.send(form);
  });
}

function show(one, state, text, ...choices) {
  one.state = state;
  one.row.className = state;
  one.line.textContent = text;
  one.bar.hidden = state !== 'sending';
  one.choices.replaceChildren(...choices);
  showOverall();
}

function remove(one) {
  const hadFocus = one.row.contains(document.activeElement);
  uploads.all = uploads.all.filter((each) => each !== one);
  one.request?.abort();
  one.row.remove();
  if (hadFocus) $('file').focus();
  showOverall();
}

function showOverall() {
  const { all } = uploads;
  const open = all.filter(isOpen);
  const stuck = all.filter((one) => one.state === 'stuck').length;
  const sent = total(all, (one) => one.sent);
  const seconds = (performance.now() - uploads.since) / 1000;
  const rate = (sent - uploads.sentBefore) / seconds;
  const left = total(open, (one) => one.file.size - one.sent) / rate;
  let text = stuck ? (stuck === 1 ? 'One file was not stored' : `${stuck} files were not stored`) : '';
  if (open.length) text = all.length > 1 ? `Uploading, ${open.length} of ${all.length} to go` : 'Uploading';
  if (open.length && seconds > 2 && rate > 0) text += ` · ${sizeText(rate)}/s · ${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left`;
  $('overall').textContent = text;
  $('overall-bar').hidden = !open.length || all.length === 1;
  $('overall-bar').max = total(all, (one) => one.file.size) || 1;
  $('overall-bar').value = sent;
  $('uploads').hidden = !all.length;
}

/** The files of a drop or a paste. A folder is told, rather than sent as a file that cannot be read. */
function filesOf({ items }) {
  const all = [...items].filter((item) => item.kind === 'file');
  const files = all.filter((item) => !item.webkitGetAsEntry?.()?.isDirectory);
  $('upload-status').textContent = files.length < all.length ? 'A folder cannot be dropped here: open it, and drop the files in it.' : '';
  return files.map((item) => item.getAsFile());
}

function startFiles() {
  const main = document.querySelector('main');
  const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
  let depth = 0;
  const enter = (step) => (event) => main.classList.toggle('dropping', hasFiles(event) && (depth += step) > 0);
  main.ondragenter = enter(1);
  main.ondragleave = enter(-1);
  window.ondragover = (event) => hasFiles(event) && event.preventDefault();
  window.ondrop = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // beside main too, or the browser leaves the page to show the file
    depth = 0;
    main.classList.remove('dropping');
    if (main.contains(event.target)) upload(filesOf(event.dataTransfer));
  };
  window.onpaste = ({ clipboardData }) => clipboardData.files.length && upload(filesOf(clipboardData));
  window.onbeforeunload = (event) => uploads.isRunning && event.preventDefault();

  $('file').onchange = ({ target }) => {
    $('upload-status').textContent = '';
    upload([...target.files]);
    target.value = '';
  };
  $('upload').onsubmit = $('tools').onsubmit = (event) => event.preventDefault();
  $('search').oninput = $('sort').onchange = showList;
  setInterval(() => document.hidden || loadList(), 30_000);
  ask('api').then(({ limits }) => (uploads.most = limits?.upload_limit), () => {});
}

/** `#/folder`: which folder is shown. */
const showFolder = () => openFolder(decodeURIComponent(location.hash.replace(/^#\//, '')));

window.onhashchange = showFolder;
document.onvisibilitychange = () => document.hidden || loadList();

startFiles();
showFolder();
