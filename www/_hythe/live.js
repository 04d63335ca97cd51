// The live line of the chat: one for all tabs of a browser, by WebSocket, else by event stream, else by long polls. Whichever tab
// holds the lock has the line and passes on what it hears; the others listen to it, and one of them takes its place when it goes.
// What comes may come twice, and always after what was before it: who hears keeps what is known apart by ids.

import { ask, at } from './common.js';

const channel = new BroadcastChannel('hythe ' + at(''));
const wanted = new Set();
const works = new Set();
const WAYS = ['socket', 'stream', 'poll'];

let hear = () => {};
let name = '';
let state = 'connecting';
let isLeader = false;
let line = null;
let last = 0;
let fails = 0;
let turn = 0;

/** Takes in what was heard, here or by another tab: `{ type, … }`, or `{ type: 'state', state }`. */
function take(event) {
  if (event.id && event.type === 'message') last = Math.max(last, event.id);
  if (event.type === 'state') state = event.state;
  hear(event);
}

/** Tells all tabs, this one too. */
function tellAll(event) {
  take(event);
  channel.postMessage({ event });
}

channel.onmessage = ({ data }) => {
  if (data.event) return take(data.event);
  if (!isLeader) return;
  if (data.types) types(data.types);
  if (data.wants) {
    want(data.wants);
    channel.postMessage({ event: { type: 'state', state } });
  }
};

/** Hears everything of these rooms from now on. */
export function listen(rooms, guest, handle) {
  hear = handle;
  name = guest;
  want(rooms);
  channel.postMessage({ wants: rooms });
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
  if (!isLeader) channel.postMessage({ wants: rooms });
  else if (wanted.size > count && state === 'live') connect();
  else if (wanted.size > count) line.isStale = true;
}

/** Somebody writes here. */
export function types(room) {
  if (!isLeader) channel.postMessage({ types: room });
  else if (line?.socket?.readyState === 1) line.socket.send(JSON.stringify({ type: 'typing', room }));
}

/** Goes by another name, or begins anew where the line may be dead and not know it. */
export function again(guest = name) {
  name = guest;
  if (isLeader) connect();
}

/** Whether this tab holds the line. */
export const holdsLine = () => isLeader;

function connect() {
  const now = (line = { isOver: false });
  clearTimeout(connect.timer);
  connect.old?.();
  const way = WAYS[turn % WAYS.length];
  const query = new URLSearchParams({ room: [...wanted], ...(last && { since: last }), ...(name && { name }) });
  const open = () => {
    if (now !== line) return;
    if (now.isStale) return connect();
    works.add(way);
    fails = 0;
    tellAll({ type: 'state', state: 'live', way });
  };
  const end = () => {
    if (now !== line || now.isOver) return;
    now.isOver = true;
    connect.old?.();
    fails += 1;
    if (fails > 1 && !works.size) name = ''; // it may be an account's
    tellAll({ type: 'state', state: 'lost' });
    // A way that has worked is kept to for a while; one that never has is tried twice.
    if (fails >= (works.has(way) ? 8 : 2)) {
      turn += 1;
      fails = 0;
    }
    connect.timer = setTimeout(connect, Math.min(400 * 2 ** fails, 10_000) * (0.75 + Math.random() / 2));
  };
  const heard = (event) => now === line && tellAll(event);
  connect.old = { socket, stream, poll }[way](query, { now, open, end, heard });
}

function socket(query, { now, open, end, heard }) {
  try {
    now.socket = new WebSocket(at(`ws?${query}`).replace(/^http/, 'ws'), 'hythe.chat.v1');
  } catch {
    setTimeout(end);
    return () => {};
  }
  const patience = setTimeout(end, 8000);
  Object.assign(now.socket, {
    onopen: () => {
      clearTimeout(patience);
      open();
    },
    onmessage: ({ data }) => heard(JSON.parse(data)),
    onclose: ({ code }) => {
      clearTimeout(patience);
      if (code === 1008) heard({ type: 'ended' });
      end();
    },
  });
  return () => {
    clearTimeout(patience);
    now.socket.close();
  };
}

function stream(query, { open, end, heard }) {
  const source = new EventSource(at(`events?${query}`));
  const patience = setTimeout(end, 8000);
  source.onopen = () => {
    clearTimeout(patience);
    open();
  };
  source.onerror = end;
  source.onmessage = ({ data }) => heard({ type: 'message', ...JSON.parse(data) });
  for (const type of ['join', 'leave', 'delete', 'gap']) {
    source.addEventListener(type, ({ data }) => heard({ type, ...JSON.parse(data) }));
  }
  return () => {
    clearTimeout(patience);
    source.close();
  };
}

/** Long polls, one a room; the first is short, to tell soon that all is well. After a while the better ways are tried again. */
function poll(query, { now, open, end, heard }) {
  const off = new AbortController();
  const until = performance.now() + 60_000;
  const room = async (room) => {
    let since = last;
    for (let wait = 0; now === line && !now.isOver; wait = 25) {
      const page = await ask(`messages?room=${room}&wait=${wait}${since || wait ? `&since=${since}` : '&limit=1'}`, { signal: off.signal });
      if (!wait) open();
      if (page.gap) heard({ type: 'gap', room });
      for (const message of page.messages) heard({ type: 'message', ...message });
      since = Math.max(since, page.last);
      if (performance.now() > until) turn = 0;
      if (performance.now() > until) return connect();
    }
  };
  Promise.all([...wanted].slice(0, 4).map(room)).catch(end);
  return () => off.abort();
}

addEventListener('online', () => state !== 'live' && again());
