// The conversations of this browser.
//
//   {id, title, created, updated, settings: {system, temperature, ...},
//    messages: [{role: 'user' | 'assistant', content,
//                state: 'done' | 'writing' | 'stopped' | 'failed',         // of answers
//                finish, error, usage: {...}, timing: {first_ms, tokens_per_second}}]}
import {load, save, remove, keysBelow} from './storage.js';

const kFolder = 'conversation/';

// null: what the server takes where a request leaves it open.
export const kDefaultSettings = {
  system: '', temperature: null, top_k: null, top_p: null, min_p: null, max_tokens: null, seed: null,
};

export function newConversation() {
  // Not crypto.randomUUID: pages from plain HTTP do not have it.
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return {id, title: '', created: Date.now(), updated: Date.now(), messages: [],
          settings: {...kDefaultSettings, ...load('settings', {})}};
}

// Newest first.
export function listConversations() {
  return keysBelow(kFolder).map((key) => read(key)).filter((found) => found !== null)
    .sort((a, b) => b.updated - a.updated);
}

export function findConversation(id) {
  return read(kFolder + id);
}

// Throws StorageFull.
export function saveConversation(conversation) {
  save(kFolder + conversation.id, conversation);
}

export function removeConversation(id) {
  remove(kFolder + id);
  remove(`draft/${id}`);
  remove(`edits/${id}`);
}

export function titleOf(conversation) {
  if (conversation.title) return conversation.title;
  const first = conversation.messages.find((message) => message.role === 'user')?.content ?? '';
  const line = first.trim().split('\n', 1)[0];
  return line.length > 60 ? `${line.slice(0, 57).trimEnd()}\u2026` : line || 'New chat';
}

export function downloadConversation(conversation) {
  const blob = new Blob([JSON.stringify(conversation, null, 2)], {type: 'application/json'});
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${titleOf(conversation).replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60) || 'chat'}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// What was stored, if it has the shape of a conversation: other versions of the page, and people,
// write there too.
function read(key) {
  const found = load(key);
  if (typeof found?.id !== 'string' || key !== kFolder + found.id || !Array.isArray(found.messages)) return null;
  found.messages = found.messages.filter(
    (message) => ['user', 'assistant'].includes(message?.role) && typeof message.content === 'string');
  found.title = typeof found.title === 'string' ? found.title : '';
  found.updated = Number(found.updated) || 0;
  found.settings = {...kDefaultSettings, ...found.settings};
  return found;
}
