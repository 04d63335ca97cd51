// The Chat page.

import { $, ask, at, button, calendar, clock, isSameDay, make, sleep, stored, timeElement } from './common.js';

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
  document.title = count ? `(${count}) Chat · hythe` : 'Chat · hythe';
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
  const source = new EventSource(at(`events?since=${chat.last}`));
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

window.ononline = catchUp;
document.onvisibilitychange = () => {
  if (document.hidden) return;
  showUnread(0);
  catchUp();
};

startChat();
