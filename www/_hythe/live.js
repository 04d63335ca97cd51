// The live line of the chat, by WebSocket, else by event stream, else by long polls. The tab that holds the lock has it, and tells
// the others; another takes its place when it goes. What comes may come twice.

import { ask, at } from './common.js';

const channel = new BroadcastChannel('hythe ' + at(''));
const wanted = new Set();
const works = new Set();
const WAYS = [socket, stream, poll];

let hear = () => {};
let [name, state, isLeader, line] = ['', 'connecting', false, {}];
let [last, fails, turn, timer] = [0, 0, 0, 0];

/** Takes in what was heard here or by another tab. */
function take(event) {
	if (event.type === 'message') last = Math.max(last, event.id);
	if (event.type === 'state') ({ state } = event);
	hear(event);
}

function tellAll(event) {
	take(event);
	channel.postMessage({ event });
}

channel.onmessage = ({ data: { event, typing, rooms } }) => {
	if (event) return take(event);
	if (!isLeader) return;
	if (typing) return types(typing);
	want(rooms);
	tellAll({ type: 'state', state });
};

/** Hears everything of the wanted rooms from now on. */
export function listen(guest, handle) {
	[hear, name] = [handle, guest];
	want([]);
	const lead = () => {
		isLeader = true;
		connect();
		return new Promise(() => {});
	};
	// Without locks (they need a secure address) each tab has a line of its own.
	if (navigator.locks) navigator.locks.request('hythe ' + at(''), lead);
	else lead();
}

/** Rooms that are to be heard too. */
export function want(rooms) {
	const count = wanted.size;
	for (const room of rooms) if (wanted.size < 32) wanted.add(room);
	if (!isLeader) channel.postMessage({ rooms });
	else if (wanted.size > count && state === 'live') connect();
	else line.isStale ||= wanted.size > count;
}

/** Somebody writes here. */
export function types(room) {
	if (!isLeader) channel.postMessage({ typing: room });
	else if (line.socket?.readyState === 1) line.socket.send(JSON.stringify({ type: 'typing', room }));
}

/** Goes by another name, or begins anew where the line may be dead and not know it. */
export function again(guest = name) {
	name = guest;
	if (isLeader) connect();
}

function connect() {
	clearTimeout(timer);
	line.close?.();
	const now = (line = {});
	const way = WAYS[turn % 3];
	const query = new URLSearchParams({ room: [...wanted], ...(last && { since: last }), ...(name && { name }) });
	const isOn = () => now === line && !now.isOver;
	const open = () => {
		clearTimeout(patience);
		if (!isOn()) return;
		if (now.isStale) return connect();
		works.add(way);
		fails = 0;
		tellAll({ type: 'state', state: 'live' });
	};
	const end = () => {
		clearTimeout(patience);
		if (!isOn()) return;
		now.isOver = true;
		now.close?.();
		tellAll({ type: 'state', state: 'lost' });
		if (++fails > 1 && !works.size) name = ''; // it may be an account's
		// A way that has worked is kept to for a while; one that never has is tried twice.
		if (fails >= (works.has(way) ? 8 : 2)) [turn, fails] = [turn + 1, 0];
		timer = setTimeout(connect, Math.min(400 * 2 ** fails, 10_000) * (0.75 + Math.random() / 2));
	};
	const patience = setTimeout(end, 8000);
	try {
		way(now, query, { isOn, open, end, heard: (event) => isOn() && tellAll(event) });
	} catch {
		end();
	}
}

function socket(now, query, { open, end, heard }) {
	const it = (now.socket = new WebSocket(at(`ws?${query}`).replace(/^http/, 'ws'), 'hythe.chat.v1'));
	now.close = () => it.close();
	it.onopen = open;
	it.onmessage = ({ data }) => heard(JSON.parse(data));
	it.onclose = ({ code }) => {
		if (code === 1008) heard({ type: 'ended' });
		end();
	};
}

function stream(now, query, { open, end, heard }) {
	const it = new EventSource(at(`events?${query}`));
	now.close = () => it.close();
	it.onopen = open;
	it.onerror = end;
	for (const type of ['message', 'join', 'leave', 'delete', 'gap']) it.addEventListener(type, ({ data }) => heard({ type, ...JSON.parse(data) }));
}

/** Long polls, one a room; the first is short, to tell soon that all is well. After a minute the better ways are tried again. */
function poll(now, query, { isOn, open, end, heard }) {
	const off = new AbortController();
	const until = Date.now() + 60_000;
	now.close = () => off.abort();
	const hearRoom = async (room) => {
		let since = last;
		for (let wait = 0; isOn(); wait = 25) {
			const page = await ask(`messages?room=${room}&wait=${wait}${since || wait ? `&since=${since}` : '&limit=1'}`, null, { signal: off.signal });
			if (!wait) open();
			if (page.gap) heard({ type: 'gap' });
			for (const message of page.messages) heard({ type: 'message', ...message });
			since = Math.max(since, page.last);
			if (Date.now() < until) continue;
			turn = 0;
			return connect();
		}
	};
	Promise.all([...wanted].slice(0, 4).map(hearRoom)).catch(end);
}

addEventListener('online', () => state !== 'live' && again());
