// The page's script: Files, then Chat, then the window they share. Without it the forms work as they stand.
// What others wrote is only ever set as text. Addresses are relative, so the page works below any prefix.

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function button(text, press) {
  const element = make('button', '', text);
  element.type = 'button';
  element.onclick = press;
  return element;
}

/** What went wrong, in a sentence: the server's own where it gave one. */
class Trouble extends Error {
  constructor(status, body, retryAfter) {
    super(body?.detail?.replace(/^./u, (first) => first.toUpperCase()).replace(/[^.!?]$/u, '$&.') || (status ? `The server answered ${status}.` : 'The server cannot be reached. Check the connection, then try again.'));
    this.code = body?.code;
    this.status = status;
    this.waitMs = Math.min(Number(retryAfter) || 1, 60) * 1000;
  }
}

/** Asks for JSON; anything but a good answer is a Trouble. */
async function ask(url, options) {
  const response = await fetch(url, { ...options, headers: { Accept: 'application/json' } }).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (!response?.ok || !body) throw new Trouble(response?.status, body, response?.headers.get('Retry-After'));
  return body;
}

/** Storage may be forbidden; the page then forgets, and works. */
function stored(storage, key, value) {
  try {
    return value === undefined ? storage.getItem(key) : storage.setItem(key, value);
  } catch {
    return null;
  }
}

function sizeText(bytes) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 4);
  const style = { style: 'unit', unit: units[step], unitDisplay: step ? 'short' : 'long', maximumFractionDigits: step > 1 ? 1 : 0 };
  return new Intl.NumberFormat(undefined, style).format(bytes / 1000 ** step);
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const isSameDay = (a, b) => a.toDateString() === b.toDateString();

function timeElement(date, format) {
  const element = make('time', '', format.format(date));
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  return element;
}

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

  $('list').replaceChildren(...(list.folder ? [row('#files/' + escapePath(up), '↑', up || 'All files', 'Up from ' + list.folder)] : []), ...rows);
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
  return row('#files/' + escapePath(list.folder ? `${list.folder}/${dir}` : dir), '▸', dir, 'Folder');
}

