// The browser's storage as JSON values below "tessera/". Where it is closed (private windows, strict
// settings) the page works on memory, and forgets when it is closed.
const kPrefix = 'tessera/';
const memory = new Map();

export class StorageFull extends Error {}

function open() {
  try {
    localStorage.setItem(kPrefix + 'probe', '1');
    localStorage.removeItem(kPrefix + 'probe');
    return true;
  } catch (error) {
    // A full storage refuses the probe but can be read.
    return error.name === 'QuotaExceededError' && localStorage.length > 0;
  }
}
const isOpen = open();

export function load(key, otherwise = null) {
  try {
    const text = isOpen ? localStorage.getItem(kPrefix + key) : memory.get(key);
    return text ? JSON.parse(text) : otherwise;
  } catch {
    return otherwise;
  }
}

// Throws StorageFull.
export function save(key, value) {
  const text = JSON.stringify(value);
  if (!isOpen) {
    memory.set(key, text);
    return;
  }
  try {
    localStorage.setItem(kPrefix + key, text);
  } catch (error) {
    throw new StorageFull('the browser has no room for more conversations: export and delete some', {cause: error});
  }
}

export function remove(key) {
  if (isOpen) localStorage.removeItem(kPrefix + key);
  else memory.delete(key);
}

export function keysBelow(folder) {
  if (!isOpen) return [...memory.keys()].filter((key) => key.startsWith(folder));
  return Object.keys(localStorage).filter((key) => key.startsWith(kPrefix + folder))
    .map((key) => key.slice(kPrefix.length));
}

// Calls back with the key when another tab changed something.
export function onForeignChange(callback) {
  addEventListener('storage', (event) => {
    if (event.key?.startsWith(kPrefix)) callback(event.key.slice(kPrefix.length));
  });
}
