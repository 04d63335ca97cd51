// The Chat page: `#den` is the room den. What is said goes out by post, one after the other, and stands in the page at once, marked
// until the server has it; what was under way when the line was cut is looked for before it is sent again. What comes in is the
// affair of live.js.

import { $, ask, button, calendar, clock, isSameDay, link, make, server, signIn, sleep, stored, timeElement } from './common.js';
import { again, listen, types, want } from './live.js';

const PAGE = 100;
const GAP = 'Some messages are no longer kept.';
const log = $('log');
const here = await server;

// `known` has the item of each id; `outgoing` what was written here and is not acknowledged, in order; `unread` counts by room.
const chat = { room: '', known: new Map(), outgoing: [], unread: {}, heard: {}, names: [], typists: new Map() };
const own = new Set(stored('own') || []);
const madeUp = stored('guest') || 'guest-' + Math.floor(Math.random() * 65536).toString(16).padStart(4, '0');

const chosenName = () => (here.user ? '' : $('name').value.trim());
const nameHere = () => here.user || chosenName() || madeUp;
const isSeen = () => !document.hidden && isAtEnd();
const isOurs = ({ id, user }) => own.has(id) || Boolean(user && user === here.user);

// -------------------------------------------------- What is shown

/** Text whose web addresses are links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]'])/).map((part, place) => {
    return place % 2 ? link(part, part, { target: '_blank', rel: 'noopener noreferrer' }) : part;
  });
}

function messageItem({ id, name, user, ts, message }) {
  const date = new Date(ts);
  const who = make('p', 'who', make('bdi', user ? 'user' : '', name), timeElement(date, clock));
  if (id && (here.may.includes('admin') || (user && user === here.user))) {
    const takeBack = () => ask(`messages/${id}`, { method: 'DELETE' }).then(() => erase(id), (trouble) => showError(trouble.message));
    who.append(Object.assign(button('Take back', takeBack, 'back'), { ariaLabel: `Take back: ${message.slice(0, 40)}` }));
  }
  const facts = { className: !id || isOurs({ id, user }) ? 'own' : '', number: id ?? Infinity, author: user || name, date };
  return make('li', facts, make('p', 'day'), who, make('p', { className: 'text', dir: 'auto' }, ...linked(message)));
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

const showError = (text) => ($('send-error').textContent = text);

/** What is unread, here and elsewhere. */
function showUnread() {
  const { room, unread } = chat;
  const total = Object.values(unread).reduce((sum, count) => sum + count, 0);
  const elsewhere = total - (unread[room] || 0);
  document.title = `${total ? `(${total}) ` : ''}${room} · Chat · hythe`;
  $('elsewhere').hidden = !elsewhere;
  $('elsewhere').textContent = `${elsewhere} new elsewhere`;
  $('rooms').replaceChildren(...[...new Set(['lobby', ...chat.names, room])].map((name) => {
    const entry = link(name, '#' + name, { ...(name === room && { ariaCurrent: 'page' }) });
    if (unread[name]) {
      entry.append(' ', make('span', 'count', unread[name]));
      entry.ariaLabel = `${name}, ${unread[name]} unread`;
    }
    return make('li', '', entry);
  }));
}

function markRead() {
  if (!isSeen()) return;
  stored('read', { ...stored('read'), [chat.room]: chat.last });
  if (!chat.unread[chat.room]) return;
  delete chat.unread[chat.room];
  showUnread();
}

/** Shows a message once, in the order of ids. */
function put(message) {
  if (chat.known.has(message.id)) return false;
  const item = messageItem(message);
  chat.known.set(message.id, item);
  chat.first = Math.min(chat.first, message.id);
  chat.last = Math.max(chat.last, message.id);
  place(item);
  return true;
}

function erase(id) {
  const item = chat.known.get(id);
  const below = item?.nextElementSibling;
  item?.remove();
  if (below) dress(below);
}

/** Something that is no message, in its place. */
const tellGap = () => place(make('li', { className: 'gap', number: chat.last }, GAP));

