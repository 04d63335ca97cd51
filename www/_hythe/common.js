// What the pages' scripts have in common: elements, questions to the server, how things are written.
// What others wrote is only ever set as text.

export const $ = (id) => document.getElementById(id);
export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

export function button(text, press) {
  const element = make('button', '', text);
  element.type = 'button';
  element.onclick = press;
  return element;
}

/** What went wrong, in a sentence: the server's own where it gave one. */
export class Trouble extends Error {
  constructor(status, body, retryAfter) {
    super(body?.detail?.replace(/^./u, (first) => first.toUpperCase()).replace(/[^.!?]$/u, '$&.') || (status ? `The server answered ${status}.` : 'The server cannot be reached. Check the connection, then try again.'));
    this.code = body?.code;
    this.status = status;
    this.waitMs = Math.min(Number(retryAfter) || 1, 60) * 1000;
  }
}

/** An address of this site, below whatever prefix it has. */
export const at = (path) => new URL('../' + path, import.meta.url).href;

/** Asks for JSON; anything but a good answer is a Trouble. */
export async function ask(url, options) {
  const response = await fetch(at(url), { ...options, headers: { Accept: 'application/json' } }).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (!response?.ok || !body) throw new Trouble(response?.status, body, response?.headers.get('Retry-After'));
  return body;
}

/** Storage may be forbidden; the page then forgets, and works. */
export function stored(storage, key, value) {
  try {
    return value === undefined ? storage.getItem(key) : storage.setItem(key, value);
  } catch {
    return null;
  }
}

export function sizeText(bytes) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 4);
  const style = { style: 'unit', unit: units[step], unitDisplay: step ? 'short' : 'long', maximumFractionDigits: step > 1 ? 1 : 0 };
  return new Intl.NumberFormat(undefined, style).format(bytes / 1000 ** step);
}

export const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
export const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
export const isSameDay = (a, b) => a.toDateString() === b.toDateString();

export function timeElement(date, format) {
  const element = make('time', '', format.format(date));
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  return element;
}
