// The Chat page: `#den` is the room den. What is said stands there at once, marked until the server has it; when the line was cut
// it is looked for before it is sent again.

import { $, ask, button, calendar, clock, isSameDay, link, make, may, notForGuests, showOnly, sleep, stored, timeElement, user } from './common.js';
import { again, listen, types, want } from './live.js';

const PAGE = 100;
const MOST = 1000;
const log = $('log');

// `known` has the item of each id; `outgoing` what is not acknowledged, in order; `unread` counts by room.
const chat = { room: '', known: new Map(), outgoing: [], unread: {}, heard: {}, names: [] };
const own = new Set(stored('own') || []);
const madeUp = stored('guest') || 'guest-' + Math.random().toString(16).slice(2, 6);

const chosenName = () => (user ? '' : $('name').value.trim());
const nameHere = () => user || chosenName() || madeUp;
const messagesOf = (room, query) => ask(`messages?room=${room}&limit=${MOST}&${query}`);
const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 60;
const isSeen = () => !document.hidden && isAtEnd();
const isBy = (message) => user && user === message.user;
const showError = (text) => ($('send-error').textContent = text);

function toEnd() {
	log.scrollTop = log.scrollHeight;
	$('newest').hidden = true;
}

const linked = (text) => text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]'])/).map((part, place) => (place % 2 ? link(part, part, { target: '_blank' }) : part));

function messageItem(message) {
	const { id, name, user: author, ts, message: text } = message;
	const date = new Date(ts);
	const who = make('p', 'who', make('bdi', author ? 'user' : '', name), timeElement(date, clock));
	if (id && (isBy(message) || may('admin'))) {
		who.append(button('Take back', () => ask(`messages/${id}`, null, { method: 'DELETE' }).then(() => erase(id), ({ message }) => showError(message)), 'back'));
	}
	return make('li', { className: !id || own.has(id) || isBy(message) ? 'own' : '', number: id ?? Infinity, author: author || name, date }, make('p', 'day'), who, make('p', { className: 'text', dir: 'auto' }, ...linked(text)));
}

/** Puts an item where its id belongs. */
function place(item) {
	const wasAtEnd = isAtEnd();
	let above = $('messages').lastElementChild;
	while (above?.number > item.number) above = above.previousElementSibling;
	if (above) above.after(item);
	else $('messages').prepend(item);
	dress(item);
	dress(item.nextElementSibling);
	$('log-note').textContent = '';
	if (wasAtEnd) toEnd();
}

/** The day is told when it changes, the name too, or after five minutes. */
function dress(item) {
	if (!item?.date) return;
	const above = item.previousElementSibling;
	const isNewDay = !isSameDay(item.date, above?.date ?? new Date());
	item.classList.toggle('follows', !isNewDay && above?.author === item.author && item.date - above.date < 300_000);
	item.firstChild.textContent = !isNewDay ? '' : isSameDay(item.date, new Date()) ? 'Today' : calendar.format(item.date);
}

