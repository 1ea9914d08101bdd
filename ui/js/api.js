// The server's API, as this page uses it. Addresses are relative: the page may lie below a proxy's
// prefix.
import {readEvents} from './events.js';
import {load, save, remove} from './storage.js';

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;  // 0: no answer at all
  }
}

// The key lives as long as the tab unless its owner wants it kept.
let key = load('key', '');
export function setKey(value, keep) {
  key = value;
  if (keep) save('key', value);
  else remove('key');
}

async function request(path, options = {}) {
  const headers = {...options.headers};
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {...options, headers, cache: 'no-store'});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'The server cannot be reached.');
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  let message = `The server answered ${response.status}.`;
  try {
    const text = (await response.json()).error.message;
    if (typeof text === 'string' && text) message = text;
  } catch {
    // Not an error object: the status has to do.
  }
  const seconds = Number(response.headers.get('Retry-After'));
  return new ApiError(response.status, seconds > 0 ? `${message}; it asks to wait ${seconds} s` : message);
}

export async function fetchModel() {
  const models = await (await request('v1/models')).json();
  return models.data?.[0] ?? null;
}

export async function fetchEngine(signal) {
  return (await request('engine', {signal})).json();
}

// Streams one answer: onText(text) for each piece. Returns {finish, usage}, or throws ApiError, or
// AbortError once `signal` says stop.
export async function streamChat(body, signal, onText) {
  const response = await request('v1/chat/completions', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({...body, stream: true, stream_options: {include_usage: true}}),
    signal,
  });
  const result = {finish: null, usage: null};
  try {
    for await (const data of readEvents(response.body)) {
      if (data === '[DONE]') return result;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(500, chunk.error.message ?? 'The server failed.');
      if (chunk.usage) result.usage = chunk.usage;
      const choice = chunk.choices?.[0];
      if (choice?.delta?.content) onText(choice.delta.content);
      if (choice?.finish_reason) result.finish = choice.finish_reason;
    }
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof ApiError) throw error;
    throw new ApiError(0, 'The connection broke off.');
  }
  throw new ApiError(0, 'The connection ended before the answer did.');
}
