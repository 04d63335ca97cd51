// Uploads, by tus: each is begun, sent from where the server has it, and taken up again after any cut, also after the page was
// loaded anew (then the file must be chosen once more, for a page may not keep it).

import { $, Trouble, at, button, make, server, sizeText, sleep, stored, tell } from './common.js';

// Each is `waiting`, `sending`, `paused`, `done`, `stuck` until someone chooses what becomes of it, or `left` by an earlier visit.
let all = [];
let running = 0;
const AT_ONCE = 2;
const SILENCE = 30_000;
const rate = { at: 0, sent: 0, value: 0 };

const isOpen = (one) => one.state === 'waiting' || one.state === 'sending';
const sum = (some, figure) => some.reduce((total, one) => total + figure(one), 0);
const mark = ({ name, size, modified, folder }) => JSON.stringify([name, size, modified, folder]);

/** Writes down which uploads are unfinished, for the next visit. */
const remember = () => stored('uploads', all.filter((one) => one.url && one.state !== 'done').map(({ name, size, modified, folder, url, sent }) => ({ name, size, modified, folder, url, sent })));

export function upload(files) {
  for (const { file, folder } of files) {
    const facts = { name: file.name, size: file.size, modified: file.lastModified, folder };
    const left = all.find((one) => one.state === 'left' && mark(one) === mark(facts));
    const one = left || add(facts);
    one.file = file;
    queue(one);
  }
  run();
}

/** What an earlier visit has left unfinished. */
export async function resume() {
  for (const facts of stored('uploads') || []) {
    const answer = await fetch(facts.url).catch(() => null);
    const known = answer?.ok ? await answer.json() : null;
    if (answer && (!known || known.offset === known.length)) continue;
    const one = add({ ...facts, sent: known?.offset ?? facts.sent });
    show(one, 'left', `${percent(one)} had come through when the page was left. Choose the file again to go on.`,
      button('Choose it', () => $('file').click(), 'pale'), button('Discard', () => remove(one), 'pale'));
  }
  remember();
}

function add(facts) {
  const one = { sent: 0, onConflict: 'error', line: make('p'), bar: make('progress'), choices: make('p', 'choices'), ...facts };
  one.bar.ariaLabel = `Upload of ${one.name}`;
  one.bar.max = one.size || 1;
  one.row = make('li', '', make('bdi', 'file-name', one.name), one.line, one.bar, one.choices);
  $('upload-list').append(one.row);
  all.push(one);
  return one;
}

const percent = (one) => `${Math.floor((100 * one.sent) / (one.size || 1))} % of ${sizeText(one.size)}`;
const cancel = (one) => button('Cancel', () => remove(one), 'pale');

function queue(one) {
  show(one, 'waiting', one.sent ? percent(one) : `${sizeText(one.size)} · waiting`, cancel(one));
}

function run() {
  while (running < AT_ONCE) {
    const one = all.find((each) => each.state === 'waiting');
    if (!one) break;
    running += 1;
    send(one).finally(() => {
      running -= 1;
      run();
    });
  }
  showOverall();
}