// -------------------------------------------------- What comes in

/** A message that has just come, by whichever way. It may be one of ours, before or in place of its answer. */
function receive(message) {
  if (message.room !== chat.room) return countUnread(message);
  // What is older than all that is shown belongs to the history; what comes before that is there is looked for after it.
  if (chat.isOpening) return (chat.hasMissed = true);
  if (chat.known.size && message.id < chat.first) return;
  chat.typists.delete(message.name);
  showTypists();
  const one = !chat.known.has(message.id) && chat.outgoing.find((each) => each.state !== 'waiting' && isIt(each, message));
  if (one) return acknowledge(one, message);
  if (!put(message)) return;
  $('newest').hidden = isAtEnd();
  if (!isSeen()) countUnread(message);
  markRead();
}

const isIt = (one, message) => one.room === message.room && one.text.trim() === message.message.trim() && one.name === message.name && message.id > one.after;

function countUnread(message) {
  const { room, id } = message;
  if (id <= (chat.heard[room] ??= stored('read')?.[room] || 0)) return;
  chat.heard[room] = id;
  if (isOurs(message)) return;
  chat.unread[room] = (chat.unread[room] || 0) + 1;
  if (!chat.names.includes(room)) chat.names.push(room);
  showUnread();
}

function hear(event) {
  const { type, room, names = [] } = event;
  if (type === 'message') receive(event);
  else if (type === 'delete') erase(event.id);
  else if (type === 'gap') tellGap();
  else if (type === 'state') showState(event.state);
  else if (type === 'ended') location.reload();
  else if (room !== chat.room) return;
  else if (type === 'join' || type === 'leave') lookWho();
  else if (type === 'typing') for (const name of names) showTypist(name);
}

function showState(state) {
  const text = { live: 'Live', lost: 'Reconnecting…', connecting: 'Connecting…' }[state];
  $('link').dataset.state = state;
  if ($('link').textContent !== text) $('link').textContent = text;
  if (state !== 'live') return;
  catchUp();
  lookWho();
  sendWaiting();
}

/** Whatever has come since what is known; it can have come before the line did. */
async function catchUp() {
  await chat.loaded;
  const { room } = chat;
  for (let since = chat.last; ; ) {
    const page = await ask(`messages?room=${room}&limit=1000&since=${since}`).catch(() => null);
    if (!page || room !== chat.room) return false;
    const isNew = page.messages.some(({ id }) => !chat.known.has(id));
    page.messages.forEach(receive);
    if (page.gap) tellGap();
    if (page.messages.length < 1000) return isNew;
    since = page.last;
  }
}

async function lookWho() {
  const { room } = chat;
  const who = await ask(`who?room=${room}`).catch(() => null);
  if (!who || room !== chat.room) return;
  const { count, names } = who;
  const list = [...names, ...(count > names.length ? [`${count - names.length} without a name`] : [])];
  $('who').textContent = count ? `${count} here: ${list.join(', ')}` : '';
}

function showTypist(name) {
  if (name === nameHere()) return;
  clearTimeout(chat.typists.get(name));
  chat.typists.set(name, setTimeout(() => {
    chat.typists.delete(name);
    showTypists();
  }, 5000));
  showTypists();
}