function showUnread() {
	const { room, unread } = chat;
	const total = Object.values(unread).reduce((sum, count) => sum + count, 0);
	const told = (count) => (count ? `${count} new` : '');
	document.title = `${total ? `(${total}) ` : ''}${room} · Chat · hythe`;
	$('unread').textContent = told(total);
	$('rooms').replaceChildren(...[...new Set(['lobby', ...chat.names, room])].map((name) => {
		const entry = link(name, '#' + name, { ariaCurrent: name === room ? 'page' : null });
		entry.append(' ', make('span', 'count', told(unread[name])));
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

function put(message) {
	if (chat.known.has(message.id)) return;
	const item = messageItem(message);
	chat.known.set(message.id, item);
	chat.first = Math.min(chat.first, message.id);
	chat.last = Math.max(chat.last, message.id);
	place(item);
	return item;
}

function erase(id) {
	const item = chat.known.get(id);
	const below = item?.nextElementSibling;
	item?.remove();
	dress(below);
}

const isIt = (one, message) => one.room === message.room && one.text === message.message.trim() && one.name === message.name && message.id > one.after;

/** A message that has come; it may be one of ours, before its answer. */
function receive(message) {
	if (message.room !== chat.room) return countUnread(message);
	// What comes while the history is read is looked for later; what is older than all that is shown belongs to it.
	if (chat.isOpening || chat.known.has(message.id) || (chat.known.size && message.id < chat.first)) return;
	const one = chat.outgoing.find((each) => each.state !== 'waiting' && isIt(each, message));
	if (one) return acknowledge(one, message);
	put(message);
	$('newest').hidden = isAtEnd();
	if (isSeen()) markRead();
	else countUnread(message);
}

function countUnread(message) {
	const { room, id } = message;
	if (id <= (chat.heard[room] ??= stored('read')?.[room] || 0)) return;
	chat.heard[room] = id;
	if (own.has(id) || isBy(message)) return;
	chat.unread[room] = (chat.unread[room] || 0) + 1;
	if (!chat.names.includes(room)) chat.names.push(room);
	showUnread();
}

const HEARD = {
	message: receive,
	delete: ({ id }) => erase(id),
	gap: tellGap,
	state: showState,
	ended: () => location.reload(),
	typing: showTyping,
	join: lookWho,
	leave: lookWho,
};

function tellGap() {
	place(make('li', { className: 'gap', number: chat.last }, 'Some messages are no longer kept.'));
}

function showState({ state }) {
	$('link').dataset.state = state;
	$('link').textContent = { live: 'Live', lost: 'Reconnecting…' }[state] ?? 'Connecting…';
	if (state !== 'live') return;
	catchUp();
	lookWho();
	sendWaiting();
}

/** Whatever has come since; says whether there was something. */
async function catchUp() {
	await chat.loaded;
	const { room, last } = chat;
	const page = await messagesOf(room, 'since=' + last).catch(() => null);
	if (!page || room !== chat.room) return;
	if (page.gap) tellGap();
	page.messages.forEach(receive);
	if (page.messages.length === MOST) await catchUp();
	return chat.last > last;
}

async function lookWho({ room = chat.room } = {}) {
	const who = room === chat.room && (await ask('who?room=' + room).catch(() => null));
	if (who?.room !== chat.room) return;
	const { count, names } = who;
	const wasAtEnd = isAtEnd();
	$('who').textContent = count ? [`${count} here`, ...names].join(' · ') : '';
	if (wasAtEnd) toEnd();
}

function showTyping({ room, names }) {
	const others = names.filter((name) => name !== nameHere());
	if (room !== chat.room || !others.length) return;
	$('typing').textContent = `${others.slice(0, 3).join(', ')} ${others.length > 1 ? 'are' : 'is'} typing…`;
	clearTimeout(chat.typing);
	chat.typing = setTimeout(() => ($('typing').textContent = ''), 5000);
}

async function lookRooms() {
	const found = await ask('rooms').catch(() => null);
	if (!found) return;
	chat.names = found.rooms.map(({ name }) => name);
	$('other-room').hidden = !found.open;
	want(chat.names);
	showUnread();
}

/** What was said in other rooms since they were looked into. */
async function countMissed() {
	const read = stored('read') || {};
	for (const room of chat.names.filter((name) => name !== chat.room && read[name]).slice(0, 12)) {
		await messagesOf(room, 'since=' + read[room]).then((page) => page.messages.forEach(countUnread), () => {});
	}
}

async function readBack(query) {
	const { room } = chat;
	log.ariaBusy = 'true'; // old messages are not read out as new ones
	const page = await ask(`messages?room=${room}${query}`).finally(() => (log.ariaBusy = 'false'));
	if (room !== chat.room) return;
	page.messages.forEach(put);
	$('earlier').hidden = page.messages.length < PAGE;
}

async function loadEarlier() {
	if (log.ariaBusy === 'true' || $('earlier').hidden) return;
	const below = log.scrollHeight - log.scrollTop;
	await readBack('&before=' + chat.first).catch(({ message }) => showError(message));
	log.scrollTop = log.scrollHeight - below;
	if (document.activeElement === document.body) log.focus();
}

function openRoom() {
	const room = /^#([a-z0-9-]{1,32})$/.exec(location.hash)?.[1] ?? 'lobby';
	if (room === chat.room) return;
	Object.assign(chat, { room, first: Infinity, last: 0, known: new Map() });
	delete chat.unread[room];
	$('room-name').textContent = room;
	$('messages').replaceChildren();
	$('earlier').hidden = true;
	$('who').textContent = $('typing').textContent = showError('');
	showUnread();
	want([room]);
	return (chat.loaded = loadRoom());
}

async function loadRoom() {
	const { room } = chat;
	$('log-note').textContent = 'Looking…';
	chat.isOpening = true;
	try {
		await readBack('').finally(() => (chat.isOpening = false));
		if (room !== chat.room) return;
		setTimeout(catchUp);
		if (!chat.last) $('log-note').textContent = 'No one has spoken here yet. Say hello.';
		for (const one of chat.outgoing) if (one.room === room) place(one.item);
		toEnd();
		markRead();
		lookWho();
	} catch (trouble) {
		$('log-note').replaceChildren(trouble.message, ' ', button('Try again', loadRoom));
	}
}

function say(text, facts) {
	const one = { text, name: nameHere(), room: chat.room, after: chat.last, line: make('p', 'line'), ...facts };
	one.item = messageItem({ name: one.name, user, ts: Date.now(), message: text });
	one.item.append(one.line);
	chat.outgoing.push(one);
	if (one.room === chat.room) place(one.item);
	hold(one);
	toEnd();
}

const remember = () => stored('outgoing', chat.outgoing.map(({ text, name, room, after }) => ({ text, name, room, after })), 'sessionStorage');

function hold(one) {
	if (one.state === 'failed') one.name = nameHere();
	one.state = 'waiting';
	one.item.className = 'own waiting';
	one.line.textContent = 'Sending…';
	remember();
	sendWaiting();
}

async function sendWaiting() {
	if (chat.isSending) return;
	chat.isSending = true;
	for (let one; (one = chat.outgoing.find(({ state }) => state === 'waiting')); ) {
		one.state = 'sending';
		try {
			acknowledge(one, (one.isDoubtful && (await find(one))) || (await post(one)));
		} catch (trouble) {
			if (!chat.outgoing.includes(one)) continue; // the answer was lost, but the message came back to us
			if (trouble.status === 429) {
				one.line.textContent = 'This goes out in a moment.';
				await sleep(trouble.waitMs);
				one.state = 'waiting';
			} else if (!trouble.status || trouble.status >= 500) {
				Object.assign(one, { state: 'waiting', isDoubtful: true });
				offer(one, 'Not sent yet. ');
				setTimeout(sendWaiting, 3000);
				break;
			} else {
				refuse(one, trouble);
			}
		}
	}
	chat.isSending = false;
}

const post = ({ text, name, room }) => ask('send', { message: text, room, ...(!user && { name }) }, { signal: AbortSignal.timeout(20_000) });

async function find(one) {
	const { messages } = await messagesOf(one.room, 'since=' + one.after);
	return messages.find((message) => isIt(one, message) && !own.has(message.id));
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

function offer(one, text) {
	const then = (act) => () => {
		act(one);
		$('message').focus();
	};
	one.line.replaceChildren(text, button('Send again', then(hold)), button('Discard', then(forget)));
}

function refuse(one, { code, message }) {
	one.state = 'failed';
	offer(one, 'Not sent. ');
	showError(`Not sent. ${message}`);
	if (code === 'name_taken') $('name').focus();
	toEnd();
}

function startBox() {
	const box = $('message');
	let typed = 0;
	$('name').value = stored('name') || '';
	$('name').placeholder = madeUp;
	$('name').onchange = () => {
		stored('name', $('name').value.trim());
		if ($('name').checkValidity()) again(chosenName());
	};
	$('name-line').hidden = user;
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
	if (!may('chat_write')) $('send').replaceChildren(make('p', 'soft', ...notForGuests('Writing here is')));
}

function startLog() {
	log.onscroll = () => {
		if (isAtEnd()) $('newest').hidden = true;
		markRead();
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
	(wide.onchange = () => ($('rooms-box').open = wide.matches))();
}

async function start() {
	stored('guest', madeUp);
	startBox();
	startLog();
	await openRoom();
	for (const { text, ...facts } of stored('outgoing', undefined, 'sessionStorage') || []) say(text, { ...facts, isDoubtful: true });
	await lookRooms();
	listen(chosenName(), (event) => HEARD[event.type]?.(event));
	await countMissed();
	window.onhashchange = openRoom;
	document.onvisibilitychange = async () => {
		if (document.hidden) return;
		markRead();
		// After sleep, or on another network, a line can be dead and not say so.
		if (await catchUp()) again();
	};
	setInterval(() => document.hidden || lookRooms().then(() => lookWho()), 30_000);
}

if (may('chat_read')) start();
else showOnly('Chat', ...notForGuests('The chat is'));
