// Texts in open edit fields, kept for each conversation until they were sent or cancelled.
import {load, remove, save} from '../storage.js';

const keyOf = (id) => `edits/${id}`;

// By the message's place in the conversation.
export function editsOf(id) {
  const found = load(keyOf(id), {});
  return new Map(Object.entries(found).filter(([, text]) => typeof text === 'string')
    .map(([at, text]) => [Number(at), text]));
}

export function keepEdit(id, at, text) {
  store(id, editsOf(id).set(at, text));
}

// Of the message at this place and of those after it, or of this one alone.
export function dropEdits(id, from, last = Infinity) {
  store(id, new Map([...editsOf(id)].filter(([at]) => at < from || at > last)));
}

function store(id, edits) {
  try {
    if (edits.size === 0) remove(keyOf(id));
    else save(keyOf(id), Object.fromEntries(edits));
  } catch {
    // What finds no room still stands in its field.
  }
}