function showTypists() {
  const names = [...chat.typists.keys()];
  $('typing').textContent = names.length > 3 ? 'Several are typing…' : names.length ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing…` : '';
}

async function lookRooms() {
  const found = await ask('rooms').catch(() => null);
  if (!found) return;
  chat.names = found.rooms.map(({ name }) => name);
  $('other-room').hidden = !found.open;
  want(chat.names);
  showUnread();
}

/** How much was said in other rooms since they were last looked into. */
async function countMissed() {
  const read = stored('read') || {};
  for (const room of chat.names.filter((name) => name !== chat.room && read[name]).slice(0, 12)) {
    const page = await ask(`messages?room=${room}&since=${read[room]}&limit=100`).catch(() => null);
    page?.messages.forEach(countUnread);
  }
}

// -------------------------------------------------- What was said before

async function readBack(query) {
  const { room } = chat;
  chat.isLoading = true;
  log.ariaBusy = 'true'; // old messages are not read out as new ones
  try {
    const page = await ask(`messages?room=${room}&limit=${PAGE}${query}`);
    if (room !== chat.room) return;
    page.messages.forEach(put);
    chat.isEnd = page.messages.length < PAGE;
    $('earlier').hidden = chat.isEnd;
  } finally {
    chat.isLoading = false;
    log.ariaBusy = 'false';
  }
}

async function loadEarlier() {
  if (chat.isLoading || chat.isEnd || !chat.known.size) return;
  const below = log.scrollHeight - log.scrollTop;
  const hadFocus = document.activeElement === $('earlier');
  await readBack('&before=' + chat.first).catch((trouble) => showError(trouble.message));
  log.scrollTop = log.scrollHeight - below;
  if (hadFocus && chat.isEnd) log.focus();
}

async function openRoom() {
  const room = /^#([a-z0-9-]{1,32})$/.exec(location.hash)?.[1] ?? 'lobby';
  if (room === chat.room) return;
  Object.assign(chat, { room, first: Infinity, last: 0, known: new Map(), isEnd: false });
  chat.typists.clear();
  showTypists();
  delete chat.unread[room];
  $('room-name').textContent = room;
  $('messages').replaceChildren();
  $('earlier').hidden = true;
  $('who').textContent = '';
  showError('');
  showUnread();
  want([room]);
  await (chat.loaded = loadRoom());
}

async function loadRoom() {
  const { room } = chat;
  $('log-note').textContent = 'Looking…';
  Object.assign(chat, { isOpening: true, hasMissed: false });
  try {
    await readBack('').finally(() => (chat.isOpening = false));
    if (room !== chat.room) return;
    if (chat.hasMissed) setTimeout(catchUp);
    if (!chat.last) $('log-note').textContent = 'No one has spoken here yet. Say hello.';
    for (const one of chat.outgoing.filter((each) => each.room === room)) place(one.item);
    toEnd();
    markRead();
    lookWho();
  } catch (trouble) {
    $('log-note').replaceChildren(trouble.message, ' ', button('Try again', loadRoom));
  }
}

// -------------------------------------------------- What goes out

function say(text, facts = {}) {
  const name = nameHere();
  const one = { text, name, room: chat.room, after: chat.last, line: make('p', 'line'), ...facts };
  one.item = messageItem({ name: one.name, user: here.user, ts: Date.now(), message: text });
  one.item.append(one.line);
  chat.outgoing.push(one);
  if (one.room === chat.room) place(one.item);
  hold(one);
  toEnd();
}

/** What is not acknowledged yet is still known when the page is loaded anew. */
const remember = () => stored('outgoing', chat.outgoing.map(({ text, name, room, after }) => ({ text, name, room, after, isDoubtful: true })), 'sessionStorage');

function hold(one) {
  one.state = 'waiting';
  one.item.className = 'own waiting';
  one.line.textContent = 'Sending…';
  remember();
  sendWaiting();
}

/** Sends what waits, in order, one at a time. */
async function sendWaiting() {
  if (chat.isSending) return;
  chat.isSending = true;
  for (let one; (one = chat.outgoing.find((each) => each.state === 'waiting')); ) {
    one.state = 'sending';
    try {
      const sent = (one.isDoubtful && (await find(one))) || (await post(one));
      acknowledge(one, sent);
    } catch (trouble) {
      if (!chat.outgoing.includes(one)) continue; // the answer was lost, but the message came back to us
      if (trouble.status === 429) {
        one.line.textContent = 'A little fast: this goes out in a moment.';
        await sleep(trouble.waitMs);
        if (one.state === 'sending') one.state = 'waiting';
      } else if (!trouble.status || trouble.status >= 500) {
        postpone(one);
        break;
      } else {
        refuse(one, trouble);
      }
    }
  }
  chat.isSending = false;
}

const post = ({ text, name, room }) => ask('send', {
  method: 'POST',
  body: new URLSearchParams({ message: text, room, ...(!here.user && { name }) }),
  signal: AbortSignal.timeout(20_000),
});

/** A message that may have come through though its answer did not. */
async function find(one) {
  const page = await ask(`messages?room=${one.room}&since=${one.after}&limit=1000`);
  return page.messages.find((message) => isIt(one, message) && !own.has(message.id));
}

function acknowledge(one, message) {
  const wasAtEnd = isAtEnd();
  forget(one);
  own.add(message.id);
  stored('own', [...own].slice(-500));
  showError('');
  if (message.room !== chat.room) return;
  if (!put(message)) chat.known.get(message.id).classList.add('own');
  if (wasAtEnd) toEnd();
  markRead();
}

function forget(one) {
  chat.outgoing = chat.outgoing.filter((each) => each !== one);
  one.item.remove();
  remember();
}

/** What can be done with a message that did not go out. */
function offer(one, text) {
  const then = (act) => () => {
    act(one);
    $('message').focus();
  };
  one.line.replaceChildren(text, button('Send again', then(retry)), button('Discard', then(forget)));
}

/** It cannot go out now: it does when the line is back, and is looked for first. */
function postpone(one) {
  Object.assign(one, { state: 'waiting', isDoubtful: true });
  offer(one, 'Not sent yet. ');
  clearTimeout(chat.timer);
  chat.timer = setTimeout(sendWaiting, 3000);
}

function refuse(one, trouble) {
  one.state = 'failed';
  one.item.className = 'own failed';
  offer(one, 'Not sent. ');
  showError(`Not sent. ${trouble.message}`);
  if (trouble.code === 'name_taken') $('name').focus();
  toEnd();
}

function retry(one) {
  if (one.state === 'failed') one.name = nameHere();
  hold(one);
}

// -------------------------------------------------- The page

function startBox() {
  const box = $('message');
  let typed = 0;
  $('name').value = stored('name') || '';
  $('name').placeholder = madeUp;
  $('name').onchange = () => {
    stored('name', $('name').value.trim());
    if ($('name').checkValidity()) again(chosenName());
  };
  $('name-line').hidden = Boolean(here.user);
  box.oninput = () => {
    if (Date.now() - typed < 2500 || !box.value) return;
    typed = Date.now();
    types(chat.room);
  };
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
    typed = 0;
    if (text) say(text);
  };
  if (!here.may.includes('chat_write') && !here.isAway) {
    $('send').replaceChildren(make('p', 'soft', 'Writing here is for those who are signed in. ', signIn()));
  }
}

function startLog() {
  log.onscroll = () => {
    if (isAtEnd()) {
      $('newest').hidden = true;
      markRead();
    }
    if (log.scrollTop < 200) loadEarlier();
  };
  $('newest').onclick = toEnd;
  $('earlier').onclick = loadEarlier;
  $('other-room').onsubmit = (event) => {
    event.preventDefault();
    location.hash = $('room').value;
    $('room').value = '';
  };
  const wide = matchMedia('(min-width: 56rem)');
  wide.onchange = () => ($('rooms-box').open = wide.matches);
  wide.onchange();
}

async function start() {
  stored('guest', madeUp);
  startBox();
  startLog();
  await openRoom();
  for (const { text, ...facts } of stored('outgoing', undefined, 'sessionStorage') || []) say(text, facts);
  await lookRooms();
  listen([...chat.names, chat.room], chosenName(), hear);
  await countMissed();
  addEventListener('hashchange', openRoom);
  document.addEventListener('visibilitychange', async () => {
    if (document.hidden) return;
    markRead();
    // After sleep, or on another network, a line can be dead and not say so.
    if (await catchUp()) again();
  });
  setInterval(() => document.hidden || lookRooms().then(lookWho), 30_000);
}

if (here.may.includes('chat_read') || here.isAway) start();
else document.querySelector('section').replaceChildren(make('h1', '', 'Chat'), make('p', 'note', 'The chat is for those who are signed in. ', signIn()));