function fileRow(file) {
  const ending = /[^.]\.([a-z0-9]{1,5})$/i.exec(file.name)?.[1] ?? 'file';
  const date = new Date(file.modified);
  const time = timeElement(date, isSameDay(date, new Date()) ? clock : calendar);
  const item = row('files/' + escapePath(file.path), ending, file.name, sizeText(file.size), ' · ', time);
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
  request.open('POST', `upload?on_conflict=${one.onConflict}`);
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

// -------------------------------------------------- Chat: what is shown

// `known` has the item of each id; `outgoing` what was written here and is not acknowledged, in order.
const chat = { last: 0, known: new Map(), outgoing: [], isSending: false, unread: 0, source: null, hasStreamed: false };
const PAGE = 100;
const LOST = 'Some messages are no longer kept.';
const own = new Set(JSON.parse(stored(sessionStorage, 'hythe.own') || '[]'));
const log = $('log');

/** Text whose web addresses are links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]'])/).map((part, at) => {
    if (at % 2 === 0) return part;
    const link = make('a', '', part);
    return Object.assign(link, { href: part, target: '_blank', rel: 'noopener noreferrer' });
  });
}

function messageItem({ id, name, ts, message }) {
  const date = new Date(ts);
  const text = make('p', 'text', ...linked(message));
  text.dir = 'auto';
  const item = make('li', own.has(id) ? 'own' : '', make('p', 'day'), make('p', 'who', make('bdi', '', name), timeElement(date, clock)), text);
  return Object.assign(item, { number: id ?? Infinity, author: name, date });
}

/** Puts an item where its id belongs; what has none yet stays at the end. */
function place(item) {
  const wasAtEnd = isAtEnd();
  let above = $('messages').lastElementChild;
  while (above && above.number > item.number) above = above.previousElementSibling;
  if (above) above.after(item);
  else $('messages').prepend(item);
  dress(item);
  if (item.nextElementSibling) dress(item.nextElementSibling);
  $('log-note').textContent = '';
  if (wasAtEnd) toEnd();
}

/** The head of an item hangs on the one above: the day is told when it is another, the name when it or five minutes have gone by. */
function dress(item) {
  const above = item.previousElementSibling;
  if (!item.date) return;
  const isNewDay = !isSameDay(item.date, above?.date ?? new Date());
  const isNear = above?.author === item.author && item.date - above.date < 300_000;
  item.classList.toggle('follows', isNear && !isNewDay);
  item.firstChild.textContent = !isNewDay ? '' : isSameDay(item.date, new Date()) ? 'Today' : calendar.format(item.date);
}

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 60;

function toEnd() {
  log.scrollTop = log.scrollHeight;
  $('newest').hidden = true;
}

const isSeen = () => !document.hidden && log.offsetParent;

function showUnread(count) {
  chat.unread = count;
  document.title = count ? `(${count}) hythe` : 'hythe';
  $('unread').hidden = !count;
  $('unread').textContent = count;
}

function showLink(state, text) {
  $('link').dataset.state = state;
  if ($('link').textContent !== text) $('link').textContent = text;
}

/** Shows a message once, in the order of ids. */
function put(message) {
  if (chat.known.has(message.id)) return false;
  const item = messageItem(message);
  chat.known.set(message.id, item);
  chat.last = Math.max(chat.last, message.id);
  place(item);
  return true;
}

/** A message that has just come, by whichever way. It may be one of ours, before or in place of its answer. */
function receive(message) {
  const isOurs = (one) => one.text === message.message && (one.name ? one.name === message.name : message.name.startsWith('guest-'));
  const one = !chat.known.has(message.id) && chat.outgoing.find((each) => each.state !== 'waiting' && isOurs(each));
  if (one) return acknowledge(one, message);
  if (!put(message)) return;
  $('newest').hidden = isAtEnd();
  if (!isSeen()) showUnread(chat.unread + 1);
}

// -------------------------------------------------- Chat: what comes in

async function readBack(query) {
  log.ariaBusy = 'true'; // old messages are not read out as new ones
  const page = await ask(`messages?limit=${PAGE}${query}`).finally(() => (log.ariaBusy = 'false'));
  page.messages.forEach(put);
  $('earlier').hidden = page.messages.length < PAGE;
}

async function loadHistory() {
  try {
    await readBack('');
    if (!chat.last) $('log-note').textContent = 'No one has spoken yet. Say hello.';
    toEnd();
    listen();
  } catch (trouble) {
    showLink('lost', 'Not connected');
    $('log-note').replaceChildren(trouble.message, make('br'), button('Try again', loadHistory));
  }
}

async function loadEarlier() {
  const below = log.scrollHeight - log.scrollTop;
  await readBack('&before=' + Math.min(...chat.known.keys())).catch((trouble) => showLink('lost', trouble.message));
  log.scrollTop = log.scrollHeight - below;
  log.focus();
}

/** Something that is no message, in its place. */
const tell = (text) => place(Object.assign(make('li', 'gap', text), { number: chat.last }));

/** The event stream. The browser resumes it by Last-Event-ID; where it gives up, we open it anew; where streams never pass, we poll. */
function listen(fails = 0) {
  const source = new EventSource(`events?since=${chat.last}`);
  const end = () => {
    clearTimeout(patience);
    source.close();
    if (source !== chat.source) return;
    if (!chat.hasStreamed && fails >= 2) poll();
    else setTimeout(() => source === chat.source && listen(fails + 1), Math.min(1000 * 2 ** fails, 30_000));
  };
  const patience = setTimeout(end, 8000);
  chat.source?.close();
  chat.source = source;
  source.onopen = () => {
    clearTimeout(patience);
    fails = 0;
    chat.hasStreamed = true;
    showLink('live', 'Live');
  };
  source.onmessage = ({ data }) => receive(JSON.parse(data));
  source.addEventListener('gap', () => tell(LOST));
  source.onerror = () => {
    showLink('lost', 'Reconnecting…');
    if (source.readyState === EventSource.CLOSED) end();
  };
}

/** Long polls, one after the other; the first after a failure is short, to tell soon that all is well. */
async function poll() {
  chat.source = null;
  for (let wait = 0, fails = 0; ; ) {
    const began = performance.now();
    try {
      const page = await ask(`messages?since=${chat.last}&wait=${wait}`, { signal: AbortSignal.timeout(40_000) });
      showLink('live', 'Live');
      if (page.gap) tell(LOST);
      page.messages.forEach(receive);
      if (wait && !page.messages.length && performance.now() - began < 1000) await sleep(2000);
      wait = 25;
      fails = 0;
    } catch (trouble) {
      showLink('lost', 'Reconnecting…');
      await sleep(Math.max(Math.min(1000 * 2 ** fails++, 30_000), trouble.waitMs));
      wait = 0;
    }
  }
}

/** After sleep, or on another network, a stream can be dead and not say so: ask once, and open it anew if it was. */
async function catchUp() {
  const page = chat.source && (await ask(`messages?since=${chat.last}`).catch(() => null));
  if (!page?.messages.some(({ id }) => !chat.known.has(id))) return;
  page.messages.forEach(receive);
  listen();
}

// -------------------------------------------------- Chat: what goes out

function say(text) {
  const name = $('name').value.trim();
  const item = messageItem({ name: name || 'guest', ts: Date.now(), message: text });
  const one = { text, item, line: make('p', 'line') };
  item.append(one.line);
  chat.outgoing.push(one);
  hold(one);
  place(item);
  toEnd();
}

function hold(one) {
  one.state = 'waiting';
  one.name = $('name').value.trim();
  one.item.className = 'own waiting';
  one.line.textContent = 'Sending…';
  sendWaiting();
}

/** Sends what waits, in order, one at a time. */
async function sendWaiting() {
  if (chat.isSending) return;
  chat.isSending = true;
  for (let one; (one = chat.outgoing.find((each) => each.state === 'waiting')); ) {
    one.state = 'sending';
    const body = new URLSearchParams({ message: one.text, ...(one.name && { name: one.name }) });
    try {
      acknowledge(one, await ask('send', { method: 'POST', body, signal: AbortSignal.timeout(20_000) }));
    } catch (trouble) {
      if (!chat.outgoing.includes(one)) continue; // the answer was lost, but the message came back to us
      if (trouble.status === 429) {
        one.state = 'waiting';
        one.line.textContent = 'A little fast: this goes out in a moment.';
        await sleep(trouble.waitMs);
      } else {
        refuse(one, trouble);
      }
    }
  }
  chat.isSending = false;
}

function forget(one) {
  chat.outgoing = chat.outgoing.filter((each) => each !== one);
  one.item.remove();
}

function acknowledge(one, message) {
  const wasAtEnd = isAtEnd();
  forget(one);
  own.add(message.id);
  stored(sessionStorage, 'hythe.own', JSON.stringify([...own].slice(-500)));
  $('send-error').textContent = '';
  if (!put(message)) chat.known.get(message.id).classList.add('own');
  if (wasAtEnd) toEnd();
}

function refuse(one, trouble) {
  const then = (act) => () => {
    act(one);
    $('message').focus();
  };
  one.state = 'failed';
  one.item.className = 'own failed';
  one.line.replaceChildren('Not sent. ', button('Send again', then(hold)), button('Discard', then(forget)));
  $('send-error').textContent = `Not sent. ${trouble.message}`;
  if (trouble.code === 'name_taken') $('name').focus();
  toEnd();
}

function startChat() {
  const box = $('message');
  $('name').value = stored(localStorage, 'hythe.name') || '';
  $('name').onchange = () => stored(localStorage, 'hythe.name', $('name').value.trim());
  box.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $('send').requestSubmit();
  };
  $('send').onsubmit = (event) => {
    event.preventDefault();
    const text = box.value.trim();
    box.value = '';
    box.focus();
    if (text) say(text);
  };
  log.onscroll = () => isAtEnd() && ($('newest').hidden = true);
  $('newest').onclick = toEnd;
  $('earlier').onclick = loadEarlier;
  loadHistory();
}

// -------------------------------------------------- The window

/** `#files`, `#files/folder` and `#chat`: which part a narrow window shows, and which folder. */
function showView() {
  const hash = location.hash || '#files';
  const isChat = hash === '#chat';
  document.documentElement.dataset.view = isChat ? 'chat' : 'files';
  for (const link of document.querySelectorAll('.top nav a')) link.ariaCurrent = String((link.hash === '#chat') === isChat);
  if (!isChat) openFolder(decodeURIComponent(hash.slice('#files/'.length)));
  if (isChat) toEnd();
  if (isSeen()) showUnread(0);
}

window.onhashchange = showView;
window.ononline = catchUp;
document.onvisibilitychange = () => {
  if (document.hidden) return;
  if (isSeen()) showUnread(0);
  loadList();
  catchUp();
};

startFiles();
showView();
startChat();