/** Sends one, from where the server has it, again and again until it is there or is refused. */
async function send(one) {
  showSending(one);
  const { limits } = await server;
  for (let fails = 0; one.state === 'sending'; ) {
    const before = one.sent;
    try {
      if (limits?.upload_limit && one.size > limits.upload_limit) {
        throw new Trouble(413, { detail: `${sizeText(one.size)} is too large: the server takes ${sizeText(limits.upload_limit)} a file at most` });
      }
      if (!one.url || !(await find(one))) await begin(one);
      if (one.sent < one.size) await sendRest(one);
      return finish(one);
    } catch (trouble) {
      if (one.state !== 'sending') return;
      if (trouble.status && ![408, 409, 423, 429, 500, 502, 503, 504].includes(trouble.status) || trouble.code === 'file_exists' || trouble.name === 'NotReadableError') return refuse(one, trouble);
      fails = one.sent > before ? 0 : fails + 1;
      one.line.textContent = `${percent(one)} · the connection was lost, trying again`;
      await sleep(Math.max(Math.min(500 * 2 ** fails, 15_000), trouble.waitMs * (trouble.status === 429)));
      // A file that was changed or taken away cannot be sent, and only reading it tells.
      await one.file.slice(one.sent, one.sent + 1).arrayBuffer().catch(() => refuse(one, new Trouble(undefined, { detail: 'the file was changed, or cannot be read any more' })));
    }
  }
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** A question by tus; what is no good answer is a Trouble. */
async function tus(method, url, headers) {
  const answer = await fetch(url, { method, headers: { 'Tus-Resumable': '1.0.0', Accept: 'application/json', ...headers } }).catch(() => null);
  if (!answer?.ok) throw new Trouble(answer?.status, await answer?.json().catch(() => null), answer?.headers.get('Retry-After'));
  await answer.text();
  return answer;
}

async function begin(one) {
  const isPrivate = one.folder.startsWith('~');
  const folder = isPrivate ? one.folder.split('/').slice(1).join('/') : one.folder;
  const metadata = { filename: one.name, on_conflict: one.onConflict, ...(folder && { dir: folder }), ...(isPrivate && { private: '1' }) };
  const answer = await tus('POST', at('tus'), {
    'Upload-Length': one.size,
    'Upload-Metadata': Object.entries(metadata).map(([key, value]) => `${key} ${base64(value)}`).join(','),
  });
  one.url = answer.headers.get('Location');
  one.sent = 0;
  one.place = answer.headers.get('Content-Location');
  remember();
}

/** How much the server has; nothing if it does not know of this one any more. */
async function find(one) {
  const answer = await fetch(one.url).catch(() => null);
  if (answer?.status === 404) return (one.url = null);
  if (!answer?.ok) throw new Trouble(answer?.status);
  one.sent = (await answer.json()).offset;
  one.place = answer.headers.get('Content-Location');
  return true;
}

function sendRest(one) {
  const request = (one.request = new XMLHttpRequest()); // fetch tells no progress
  const from = one.sent;
  let timer;
  const patience = () => {
    clearTimeout(timer);
    timer = setTimeout(() => request.abort(), SILENCE);
  };
  request.open('PATCH', one.url);
  const fields = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': from, 'Content-Type': 'application/offset+octet-stream', Accept: 'application/json' };
  for (const [name, value] of Object.entries(fields)) request.setRequestHeader(name, value);
  request.upload.onprogress = ({ loaded }) => {
    one.sent = from + loaded;
    showProgress(one);
    patience();
  };
  patience();
  return new Promise((done, fail) => {
    request.onloadend = () => {
      clearTimeout(timer);
      if (request.status !== 204) return fail(Object.assign(trouble(request), { isCut: true }));
      one.sent = one.size;
      one.place = request.getResponseHeader('Content-Location') || one.place;
      done();
    };
    request.send(one.file.slice(from));
  });
}

function trouble({ status, responseText }) {
  let body;
  try {
    body = JSON.parse(responseText);
  } catch {
    // No document: the status must do.
  }
  return new Trouble(status, body);
}

function finish(one) {
  const path = decodeURIComponent((one.place || '').replace(/^.*?\/files\//, ''));
  const name = path.split('/').pop() || one.name;
  show(one, 'done', name === one.name ? 'Stored' : `Stored as ${name}`);
  remember();
  dispatchEvent(new CustomEvent('stored', { detail: path || [one.folder, one.name].filter(Boolean).join('/') }));
  setTimeout(() => forget(one), 4000);
  if (!all.some(isOpen)) {
    const count = all.filter((each) => each.state === 'done').length;
    tell(count === 1 ? `${name} is stored.` : `${count} files are stored.`);
  }
}

function refuse(one, why) {
  const drop = () => remove(one);
  if (why.code !== 'file_exists') {
    return show(one, 'stuck', why.message, button('Try again', () => { queue(one); run(); }, 'pale'), button('Dismiss', drop, 'pale'));
  }
  one.isTaken = true;
  show(one, 'stuck', 'There is a file of this name already.', ...answers([one]));
}

/** What may become of files whose names are taken. */
function answers(some) {
  const again = (onConflict) => () => {
    for (const one of some) {
      Object.assign(one, { onConflict, isTaken: false });
      queue(one);
    }
    run();
  };
  return [button('Keep both', again('rename'), 'pale'), button('Replace', again('overwrite'), 'pale'), button('Skip', () => some.forEach(remove), 'pale')];
}

function pause(one) {
  show(one, 'paused', `${percent(one)} · paused`, button('Go on', () => { queue(one); run(); }, 'pale'), cancel(one));
  one.request?.abort();
  one.row.querySelector('button').focus();
}

function showSending(one) {
  show(one, 'sending', percent(one), button('Pause', () => pause(one), 'pale'), cancel(one));
}

function show(one, state, text, ...choices) {
  one.state = state;
  one.row.className = state;
  one.line.textContent = text;
  one.bar.hidden = !['sending', 'paused', 'left', 'waiting'].includes(state);
  one.bar.value = one.sent;
  one.choices.replaceChildren(...choices);
  showOverall();
}

function showProgress(one) {
  one.bar.value = one.sent;
  one.line.textContent = one.sent < one.size ? percent(one) : 'Being stored…';
  showOverall();
}

/** Gives an upload up; the server may forget it too. */
function remove(one) {
  const { url } = one;
  one.state = 'gone';
  one.request?.abort();
  forget(one);
  remember();
  if (url) tus('DELETE', url).catch(() => {});
}

function forget(one) {
  const hadFocus = one.row.contains(document.activeElement);
  all = all.filter((each) => each !== one);
  one.row.remove();
  if (hadFocus) $('file').focus();
  showOverall();
}

function timeText(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : seconds < 5400 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;
}

/** The rate of the last seconds. */
function measure(sent) {
  const now = performance.now();
  const seconds = (now - rate.at) / 1000;
  if (seconds > 5 || sent < rate.sent) Object.assign(rate, { at: now, sent, value: 0 });
  else if (seconds >= 1) Object.assign(rate, { at: now, value: (rate.value || (sent - rate.sent) / seconds) * 0.6 + ((sent - rate.sent) / seconds) * 0.4, sent });
  return rate.value;
}

function showOverall() {
  const open = all.filter(isOpen);
  const stuck = all.filter((one) => one.state === 'stuck').length;
  const sent = sum(all, (one) => one.sent);
  const speed = open.length ? measure(sent) : 0;
  let text = stuck ? (stuck === 1 ? 'One file was not stored' : `${stuck} files were not stored`) : all.length ? 'Uploads' : '';
  if (open.length) text = all.length > 1 ? `Uploading, ${open.length} of ${all.length} to go` : 'Uploading';
  if (speed) text += ` · ${sizeText(speed)}/s · ${timeText(sum(open, (one) => one.size - one.sent) / speed)} left`;
  $('overall').textContent = text;
  $('overall-bar').hidden = !open.length || all.length === 1;
  $('overall-bar').max = sum(all, (one) => one.size) || 1;
  $('overall-bar').value = sent;
  $('uploads').hidden = !all.length;
  const taken = all.filter((one) => one.isTaken);
  $('for-all').replaceChildren(...(taken.length > 1 ? [`All ${taken.length}: `, ...answers(taken)] : []));
}

addEventListener('beforeunload', (event) => all.some(isOpen) && event.preventDefault());
